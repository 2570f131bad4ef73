//! `count`: how many documents match.

use crate::options::Hint;
use bson::RawBson;
use std::num::NonZeroU64;
use types::Namespace;
use value::SharedDoc;

/// A `count` command.
#[derive(Debug, Clone, PartialEq)]
pub struct Count {
    pub ns: Namespace,
    /// Empty where the client gave none.
    pub filter: SharedDoc,
    pub skip: u64,
    /// A negative one counts as its absolute value.
    pub limit: Option<NonZeroU64>,
    pub hint: Option<Hint>,
    pub comment: Option<RawBson>,
}
