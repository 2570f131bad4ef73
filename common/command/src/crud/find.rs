//! `find`: the documents of one collection that match a filter.

use crate::options::Hint;
use bson::RawBson;
use std::num::NonZeroU64;
use types::Namespace;
use value::SharedDoc;

/// A `find` command.
#[derive(Debug, Clone, PartialEq)]
pub struct Find {
    pub ns: Namespace,
    /// Empty where the client gave none.
    pub filter: SharedDoc,
    /// `None` for an empty one.
    pub sort: Option<SharedDoc>,
    /// `None` for an empty one.
    pub projection: Option<SharedDoc>,
    pub hint: Option<Hint>,
    pub skip: u64,
    pub limit: Option<NonZeroU64>,
    /// `Some(0)` asks for a cursor without documents.
    pub batch_size: Option<u64>,
    /// Close the cursor after the first batch.
    pub single_batch: bool,
    pub let_vars: Option<SharedDoc>,
    pub allow_disk_use: Option<bool>,
    pub no_cursor_timeout: bool,
    pub allow_partial_results: bool,
    pub comment: Option<RawBson>,
}
