//! Small typed values that several commands share.

use bson::RawBson;
pub use query::update::Modification;
use value::SharedDoc;

/// Which index a client asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Hint {
    /// The index of that name.
    Name(String),
    /// The index on that key pattern.
    Pattern(SharedDoc),
    /// `{$natural: 1}` or `{$natural: -1}`: no index, the collection in its own order.
    Natural { backward: bool },
}

/// What insert, update and delete share.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct WriteOptions {
    /// Stop at the first error.
    pub ordered: bool,
    pub bypass_document_validation: bool,
    /// `let`: variables for the expressions of all statements.
    pub let_vars: Option<SharedDoc>,
    pub statements: StatementIds,
    /// `comment`, for logs, the profiler and currentOp.
    pub comment: Option<RawBson>,
}

/// The number of each statement within its transaction number, by which a repeated statement is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StatementIds {
    /// `stmtId`, or 0: the first statement's number, the others follow.
    From(i32),
    /// `stmtIds`: one for each statement.
    Listed(Vec<i32>),
}

impl Default for StatementIds {
    fn default() -> StatementIds {
        StatementIds::From(0)
    }
}

impl StatementIds {
    /// The number of the statement at `index` of the batch.
    pub fn of(&self, index: usize) -> i32 {
        match self {
            StatementIds::From(first) => first.saturating_add(i32::try_from(index).unwrap_or(i32::MAX)),
            StatementIds::Listed(ids) => ids.get(index).copied().unwrap_or(-1),
        }
    }
}

/// How much explain tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Verbosity {
    QueryPlanner,
    ExecutionStats,
    #[default]
    AllPlansExecution,
}

impl Verbosity {
    /// The name in the command.
    pub fn as_str(self) -> &'static str {
        match self {
            Verbosity::QueryPlanner => "queryPlanner",
            Verbosity::ExecutionStats => "executionStats",
            Verbosity::AllPlansExecution => "allPlansExecution",
        }
    }
}
