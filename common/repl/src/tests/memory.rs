//! A log and facts in memory that behave as storage's do: what is not synced is lost by a crash, what is cut ends the cursors. An entry
//! is `{k, v}` and sets a key; a copy is all keys with the times of their last entries.

use crate::changes;
use crate::data::{Data, Export, Import, KeyRange, Located, LogRecord, Piece, Pieces, Records, Visible};
use bson::{RawBson, RawDocument, RawDocumentBuf};
use bytes::Bytes;
use command::BoxFuture;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::time::Duration;
use tokio::sync::watch;
use types::{Code, Fault, OpTime, Timestamp, Uuid};

#[derive(Debug, Clone, Default)]
struct Inner {
    /// Before the first entry.
    start: OpTime,
    log: Vec<LogRecord>,
    writable: Option<i64>,
    facts: BTreeMap<String, RawBson>,
    keys: BTreeMap<Bytes, (Timestamp, Bytes)>,
    epoch: u64,
    importing: Option<(OpTime, bool, Timestamp, RawDocumentBuf)>,
    /// What a rollback kept in files.
    undone: Vec<LogRecord>,
    /// What crashes took before it was synced.
    crashed: Vec<LogRecord>,
}

/// What a simulation does with a member's disk, and sees of it.
pub(super) trait Disk: std::fmt::Debug + Send + Sync {
    /// How long the next sync takes.
    fn sync_time(&self) -> Duration;
    /// Of so many records that are not synced, how many are on disk all the same when the process dies.
    fn survivors(&self, unsynced: usize) -> usize;
    /// The log takes writes of clients in that term.
    fn opened(&self, term: i64);
}

impl Inner {
    /// The keys as the log says, after it was cut.
    fn replay(&mut self) {
        let last = self.last().ts;
        self.keys.retain(|_, (at, _)| *at <= last);
        for record in std::mem::take(&mut self.log) {
            self.take(&record);
        }
    }

    fn last(&self) -> OpTime {
        self.log.last().map_or(self.start, |record| record.at)
    }

    fn take(&mut self, record: &LogRecord) {
        if let Ok(entry) = RawDocument::from_bytes(&record.entry)
            && let (Ok(key), Ok(value)) = (entry.get_str("k"), entry.get_str("v"))
        {
            let (key, value) =
                (Bytes::copy_from_slice(key.as_bytes()), Bytes::copy_from_slice(value.as_bytes()));
            // A copy may be newer than the log that follows it.
            if self.keys.get(&key).is_none_or(|(at, _)| *at < record.at.ts) {
                self.keys.insert(key, (record.at.ts, value));
            }
        }
        self.log.push(record.clone());
    }
}

/// The data of one member.
#[derive(Debug)]
pub(super) struct Memory {
    inner: Arc<Mutex<Inner>>,
    visible: changes::Sender<Timestamp>,
    synced: Arc<watch::Sender<OpTime>>,
    disk: Option<Arc<dyn Disk>>,
    dir: Arc<tempfile::TempDir>,
    /// A copy waits until the other end is dropped.
    held: Mutex<Option<mpsc::Receiver<()>>>,
}

const UUID: Uuid = Uuid([7; 16]);

impl Memory {
    pub(super) fn new() -> Arc<Memory> {
        Memory::of(Inner::default(), None, Arc::new(tempfile::tempdir().unwrap()))
    }

    /// On a disk that is not always quick.
    pub(super) fn on(disk: Arc<dyn Disk>) -> Arc<Memory> {
        Memory::of(Inner::default(), Some(disk), Arc::new(tempfile::tempdir().unwrap()))
    }

    fn of(inner: Inner, disk: Option<Arc<dyn Disk>>, dir: Arc<tempfile::TempDir>) -> Arc<Memory> {
        let last = inner.last();
        Arc::new(Memory {
            inner: Arc::new(Mutex::new(inner)),
            visible: changes::Sender::new(last.ts),
            synced: Arc::new(watch::channel(last).0),
            disk,
            dir,
            held: Mutex::default(),
        })
    }

    /// The next copy from here waits until what is returned is dropped.
    pub(super) fn hold_copy(&self) -> mpsc::Sender<()> {
        let (release, held) = mpsc::channel();
        *self.held.lock() = Some(held);
        release
    }

    /// How often everything here was thrown away or a part of it cut.
    pub(super) fn epoch(&self) -> u64 {
        self.inner.lock().epoch
    }

    /// What a process finds that starts after this one was killed.
    pub(super) fn after_crash(&self) -> Arc<Memory> {
        let mut inner = self.inner.lock().clone();
        let synced = *self.synced.borrow();
        let mut keep = inner.log.partition_point(|record| record.at <= synced);
        if let Some(disk) = &self.disk {
            keep += disk.survivors(inner.log.len() - keep);
        }
        let lost = inner.log.split_off(keep);
        inner.crashed.extend(lost);
        inner.replay();
        inner.writable = None;
        Memory::of(inner, self.disk.clone(), self.dir.clone())
    }

    /// Sets a key, as a client's write does.
    pub(super) fn write(&self, key: &str, value: &str) -> Result<OpTime, Fault> {
        self.append(bson::rawdoc! { "k": key, "v": value })
    }

    fn append(&self, entry: RawDocumentBuf) -> Result<OpTime, Fault> {
        let mut inner = self.inner.lock();
        let term = inner.writable.ok_or_else(|| Fault::new(Code::NotWritablePrimary, "not writable"))?;
        let ts = Timestamp(inner.last().ts.0.max(1 << 32) + 1);
        let at = OpTime { ts, term };
        inner.take(&LogRecord { at, entry: entry.into_bytes().into(), side: Bytes::new() });
        drop(inner);
        self.visible.set(ts);
        Ok(at)
    }

    pub(super) fn value(&self, key: &str) -> Option<String> {
        let inner = self.inner.lock();
        inner.keys.get(key.as_bytes()).map(|(_, value)| String::from_utf8_lossy(value).into_owned())
    }

    pub(super) fn places(&self) -> Vec<OpTime> {
        self.inner.lock().log.iter().map(|record| record.at).collect()
    }

    pub(super) fn undone(&self) -> usize {
        self.inner.lock().undone.len()
    }

    /// The log, what rollbacks undid of it, and what crashes took.
    pub(super) fn history(&self) -> [Vec<LogRecord>; 3] {
        let inner = self.inner.lock();
        [inner.log.clone(), inner.undone.clone(), inner.crashed.clone()]
    }

    /// The last entry up to a time, and which of the keys were not there then.
    pub(super) fn look(&self, until: Timestamp, keys: &[String]) -> (OpTime, Vec<String>) {
        let inner = self.inner.lock();
        let count = inner.log.partition_point(|record| record.at.ts <= until);
        let last =
            count.checked_sub(1).and_then(|last| inner.log.get(last)).map_or(inner.start, |last| last.at);
        let is_missing = |key: &&String| inner.keys.get(key.as_bytes()).is_none_or(|(at, _)| *at > until);
        (last, keys.iter().filter(is_missing).cloned().collect())
    }

    /// Forgets the older half of the log.
    pub(super) fn truncate(&self) {
        let mut inner = self.inner.lock();
        let half = inner.log.len() / 2;
        let gone: Vec<LogRecord> = inner.log.drain(..half).collect();
        inner.start = gone.last().map_or(inner.start, |record| record.at);
    }
}

impl Visible for changes::Receiver<Timestamp> {
    fn take(&mut self) -> Timestamp {
        changes::Receiver::take(self)
    }

    fn changed(&mut self) -> futures::future::BoxFuture<'_, Result<(), changes::Closed>> {
        Box::pin(changes::Receiver::changed(self))
    }
}

struct Cursor {
    inner: Arc<Mutex<Inner>>,
    epoch: u64,
    after: OpTime,
}

impl Records for Cursor {
    fn next(&mut self) -> Result<Option<LogRecord>, Fault> {
        let inner = self.inner.lock();
        if inner.epoch != self.epoch {
            return Err(Fault::new(Code::InterruptedDueToReplStateChange, "rolled back"));
        }
        if self.after < inner.start {
            return Err(Fault::new(Code::CappedPositionLost, "the log begins later"));
        }
        let next = inner.log.partition_point(|record| record.at <= self.after);
        let next = inner.log.get(next).cloned();
        self.after = next.as_ref().map_or(self.after, |record| record.at);
        Ok(next)
    }
}

struct All {
    piece: Option<Piece>,
    held: Option<mpsc::Receiver<()>>,
}

impl Pieces for All {
    fn next(&mut self) -> Result<Option<Piece>, Fault> {
        if let Some(held) = self.held.take() {
            held.recv().unwrap_err();
        }
        Ok(self.piece.take())
    }
}

impl Data for Memory {
    fn last(&self) -> OpTime {
        self.inner.lock().last()
    }

    fn durable(&self) -> OpTime {
        *self.synced.borrow()
    }

    fn visible(&self) -> Box<dyn Visible> {
        Box::new(self.visible.subscribe())
    }

    fn synced_past(&self, durable: OpTime) -> BoxFuture<()> {
        let mut synced = self.synced.subscribe();
        Box::pin(async move {
            if synced.wait_for(|at| *at != durable).await.is_err() {
                std::future::pending::<()>().await;
            }
        })
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a disk has no owner, and a crash of its host ends the task"
    )]
    fn ask_for_sync(&self, at: OpTime) {
        let synced = self.sync_to(at);
        match self.disk {
            Some(_) => drop(tokio::spawn(synced)),
            None => drop(futures::FutureExt::now_or_never(synced)),
        }
    }

    fn sync_to(&self, _at: OpTime) -> BoxFuture<Result<(), Fault>> {
        let (last, epoch) = {
            let inner = self.inner.lock();
            (inner.last(), inner.epoch)
        };
        let (inner, synced) = (self.inner.clone(), self.synced.clone());
        let Some(disk) = &self.disk else {
            // At once, also if nobody waits for it.
            synced.send_if_modified(|synced| std::mem::replace(synced, last) != last);
            return Box::pin(std::future::ready(Ok(())));
        };
        let time = disk.sync_time();
        Box::pin(async move {
            tokio::time::sleep(time).await;
            let inner = inner.lock();
            if inner.epoch != epoch {
                return Err(Fault::new(Code::InterruptedDueToReplStateChange, "cut meanwhile"));
            }
            synced.send_if_modified(|synced| {
                let is_new = *synced < last;
                *synced = last.max(*synced);
                is_new
            });
            Ok(())
        })
    }

    fn set_writable(&self, term: Option<i64>) {
        self.inner.lock().writable = term;
        if let (Some(disk), Some(term)) = (&self.disk, term) {
            disk.opened(term);
        }
    }

    fn noop(&self, message: &RawDocument) -> Result<OpTime, Fault> {
        self.append(message.to_owned())
    }

    fn is_brief(&self, records: &[LogRecord]) -> bool {
        // Both ways are gone.
        records.len().is_multiple_of(2)
    }

    fn apply(&self, records: &[LogRecord]) -> Result<OpTime, Fault> {
        let mut inner = self.inner.lock();
        assert!(inner.writable.is_none(), "a member that takes writes applies none of others");
        for record in records {
            assert!(record.at > inner.last(), "{} does not follow {}", record.at, inner.last());
            inner.take(record);
        }
        let last = inner.last();
        drop(inner);
        self.visible.set(last.ts);
        Ok(last)
    }

    fn locate(&self, at: OpTime) -> Result<Located, Fault> {
        let inner = self.inner.lock();
        Ok(match inner.log.binary_search_by_key(&at, |record| record.at) {
            Ok(_) => Located::Found,
            Err(_) if at == inner.start => Located::Found,
            Err(0) if at < inner.start => {
                Located::TooOld { first: inner.log.first().map_or(inner.start, |first| first.at) }
            }
            Err(_) => Located::NotThere { last: inner.last() },
        })
    }

    fn records_after(&self, after: OpTime) -> Result<Box<dyn Records>, Fault> {
        let epoch = self.inner.lock().epoch;
        Ok(Box::new(Cursor { inner: self.inner.clone(), epoch, after }))
    }

    fn op_times_before(&self, before: Option<OpTime>, limit: usize) -> Result<Vec<OpTime>, Fault> {
        let inner = self.inner.lock();
        let places = inner.log.iter().rev().map(|record| record.at);
        Ok(places.filter(|at| before.is_none_or(|before| *at < before)).take(limit).collect())
    }

    fn roll_back_to(&self, to: OpTime) -> Result<Option<(u64, Vec<PathBuf>)>, Fault> {
        let mut inner = self.inner.lock();
        let keep = inner.log.partition_point(|record| record.at <= to);
        let cut: Vec<LogRecord> = inner.log.drain(keep..).collect();
        inner.undone.extend(cut.iter().cloned());
        inner.replay();
        inner.epoch += 1;
        let last = inner.last();
        drop(inner);
        self.visible.set(last.ts);
        self.synced.send_replace(last);
        Ok(Some((cut.len() as u64, Vec::new())))
    }

    fn log_bytes(&self) -> u64 {
        // Long enough to be copied rather than replayed, once it was cut at the front.
        if self.inner.lock().start == OpTime::default() { 0 } else { u64::MAX }
    }

    fn has_unfinished(&self) -> bool {
        false
    }

    fn take_over(&self) -> Result<(), Fault> {
        Ok(())
    }

    fn fact(&self, name: &str) -> Option<RawBson> {
        self.inner.lock().facts.get(name).cloned()
    }

    fn put_fact(&self, name: &str, value: RawBson) -> Result<(), Fault> {
        self.inner.lock().facts.insert(name.to_owned(), value);
        Ok(())
    }

    fn spool_path(&self) -> PathBuf {
        self.dir.path().join("spool")
    }

    fn importing(&self) -> Option<Import> {
        let (from, has_catalog, newest, progress) = self.inner.lock().importing.clone()?;
        Some(Import { from, has_catalog, newest, progress })
    }

    fn begin_import(&self, last: OpTime) -> Result<(), Fault> {
        let mut inner = self.inner.lock();
        *inner = Inner {
            start: last,
            facts: std::mem::take(&mut inner.facts),
            epoch: inner.epoch + 1,
            undone: std::mem::take(&mut inner.undone),
            crashed: std::mem::take(&mut inner.crashed),
            importing: Some((last, false, last.ts, RawDocumentBuf::new())),
            ..Inner::default()
        };
        Ok(())
    }

    fn import_catalog(&self, at: Timestamp, _catalog: &[RawDocumentBuf]) -> Result<(), Fault> {
        if let Some((_, has_catalog, newest, _)) = &mut self.inner.lock().importing {
            *has_catalog = true;
            *newest = at.max(*newest);
        }
        Ok(())
    }

    fn set_import_progress(&self, progress: RawDocumentBuf) -> Result<(), Fault> {
        if let Some((.., held)) = &mut self.inner.lock().importing {
            *held = progress;
        }
        Ok(())
    }

    fn import_records(&self, uuid: Uuid, piece: &Piece) -> Result<(), Fault> {
        assert_eq!(uuid, UUID);
        let mut inner = self.inner.lock();
        for (key, value) in &piece.records {
            inner.keys.insert(key.clone(), (piece.at, value.clone()));
        }
        if let Some((_, _, newest, _)) = &mut inner.importing {
            *newest = piece.at.max(*newest);
        }
        Ok(())
    }

    fn finish_import(&self, last: OpTime) -> Result<(), Fault> {
        let mut inner = self.inner.lock();
        assert!(inner.importing.take().is_some_and(|(_, _, newest, _)| newest <= last.ts));
        Ok(())
    }

    fn export(&self, _parts: usize) -> Result<Export, Fault> {
        let inner = self.inner.lock();
        let range = KeyRange { uuid: UUID, from: Bytes::new(), to: None };
        let last = inner.last();
        Ok(Export { last, at: last.ts, catalog: vec![RawDocumentBuf::new()], ranges: vec![range], bytes: 0 })
    }

    fn export_range(&self, _range: &KeyRange, after: Option<&Bytes>) -> Result<Box<dyn Pieces>, Fault> {
        let inner = self.inner.lock();
        let rest = inner.keys.iter().filter(|(key, _)| after.is_none_or(|after| *key > after));
        let records = rest.map(|(key, (_, value))| (key.clone(), value.clone())).collect();
        let piece = Some(Piece { at: inner.last().ts, records });
        Ok(Box::new(All { piece, held: self.held.lock().take() }))
    }
}
