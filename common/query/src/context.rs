//! What parsing a piece of query language needs to know from outside: the time, the cluster time, `let` variables,
//! and the collation. Values only; nothing here reads a clock.

use bson::RawDocumentBuf;
use types::{Code, Fault, Timestamp};
use value::Collator;

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
    /// How strings compare; `None` is by bytes.
    pub collation: Option<Collator>,
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

    /// The same context under a collation.
    #[must_use]
    pub fn with_collation(mut self, collation: Option<Collator>) -> ParseContext {
        self.collation = collation;
        self
    }

    /// The same context with a cluster time.
    #[must_use]
    pub fn with_cluster_time(mut self, time: Option<Timestamp>) -> ParseContext {
        self.cluster_time = time;
        self
    }
}

/// The fault for bytes that turned out not to be the BSON they claim to be, such as a string that is not UTF-8.
pub fn invalid_bson(error: bson::error::Error) -> Fault {
    Fault::new(Code::InvalidBSON, format!("invalid BSON: {error}"))
}
