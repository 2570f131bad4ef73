//! A deterministic clock, a base that crashes on demand, and a model of what a store should hold.

use crate::base::{BaseIter, Bounds, Engine, Write};
use crate::options::{Clock, EngineKind, Options};
use crate::scan::Direction;
use crate::{CommitMeta, Error, Snapshot, Store};
use bson::{Document, RawBsonRef, RawDocumentBuf};
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use types::{Namespace, Timestamp};
use value::interval::KeyRange;

/// Goes on by a millisecond with each look.
pub(super) struct Ticks(AtomicI64);

impl Clock for Ticks {
    fn wall_millis(&self) -> i64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

pub(super) fn options(dir: &Path, engine: EngineKind) -> Options {
    Options {
        engine,
        cache_bytes: 1 << 20,
        oplog_segment_bytes: 8 * 1024,
        // Checkpoints when the test says so.
        checkpoint_interval: Duration::from_secs(3600),
        sync_interval: Duration::from_millis(5),
        history_window: Duration::ZERO,
        ..Options::new(dir, Arc::new(Ticks(AtomicI64::new(1_700_000_000_000))))
    }
}

pub(super) fn ns(name: &str) -> Namespace {
    Namespace::parse(name).unwrap()
}

pub(super) fn raw(doc: &Document) -> RawDocumentBuf {
    RawDocumentBuf::try_from(doc).unwrap()
}

pub(super) fn key(id: i32) -> Vec<u8> {
    value::key::of(RawBsonRef::Int32(id))
}

/// `_id` → document.
pub(super) type Records = BTreeMap<i32, Document>;
/// Collection → records.
pub(super) type State = BTreeMap<String, Records>;

pub(super) fn read(
    snapshot: &Snapshot,
    store: &Store,
    name: &str,
    direction: Direction,
) -> Vec<(i32, Document)> {
    let catalog = store.catalog();
    let collection = catalog.get(&ns(name)).unwrap();
    snapshot
        .scan(collection, &KeyRange::all(), direction)
        .map(|record| {
            let (key, doc) = record.unwrap();
            let doc = Document::try_from(&*doc).unwrap();
            let id = doc.get_i32("_id").unwrap();
            assert_eq!(key.as_ref(), self::key(id));
            (id, doc)
        })
        .collect()
}

/// The whole store is exactly this, in records, indexes and counts.
pub(super) fn assert_state(store: &Store, want: &State) {
    let names: Vec<String> = store.catalog().all().map(|collection| collection.ns.to_string()).collect();
    assert_eq!(names, want.keys().cloned().collect::<Vec<_>>());
    let snapshot = store.snapshot();
    for (name, records) in want {
        let found = read(&snapshot, store, name, Direction::Forward);
        assert_eq!(found, records.clone().into_iter().collect::<Vec<_>>(), "{name}");
        let catalog = store.catalog();
        let collection = catalog.get(&ns(name)).unwrap();
        let validation = store.validate(collection).unwrap();
        assert_eq!(validation.errors, Vec::<String>::new(), "{name}");
        assert_eq!(store.stats(collection).records, records.len() as u64);
    }
}

/// Writes one document, or removes it, in a batch of its own.
pub(super) fn put(store: &Store, name: &str, id: i32, doc: Option<&Document>) -> Result<Timestamp, Error> {
    let catalog = store.catalog();
    let collection = catalog.get(&ns(name)).unwrap();
    let snapshot = store.snapshot();
    let old = snapshot.get(collection, &key(id))?;
    let mut batch = store.batch(snapshot);
    match (old, doc) {
        (None, Some(doc)) => {
            batch.insert(collection, &raw(doc))?;
        }
        (Some(old), Some(doc)) => batch.update(collection, &key(id), &old, &raw(doc))?,
        (Some(old), None) => batch.delete(collection, &key(id), &old)?,
        (None, None) => {}
    }
    batch.commit(CommitMeta::default()).map(|at| at.ts)
}

pub(super) const EIO: i32 = 5;
pub(super) const ENOSPC: i32 = 28;

#[derive(Default)]
struct Disk {
    journal: Vec<Write>,
    /// Writes of the journal that are synced.
    synced: usize,
    map: BTreeMap<Bytes, Bytes>,
    /// Writes until it fails.
    fuse: Option<usize>,
    /// Flushes until one fails, with its number as the system gives it.
    flush_fuse: Option<(usize, i32)>,
    /// How long a write takes.
    slow: Duration,
}

/// A base in memory that can fail after some writes, and lose any suffix of what was not synced. What was not synced when a flush
/// fails is lost for good, and served all the same: so do files whose pages a system could not write.
#[derive(Default, Clone)]
pub(super) struct Fragile(Arc<Mutex<Disk>>);

impl Fragile {
    pub(super) fn fail_after(&self, writes: Option<usize>) {
        self.0.lock().fuse = writes;
    }

    /// The flush after so many fails, once.
    pub(super) fn fail_flush(&self, after: usize, errno: i32) {
        self.0.lock().flush_fuse = Some((after, errno));
    }

    pub(super) fn slow_down(&self, write: Duration) {
        self.0.lock().slow = write;
    }

    /// What a crash may leave: `keep` of the writes since the last sync, in per cent.
    pub(super) fn crash(&self, keep: usize) -> Fragile {
        let disk = self.0.lock();
        let kept = disk.synced + (disk.journal.len() - disk.synced) * keep / 100;
        let mut after = Disk { synced: kept, journal: disk.journal[..kept].to_vec(), ..Disk::default() };
        for write in &disk.journal[..kept] {
            match &write.value {
                Some(value) => after.map.insert(write.key.clone(), value.clone()),
                None => after.map.remove(&write.key),
            };
        }
        Fragile(Arc::new(Mutex::new(after)))
    }
}

impl Engine for Fragile {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        Ok(self.0.lock().map.get(key).cloned())
    }

    fn range(&self, bounds: Bounds, direction: Direction) -> BaseIter {
        let disk = self.0.lock();
        let (start, end) = (bounds.0.as_ref(), bounds.1.as_ref());
        let inside = |key: &Bytes| {
            use std::ops::RangeBounds;
            (start, end).contains(&key)
        };
        let mut pairs: Vec<_> = disk
            .map
            .iter()
            .filter(|(key, _)| inside(key))
            .map(|(key, value)| Ok((key.clone(), value.clone())))
            .collect();
        if direction == Direction::Backward {
            pairs.reverse();
        }
        Box::new(pairs.into_iter())
    }

    fn write(&self, writes: &[Write]) -> Result<(), Error> {
        let slow = self.0.lock().slow;
        if !slow.is_zero() {
            std::thread::park_timeout(slow);
        }
        let mut disk = self.0.lock();
        for write in writes {
            match &mut disk.fuse {
                Some(0) => return Err(Error::Base("blown fuse".to_owned())),
                Some(left) => *left -= 1,
                None => {}
            }
            match &write.value {
                Some(value) => disk.map.insert(write.key.clone(), value.clone()),
                None => disk.map.remove(&write.key),
            };
            disk.journal.push(write.clone());
        }
        Ok(())
    }

    fn flush(&self) -> Result<(), Error> {
        let mut disk = self.0.lock();
        let errno = match &mut disk.flush_fuse {
            Some((0, errno)) => Some(*errno),
            Some((left, _)) => {
                *left -= 1;
                None
            }
            None => None,
        };
        if errno.is_some() || disk.fuse == Some(0) {
            let synced = disk.synced;
            disk.journal.truncate(synced);
            disk.flush_fuse = None;
            let source = std::io::Error::from_raw_os_error(errno.unwrap_or(EIO));
            return Err(Error::Unsynced(source.to_string()));
        }
        disk.synced = disk.journal.len();
        Ok(())
    }

    fn size(&self) -> u64 {
        0
    }

    fn cleans_beyond(&self) -> Option<f64> {
        None
    }

    fn checks_reads(&self) -> bool {
        false
    }
}

/// As an administrator who knows better.
pub(super) fn forget_damage(dir: &Path) {
    match std::fs::remove_file(dir.join("damaged")) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{error}"),
        _ => {}
    }
}

/// Copies a data directory, the lock aside.
pub(super) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
