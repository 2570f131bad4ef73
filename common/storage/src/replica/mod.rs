//! The log as it travels between members: read record by record on one, applied as it is on the others.
//! A member that applies takes no commits of its own; times, entries and side writes are those of the member that wrote them,
//! everything else in its log (idents, counts, catalogue) is its own.

mod apply;
mod change;
mod command;
mod cursor;
mod fence;
mod group;

use bytes::Bytes;
use types::OpTime;

pub use cursor::{Located, LogHold, RecordCursor};

/// One record of the log as it travels.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogRecord {
    pub at: OpTime,
    /// One BSON document in MongoDB's oplog shape; empty for what only the member that wrote it sees.
    pub entry: Bytes,
    /// Writes beside the entry, for other stores only; empty if there are none.
    pub side: Bytes,
}

impl LogRecord {
    /// Bytes that it takes on the way, about.
    pub fn size(&self) -> usize {
        self.entry.len() + self.side.len() + size_of::<OpTime>()
    }
}
