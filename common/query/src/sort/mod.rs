//! Sort patterns and the sorter.

use bson::RawDocument;
use types::Fault;

/// A parsed sort pattern.
#[derive(Debug, Clone)]
pub struct Sort {
    fields: Vec<(String, bool)>,
}

impl Sort {
    /// Parses `{a: 1, b: -1}`.
    pub fn parse(_spec: &RawDocument) -> Result<Sort, Fault> {
        Err(Fault::not_implemented("sort"))
    }

    /// Bytes that sort (memcmp) as the documents sort under this pattern.
    pub fn key(&self, _doc: &RawDocument) -> Result<Vec<u8>, Fault> {
        Err(Fault::not_implemented("sort"))
    }

    /// Path and whether descending, in order.
    pub fn fields(&self) -> &[(String, bool)] {
        &self.fields
    }
}
