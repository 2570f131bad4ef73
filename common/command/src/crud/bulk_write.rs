//! `bulkWrite`: inserts, updates and deletes over several collections in one command (8.0).

use super::{DeleteStatement, UpdateStatement};
use crate::options::WriteOptions;
use types::Namespace;
use value::SharedDoc;

/// A `bulkWrite` command.
#[derive(Debug, Clone, PartialEq)]
pub struct BulkWrite {
    /// In the order given; what does not change the meaning may run together.
    pub operations: Vec<BulkOperation>,
    /// `nsInfo`.
    pub namespaces: Vec<Namespace>,
    /// Answer with the failed operations only.
    pub errors_only: bool,
    /// `cursor.batchSize`.
    pub batch_size: Option<u64>,
    pub options: WriteOptions,
}

/// One operation; `ns` is an index into [`BulkWrite::namespaces`] and known to be in range.
#[derive(Debug, Clone, PartialEq)]
pub enum BulkOperation {
    Insert { ns: usize, document: SharedDoc },
    /// `raw` is the statement in the shape of the update command.
    Update { ns: usize, statement: UpdateStatement },
    /// `raw` is the statement in the shape of the delete command.
    Delete { ns: usize, statement: DeleteStatement },
}
