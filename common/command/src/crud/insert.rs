//! `insert`: new documents for one collection.

use crate::options::WriteOptions;
use types::Namespace;
use value::SharedDoc;

/// An `insert` command.
#[derive(Debug, Clone, PartialEq)]
pub struct Insert {
    pub ns: Namespace,
    pub documents: Vec<SharedDoc>,
    pub options: WriteOptions,
}
