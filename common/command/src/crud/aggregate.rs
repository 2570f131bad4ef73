//! `aggregate`: a pipeline over one collection, or over no collection.

use crate::options::Hint;
use bson::RawBson;
use types::Namespace;
use value::SharedDoc;

/// An `aggregate` command.
#[derive(Debug, Clone, PartialEq)]
pub struct Aggregate {
    /// `db.$cmd.aggregate` for `aggregate: 1`.
    pub ns: Namespace,
    /// `aggregate: 1`: the pipeline brings its own source.
    pub collectionless: bool,
    pub pipeline: Vec<SharedDoc>,
    /// `cursor.batchSize`; `Some(0)` asks for a cursor without documents.
    pub batch_size: Option<u64>,
    pub allow_disk_use: Option<bool>,
    pub hint: Option<Hint>,
    pub let_vars: Option<SharedDoc>,
    /// `explain: true` of old clients.
    pub explain: bool,
    pub bypass_document_validation: bool,
    pub comment: Option<RawBson>,
}
