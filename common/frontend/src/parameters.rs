//! The parameters of getParameter and setParameter: a name, a way to read it, perhaps a way to set it.

use bson::{Bson, RawBsonRef, bson};
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::sync::Arc;
use types::{Code, Fault, limits};

/// Reads a parameter.
pub type Get = Arc<dyn Fn() -> Bson + Send + Sync>;
/// Sets a parameter.
pub type Set = Arc<dyn Fn(RawBsonRef<'_>) -> Result<(), Fault> + Send + Sync>;

/// One parameter.
#[derive(Clone)]
pub struct Parameter {
    pub name: &'static str,
    pub get: Get,
    /// Absent where it cannot be changed while the process runs.
    pub set: Option<Set>,
}

impl Parameter {
    /// A parameter that is only read.
    pub fn constant(name: &'static str, value: Bson) -> Parameter {
        Parameter { name, get: Arc::new(move || value.clone()), set: None }
    }
}

/// All parameters of a process.
#[derive(Default)]
pub struct Parameters {
    table: RwLock<BTreeMap<&'static str, Parameter>>,
}

impl Parameters {
    /// Those that every server has.
    pub fn standard() -> Parameters {
        let parameters = Parameters::default();
        let idle_millis = i64::try_from(limits::CURSOR_IDLE_SECONDS_MAX * 1000).unwrap_or(i64::MAX);
        for (name, value) in [
            ("authenticationMechanisms", bson!([])),
            ("cursorTimeoutMillis", bson!(idle_millis)),
            ("enableTestCommands", bson!(false)),
            ("featureCompatibilityVersion", bson!({ "version": "8.0" })),
            ("localLogicalSessionTimeoutMinutes", bson!(limits::SESSION_TIMEOUT_MINUTES)),
            ("logComponentVerbosity", bson!({ "verbosity": 0 })),
            ("logLevel", bson!(0)),
            ("quiet", bson!(false)),
        ] {
            parameters.register(Parameter::constant(name, value));
        }
        parameters
    }

    /// Adds a parameter, or replaces the one of that name.
    pub fn register(&self, parameter: Parameter) {
        self.table.write().insert(parameter.name, parameter);
    }

    /// The parameter of a name.
    pub fn find(&self, name: &str) -> Option<Parameter> {
        self.table.read().get(name).cloned()
    }

    /// All of them by name.
    pub fn all(&self) -> Vec<Parameter> {
        self.table.read().values().cloned().collect()
    }

    /// Sets a parameter and returns what it was.
    ///
    /// # Errors
    /// `InvalidOptions` (72) for an unknown name, `IllegalOperation` (20) where it cannot be set now, and what the parameter says.
    pub fn set(&self, name: &str, value: RawBsonRef<'_>) -> Result<Bson, Fault> {
        let parameter = self.find(name).ok_or_else(|| {
            Fault::new(
                Code::InvalidOptions,
                format!("attempted to set unrecognized parameter [{name}], use help:true to see options "),
            )
        })?;
        let set = parameter.set.ok_or_else(|| {
            Fault::new(Code::IllegalOperation, format!("not allowed to change [{name}] at runtime"))
        })?;
        let was = (parameter.get)();
        set(value)?;
        Ok(was)
    }
}

impl std::fmt::Debug for Parameters {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_set().entries(self.table.read().keys()).finish()
    }
}
