//! `listDatabases`: names and sizes.

use value::SharedDoc;

/// A `listDatabases` command.
#[derive(Debug, Clone, PartialEq)]
pub struct ListDatabases {
    /// Empty where the client gave none; on `name`, `sizeOnDisk`, `empty`, `shards`.
    pub filter: SharedDoc,
    pub name_only: bool,
}
