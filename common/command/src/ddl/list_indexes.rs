//! `listIndexes`: the indexes of one collection, as a cursor.

use types::Namespace;

/// A `listIndexes` command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListIndexes {
    pub ns: Namespace,
    /// `cursor.batchSize`.
    pub batch_size: Option<u64>,
}
