//! `dropIndexes`: removes indexes of one collection; the one on `_id` stays.

use types::Namespace;
use value::SharedDoc;

/// A `dropIndexes` command.
#[derive(Debug, Clone, PartialEq)]
pub struct DropIndexes {
    pub ns: Namespace,
    pub index: IndexSelector,
}

/// Which indexes to remove.
#[derive(Debug, Clone, PartialEq)]
pub enum IndexSelector {
    /// `"*"`: all but `_id`.
    All,
    Names(Vec<String>),
    Pattern(SharedDoc),
}
