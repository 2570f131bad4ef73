//! The oplog, which is the write-ahead log: segments of checksummed records, one per commit.
//! Whole commits only: a record is there or it is not. Knows nothing of keys, versions or the base.

mod append;
mod changes;
pub(crate) mod collection;
pub(crate) mod diff;
pub(crate) mod entry;
mod fields;
mod read;
pub(crate) mod record;
mod rewind;
mod segment;
pub(crate) mod side;
mod sync;

#[cfg(test)]
pub(crate) use append::AmidSync;
pub use append::Durable;
pub(crate) use append::{Begun, Log, LogStats};
pub use changes::{Change, ChangeKind, Changes};
pub(crate) use fields::Fields;
pub use read::{OplogCursor, OplogEntry, OplogReader};
pub(crate) use record::Record;
pub(crate) use rewind::Place;
