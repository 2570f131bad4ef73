//! What parsing a piece of query language needs to know from outside: the time, the cluster time, `let` variables,
//! and whether a collation was asked for. Values only; nothing here reads a clock.

use bson::{RawBsonRef, RawDocument, RawDocumentBuf};
use types::{Code, Fault, Timestamp};

/// The surroundings in which filters, projections, updates and pipelines of one command are parsed.
/// One command has one context, so `$$NOW` is the same everywhere in it, on every shard.
#[derive(Debug, Clone, Default)]
pub struct ParseContext {
    /// `$$NOW`, in milliseconds since 1970.
    pub now_millis: i64,
    /// `$$CLUSTER_TIME`; `None` where the server has no cluster time, and using the variable is an error.
    pub cluster_time: Option<Timestamp>,
    /// The command's `let` document with its values already constant, `None` when absent.
    pub let_vars: Option<RawDocumentBuf>,
}

impl ParseContext {
    /// A context with only the time set.
    pub fn at(now_millis: i64) -> ParseContext {
        ParseContext { now_millis, ..ParseContext::default() }
    }

    /// The same context with the `let` variables of a command.
    #[must_use]
    pub fn with_let(mut self, vars: Option<RawDocumentBuf>) -> ParseContext {
        self.let_vars = vars;
        self
    }

    /// The same context with a cluster time.
    #[must_use]
    pub fn with_cluster_time(mut self, time: Option<Timestamp>) -> ParseContext {
        self.cluster_time = time;
        self
    }
}

/// Accepts the collations that mean comparison by bytes: none, `{}` and `{locale: "simple"}`.
///
/// # Errors
/// NotImplemented for every other locale, as ordering by language is not built; the codes of MongoDB for a bad document.
pub fn check_collation(collation: Option<&RawDocument>) -> Result<(), Fault> {
    let Some(collation) = collation else { return Ok(()) };
    if collation.is_empty() {
        return Ok(());
    }
    match collation.get("locale").map_err(invalid_bson)? {
        Some(RawBsonRef::String("simple")) => {}
        Some(RawBsonRef::String(locale)) => {
            return Err(Fault::not_implemented(format_args!("collation with locale '{locale}'")));
        }
        Some(_) => return Err(Fault::new(Code::TypeMismatch, "collation field 'locale' must be a string")),
        None => {
            return Err(Fault::new(
                Code::Location(40414),
                "BSON field 'collation.locale' is missing but a required field",
            ));
        }
    }
    for item in collation.iter() {
        let (name, _) = item.map_err(invalid_bson)?;
        if name.as_str() != "locale" {
            return Err(Fault::not_implemented(format_args!("collation option '{}'", name.as_str())));
        }
    }
    Ok(())
}

/// The fault for bytes that turned out not to be the BSON they claim to be, such as a string that is not UTF-8.
pub fn invalid_bson(error: bson::error::Error) -> Fault {
    Fault::new(Code::InvalidBSON, format!("invalid BSON: {error}"))
}
