//! What a batch of writes came to. Shards build it, the router reads it back, maps the positions and merges.

use bson::RawBson;
use types::{Code, Fault};

/// The outcome of an insert, update or delete.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct WriteOutcome {
    /// Documents inserted, matched (updates; upserts included) or removed.
    pub n: u64,
    /// Documents that an update changed; `None` for inserts and deletes.
    pub n_modified: Option<u64>,
    pub upserted: Vec<Upserted>,
    /// By position.
    pub errors: Vec<WriteError>,
    pub write_concern_error: Option<WriteConcernError>,
    /// Statements that had been executed before and were answered from history.
    pub retried_statements: Vec<i32>,
}

/// A document that an update statement inserted.
#[derive(Debug, Clone, PartialEq)]
pub struct Upserted {
    /// The statement's position in its batch.
    pub index: usize,
    pub id: RawBson,
}

/// A statement that failed.
#[derive(Debug, Clone, PartialEq)]
pub struct WriteError {
    /// The statement's position in its batch.
    pub index: usize,
    /// `extra` carries `keyPattern`, `keyValue`, `errInfo`.
    pub fault: Fault,
}

/// The write happened here but did not become as safe as asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct WriteConcernError {
    pub code: Code,
    pub message: String,
    /// `errInfo`.
    pub info: Option<bson::RawDocumentBuf>,
}
