//! What replication asks of storage: a log that grows at one end and may be cut there, facts that outlive a crash, and copies of the data.
//! All calls but the waits block. [`crate::store_data`] is the product's, [`crate::memory`] a small one for tests.

use crate::changes::Closed;
use bson::{RawBson, RawDocumentBuf};
use bytes::Bytes;
use command::BoxFuture;
use std::path::PathBuf;
use tokio::sync::watch;
use types::{Fault, OpTime, Timestamp, Uuid};

pub(crate) use storage::LogRecord;

/// What a log has at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Located {
    Found,
    /// The log goes back that far and has no such entry.
    NotThere {
        last: OpTime,
    },
    /// The log begins later.
    TooOld {
        first: OpTime,
    },
}

/// A stretch of a collection's records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyRange {
    pub(crate) uuid: Uuid,
    /// Empty is unbounded.
    pub(crate) from: Bytes,
    /// Not in it; `None` is unbounded.
    pub(crate) to: Option<Bytes>,
}

/// Records of the log in their order. At the end `next` is `Ok(None)`; asked again later it goes on.
pub(crate) trait Records: Send {
    /// The next one.
    ///
    /// # Errors
    /// If the log was cut back since, or cannot be read.
    fn next(&mut self) -> Result<Option<LogRecord>, Fault>;
}

/// A copy that is under way.
#[derive(Debug, Clone)]
pub(crate) struct Import {
    /// The log is applied from here on.
    pub(crate) from: OpTime,
    pub(crate) has_catalog: bool,
    /// The log has to be applied up to there.
    pub(crate) newest: Timestamp,
    /// The note of [`Data::set_import_progress`].
    pub(crate) progress: RawDocumentBuf,
}

/// What a copy of the data begins with.
#[derive(Debug, Clone)]
pub(crate) struct Export {
    /// The end of the log: what follows it is to be applied after the copy.
    pub(crate) last: OpTime,
    /// When catalogue and ranges are from.
    pub(crate) at: Timestamp,
    pub(crate) catalog: Vec<RawDocumentBuf>,
    pub(crate) ranges: Vec<KeyRange>,
    /// Roughly, of all records.
    pub(crate) bytes: u64,
}

/// A piece of a copy: records as they are at one time, and whether more follow in the range.
#[derive(Debug, Clone)]
pub(crate) struct Piece {
    pub(crate) at: Timestamp,
    pub(crate) records: Vec<(Bytes, Bytes)>,
}

/// The records of one range, at one time.
pub(crate) trait Pieces: Send {
    /// The next ones; `None` at the end.
    ///
    /// # Errors
    /// If they cannot be read, or the collection is gone.
    fn next(&mut self) -> Result<Option<Piece>, Fault>;
}

/// The time up to which reads see everything, as it goes on.
pub(crate) trait Visible: Send {
    /// What it is now; `changed` speaks of what comes after.
    fn take(&mut self) -> Timestamp;
    /// Ends when there was a commit since it was last looked at.
    fn changed(&mut self) -> futures::future::BoxFuture<'_, Result<(), Closed>>;
}

impl Visible for watch::Receiver<Timestamp> {
    fn take(&mut self) -> Timestamp {
        *self.borrow_and_update()
    }

    fn changed(&mut self) -> futures::future::BoxFuture<'_, Result<(), Closed>> {
        Box::pin(async { watch::Receiver::changed(self).await.map_err(|_| Closed) })
    }
}

/// Storage, as replication sees it.
pub(crate) trait Data: Send + Sync + 'static {
    /// The last entry.
    fn last(&self) -> OpTime;
    /// Up to where the log is synced.
    fn durable(&self) -> OpTime;
    /// The time up to which reads see everything; changes with every commit.
    fn visible(&self) -> Box<dyn Visible>;
    /// Ends when the log is synced up to somewhere else than `durable`, or never again will be.
    fn synced_past(&self, durable: OpTime) -> BoxFuture<()>;
    /// Asks for a sync up to there, and waits for nothing.
    fn ask_for_sync(&self, at: OpTime);
    /// Asks for a sync, and ends when the log is synced up to there.
    fn sync_to(&self, at: OpTime) -> BoxFuture<Result<(), Fault>>;

    /// Lets commits happen, in that term, or no longer. No commit appears after `None` returned.
    fn set_writable(&self, term: Option<i64>);
    /// Writes an entry that changes nothing. The log has to be writable.
    ///
    /// # Errors
    /// If the log cannot be written.
    fn noop(&self, message: &bson::RawDocument) -> Result<OpTime, Fault>;
    /// Whether to apply these takes so little time that a thread for it would cost more.
    fn is_brief(&self, records: &[LogRecord]) -> bool;
    /// Applies records that follow the last one, all visible together.
    ///
    /// # Errors
    /// If that fails, the process ends.
    fn apply(&self, records: &[LogRecord]) -> Result<OpTime, Fault>;
    /// Whether the log has that entry.
    ///
    /// # Errors
    /// If the log cannot be read.
    fn locate(&self, at: OpTime) -> Result<Located, Fault>;
    /// The records after an entry that the log has.
    ///
    /// # Errors
    /// If the log cannot be read.
    fn records_after(&self, after: OpTime) -> Result<Box<dyn Records>, Fault>;
    /// Places before one, or before the end, latest first.
    ///
    /// # Errors
    /// If the log cannot be read.
    fn op_times_before(&self, before: Option<OpTime>, limit: usize) -> Result<Vec<OpTime>, Fault>;
    /// Cuts everything after that entry from log and data, and keeps it in files: how many entries, and where. `None` if the data
    /// as they were then are not to be had any more; nothing has changed then.
    ///
    /// # Errors
    /// If that fails, the process ends.
    fn roll_back_to(&self, to: OpTime) -> Result<Option<(u64, Vec<PathBuf>)>, Fault>;
    /// The size of the log.
    fn log_bytes(&self) -> u64;
    /// Whether the last primary began something that a new one has to finish before it takes writes.
    fn has_unfinished(&self) -> bool;
    /// A new primary finishes what the last one had begun. The log has to be writable.
    ///
    /// # Errors
    /// If storage fails.
    fn take_over(&self) -> Result<(), Fault>;

    /// A fact that outlives a crash.
    fn fact(&self, name: &str) -> Option<RawBson>;
    /// Sets a fact; it is on disk when this returns.
    ///
    /// # Errors
    /// If the disk fails; the process ends then.
    fn put_fact(&self, name: &str, value: RawBson) -> Result<(), Fault>;

    /// Where the log of the source is kept while a copy goes on.
    fn spool_path(&self) -> PathBuf;
    /// A copy that was begun and not finished: then there is no data.
    fn importing(&self) -> Option<Import>;
    /// Throws the data away; the log begins after `last`.
    ///
    /// # Errors
    /// If storage fails.
    fn begin_import(&self, last: OpTime) -> Result<(), Fault>;
    /// Makes the collections of another member.
    ///
    /// # Errors
    /// If storage fails, or the catalogue is not to be understood.
    fn import_catalog(&self, at: Timestamp, catalog: &[RawDocumentBuf]) -> Result<(), Fault>;
    /// Keeps a note of how far the copy is; what was imported before is on disk with it.
    ///
    /// # Errors
    /// If storage fails.
    fn set_import_progress(&self, progress: RawDocumentBuf) -> Result<(), Fault>;
    /// Takes records as they were at a time.
    ///
    /// # Errors
    /// If storage fails.
    fn import_records(&self, uuid: Uuid, piece: &Piece) -> Result<(), Fault>;
    /// The copy and the log together are whole.
    ///
    /// # Errors
    /// If storage fails.
    fn finish_import(&self, last: OpTime) -> Result<(), Fault>;
    /// What another member's copy of this one begins with.
    ///
    /// # Errors
    /// If storage fails.
    fn export(&self, parts: usize) -> Result<Export, Fault>;
    /// The records of a range after a key, as they are now.
    ///
    /// # Errors
    /// If storage fails, or there is no such collection.
    fn export_range(&self, range: &KeyRange, after: Option<&Bytes>) -> Result<Box<dyn Pieces>, Fault>;
}
