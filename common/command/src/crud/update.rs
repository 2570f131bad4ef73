//! `update`: changes to documents of one collection, statement by statement.

use crate::options::{Hint, Modification, WriteOptions};
use types::Namespace;
use value::SharedDoc;

/// An `update` command.
#[derive(Debug, Clone, PartialEq)]
pub struct Update {
    pub ns: Namespace,
    pub updates: Vec<UpdateStatement>,
    pub options: WriteOptions,
}

/// One statement of an update.
#[derive(Debug, Clone, PartialEq)]
pub struct UpdateStatement {
    /// `q`.
    pub filter: SharedDoc,
    /// `u`.
    pub update: Modification,
    /// `c`: variables of a pipeline update.
    pub constants: Option<SharedDoc>,
    pub multi: bool,
    pub upsert: bool,
    pub array_filters: Vec<SharedDoc>,
    pub hint: Option<Hint>,
    /// Which of several matches a single update takes (8.0).
    pub sort: Option<SharedDoc>,
    /// The statement as it came, for forwarding.
    pub raw: SharedDoc,
}
