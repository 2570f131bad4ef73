//! `collMod`: changes of an index: hidden, time to live, unique.

use crate::options::Hint;
use types::Namespace;

/// A `collMod` command.
#[derive(Debug, Clone, PartialEq)]
pub struct CollMod {
    pub ns: Namespace,
    pub index: Option<IndexChange>,
}

/// What changes about one index; `None` leaves as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct IndexChange {
    /// By name or by key pattern.
    pub index: Hint,
    pub hidden: Option<bool>,
    pub expire_after_seconds: Option<i64>,
}
