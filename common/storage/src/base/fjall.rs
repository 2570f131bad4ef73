//! fjall 3 as base. The only file that names it.
//! Its journal is written without a sync until `flush`, in order, so a crash keeps a prefix. Its blocks carry checksums.
//! Ranges are taken on a snapshot of their own: a plain range may miss what moves during a compaction.

use super::engine::{BaseIter, Bounds, Engine, Write};
use crate::Error;
use crate::scan::Direction;
use bytes::Bytes;
use fjall::compaction::Leveled;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Writes that are gathered in memory before they are sorted into a table: this part of the cache, within bounds. All that may be
/// in memory at once are taken off what blocks may use.
const MEMTABLE_PART: usize = 6;
const MEMTABLE_BYTES_MIN: usize = 2 * 1024 * 1024;
const MEMTABLE_BYTES_MAX: usize = 32 * 1024 * 1024;
/// What an entry of a memtable costs beside key and value, about.
const ENTRY_BYTES: usize = 64;
/// When the engine turns to the next memtable by itself. A keyspace keeps for good what it was made with, while the cache may have
/// another size after each start, so this only has to be more than what [`Fjall`] goes by.
const MEMTABLE_BYTES_OWN: u64 = 2 * MEMTABLE_BYTES_MAX as u64;
/// Compactions take tables of four times this and what they overlap with; larger ones hold more memory while they run, smaller ones
/// make more files.
const TABLE_BYTES: u64 = 16 * 1024 * 1024;
const JOURNAL_BYTES_MAX: u64 = 96 * 1024 * 1024;
/// Memtables that may be in memory: one is filled, one is written, and one waits. A disk that is slower than the writer would let
/// as many wait as the journal holds.
const MEMTABLES_MAX: usize = 3;
/// A writer looks again this often whether one was written, so many times at most.
const ROOM_CHECK_EVERY: Duration = Duration::from_millis(2);
const ROOM_CHECKS_MAX: u32 = 1000;
/// Flushes and compactions; more would take the cores of those who wait for answers.
const WORKERS: usize = 2;

/// The engine.
pub(crate) struct Fjall {
    db: Database,
    values: Keyspace,
    /// The size of a memtable, in bytes.
    memtable: usize,
    /// About what the one that is filled holds.
    filled: AtomicUsize,
}

impl Fjall {
    pub(crate) fn open(dir: &Path, cache_bytes: usize) -> Result<Fjall, Error> {
        let memtable = (cache_bytes / MEMTABLE_PART).clamp(MEMTABLE_BYTES_MIN, MEMTABLE_BYTES_MAX);
        let db = Database::builder(dir)
            .cache_size(cache_bytes.saturating_sub(MEMTABLES_MAX * memtable).max(cache_bytes / 4) as u64)
            .worker_threads(WORKERS)
            .max_journaling_size(JOURNAL_BYTES_MAX)
            .manual_journal_persist(true)
            .open()
            .map_err(failed)?;
        let options = || {
            KeyspaceCreateOptions::default()
                .max_memtable_size(MEMTABLE_BYTES_OWN)
                .compaction_strategy(Arc::new(Leveled::default().with_table_target_size(TABLE_BYTES)))
                .manual_journal_persist(true)
                .expect_point_read_hits(true)
        };
        let values = db.keyspace("values", options).map_err(failed)?;
        // What the journal brought back may be more than a cache of this size has room for.
        let filled = AtomicUsize::new(usize::try_from(db.write_buffer_size()).unwrap_or(usize::MAX));
        Ok(Fjall { db, values, memtable, filled })
    }

    /// Turns to the next memtable when one is full.
    fn make_room(&self, bytes: usize) -> Result<(), Error> {
        let filled = self.filled.fetch_add(bytes, Ordering::AcqRel).saturating_add(bytes);
        if filled > self.memtable {
            self.filled.store(0, Ordering::Release);
            self.values.rotate_memtable().map_err(failed)?;
        }
        Ok(())
    }

    /// Waits while too many memtables are in memory.
    fn wait_for_room(&self) {
        for _ in 0..ROOM_CHECKS_MAX {
            if self.db.write_buffer_size() <= (self.memtable * MEMTABLES_MAX) as u64 {
                return;
            }
            std::thread::park_timeout(ROOM_CHECK_EVERY);
        }
    }
}

impl Engine for Fjall {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        // A copy: it may be kept for long, and what it is a part of is a whole block.
        Ok(self.values.get(key).map_err(failed)?.map(|value| Bytes::copy_from_slice(&value)))
    }

    fn range(&self, bounds: Bounds, direction: Direction) -> BaseIter {
        if is_empty(&bounds) {
            return Box::new(std::iter::empty());
        }
        let mut inner = self.db.snapshot().range(&self.values, bounds);
        Box::new(std::iter::from_fn(move || {
            let next = match direction {
                Direction::Forward => inner.next(),
                Direction::Backward => inner.next_back(),
            }?;
            Some(next.into_inner().map(|(key, value)| (Bytes::from(key), Bytes::from(value))).map_err(failed))
        }))
    }

    fn write(&self, writes: &[Write]) -> Result<(), Error> {
        self.make_room(0)?;
        self.wait_for_room();
        // One entry of the journal for all: whole or not at all after a crash, and cheaper than one for each.
        let mut batch = self.db.batch();
        let mut put = |key: &Bytes, value: &Option<Bytes>| match value {
            Some(value) => batch.insert(&self.values, key.clone(), value.clone()),
            None => batch.remove(&self.values, key.clone()),
        };
        if writes.is_sorted_by(|left, right| left.key < right.key) {
            writes.iter().for_each(|write| put(&write.key, &write.value));
        } else {
            // All of a batch have one number: of two for one key either might win.
            let last: BTreeMap<&Bytes, &Option<Bytes>> =
                writes.iter().map(|write| (&write.key, &write.value)).collect();
            last.into_iter().for_each(|(key, value)| put(key, value));
        }
        batch.commit().map_err(failed)?;
        let size = |write: &Write| ENTRY_BYTES + write.key.len() + write.value.as_ref().map_or(0, Bytes::len);
        self.make_room(writes.iter().map(size).sum())
    }

    fn flush(&self) -> Result<(), Error> {
        self.db.persist(PersistMode::Buffer).map_err(failed)?;
        self.db.persist(PersistMode::SyncAll).map_err(|error| Error::Unsynced(error.to_string()))
    }

    fn size(&self) -> u64 {
        self.db.disk_space().unwrap_or(0)
    }

    fn cleans_beyond(&self) -> Option<f64> {
        None
    }

    /// Each block carries a checksum of 128 bits, which is compared whenever it is read.
    fn checks_reads(&self) -> bool {
        true
    }
}

/// Bounds that its range would refuse with a panic.
fn is_empty((start, end): &Bounds) -> bool {
    use std::ops::Bound::{Excluded, Included, Unbounded};
    match (start, end) {
        (Unbounded, _) | (_, Unbounded) => false,
        (Included(start), Included(end)) => start > end,
        (Included(start) | Excluded(start), Included(end) | Excluded(end)) => start >= end,
    }
}

fn failed(error: fjall::Error) -> Error {
    Error::Base(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BATCH: usize = 256;

    fn fill(base: &Fjall, from: u32, count: u32) {
        for start in (from..from + count).step_by(BATCH) {
            let write = |number: u32| Write {
                key: Bytes::copy_from_slice(&number.to_be_bytes()),
                value: Some(Bytes::from(vec![7; 1024])),
            };
            base.write(&(start..start + BATCH as u32).map(write).collect::<Vec<_>>()).unwrap();
        }
    }

    /// A keyspace keeps the size of memtables that it was made with: with it, a smaller cache would wait for each batch in vain.
    #[test]
    fn a_smaller_cache_has_smaller_memtables_after_a_start() {
        let dir = tempfile::tempdir().unwrap();
        let base = Fjall::open(dir.path(), 192 << 20).unwrap();
        fill(&base, 0, 20 << 10);
        base.flush().unwrap();
        drop(base);
        let base = Fjall::open(dir.path(), 12 << 20).unwrap();
        assert_eq!(base.memtable, MEMTABLE_BYTES_MIN);
        for round in 0..8 {
            fill(&base, round << 10, 1 << 10);
            let most = (base.memtable * (MEMTABLES_MAX + 1)) as u64;
            assert!(base.db.write_buffer_size() <= most, "{} bytes wait", base.db.write_buffer_size());
        }
    }
}
