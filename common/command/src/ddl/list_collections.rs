//! `listCollections`: the collections of a database, as a cursor.

use value::SharedDoc;

/// A `listCollections` command.
#[derive(Debug, Clone, PartialEq)]
pub struct ListCollections {
    pub db: String,
    /// Empty where the client gave none.
    pub filter: SharedDoc,
    pub name_only: bool,
    /// `cursor.batchSize`.
    pub batch_size: Option<u64>,
}
