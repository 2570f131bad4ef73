//! `delete`: removal of documents of one collection, statement by statement.

use crate::options::{Hint, WriteOptions};
use types::Namespace;
use value::SharedDoc;

/// A `delete` command.
#[derive(Debug, Clone, PartialEq)]
pub struct Delete {
    pub ns: Namespace,
    pub deletes: Vec<DeleteStatement>,
    pub options: WriteOptions,
}

/// One statement of a delete.
#[derive(Debug, Clone, PartialEq)]
pub struct DeleteStatement {
    /// `q`.
    pub filter: SharedDoc,
    /// `limit: 0`: all matches; otherwise one.
    pub multi: bool,
    pub hint: Option<Hint>,
    /// The statement as it came, for forwarding.
    pub raw: SharedDoc,
}
