//! `createIndexes`: new indexes of one collection.

use bson::RawDocumentBuf;
use types::Namespace;
use value::SharedDoc;

/// A `createIndexes` command.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateIndexes {
    pub ns: Namespace,
    pub indexes: Vec<IndexSpec>,
}

/// One index to make.
#[derive(Debug, Clone, PartialEq)]
pub struct IndexSpec {
    pub name: String,
    /// The key pattern; not empty; the directions are numbers or names of special index kinds.
    pub key: SharedDoc,
    pub unique: bool,
    pub sparse: bool,
    pub hidden: bool,
    pub partial_filter: Option<SharedDoc>,
    pub expire_after_seconds: Option<i64>,
    /// What is stored and shown by `listIndexes`: `{v: 2, key, name, …}`, normalised.
    pub spec: RawDocumentBuf,
}
