//! sled 0.34 as base. The only file that names it.
//! What it forces: its flush is no fsync, so the adapter syncs through a descriptor of its own; large values would become files
//! that nobody syncs, so they are cut into pieces; batches, transactions and asynchronous flushes stall and are not used.

use super::Health;
use super::engine::{BaseIter, Bounds, Engine, Write};
use crate::Error;
use crate::scan::Direction;
use bytes::{Buf, Bytes};
use parking_lot::Mutex;
use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Once, Weak};
use std::time::Duration;

/// sled counts what a page has on disk; in memory it is more, and what was replaced goes only after a while.
const COUNTED_OF: (usize, usize) = (1, 4);
/// A leaf holds up to 17 values and is written whole; it has to stay below a quarter of a segment.
const SEGMENT_BYTES: usize = 2 * 1024 * 1024;
const PIECE_BYTES: usize = 16 * 1024;
/// sled cleans up old segments only from its flush timer, and for half of this time at most.
const CLEAN_EVERY_MILLIS: u64 = 200;
/// Times the size of what it holds.
const CLEAN_BEYOND: f64 = 2.2;

const LOCK_ATTEMPTS_MAX: u32 = 500;
const LOCK_RETRY_AFTER: Duration = Duration::from_millis(10);

const COPIED_BYTES_MAX: usize = 64;

const WHOLE: u8 = 0;
const IN_PIECES: u8 = 1;
/// Tag, set of pieces, length.
const HEADER_BYTES: usize = 1 + 8 + 8;
/// A reader meets a value that is being replaced at most this often before something is wrong.
const RETRIES_MAX: usize = 100;

/// The engine.
pub(crate) struct Sled {
    db: sled::Db,
    values: sled::Tree,
    pieces: sled::Tree,
    file: File,
    dir: PathBuf,
    synced_blobs: Mutex<HashSet<OsString>>,
    synced_conf: AtomicBool,
}

impl Sled {
    pub(crate) fn open(dir: &Path, cache_bytes: usize, health: &Arc<Health>) -> Result<Sled, Error> {
        notice_panics(health);
        let db = open_unlocked(dir, cache_bytes)?;
        let values = db.open_tree(b"values").map_err(failed)?;
        let pieces = db.open_tree(b"pieces").map_err(failed)?;
        let path = dir.join("db");
        let file = File::open(&path).map_err(Error::io(&path))?;
        let synced_blobs = Mutex::new(HashSet::new());
        let synced_conf = AtomicBool::new(false);
        Ok(Sled { db, values, pieces, file, dir: dir.to_owned(), synced_blobs, synced_conf })
    }

    fn put(&self, key: &Bytes, value: &Bytes) -> Result<(), Error> {
        let old = if value.len() <= PIECE_BYTES {
            let mut stored = Vec::with_capacity(1 + value.len());
            stored.push(WHOLE);
            stored.extend_from_slice(value);
            self.values.insert(key, stored)
        } else {
            // A new set of pieces first, then the value that names it, then the old set goes.
            let set = self.db.generate_id().map_err(failed)?;
            for (number, piece) in value.chunks(PIECE_BYTES).enumerate() {
                self.pieces.insert(piece_key(set, number), piece).map_err(failed)?;
            }
            let mut stored = Vec::with_capacity(HEADER_BYTES);
            stored.push(IN_PIECES);
            stored.extend_from_slice(&set.to_be_bytes());
            stored.extend_from_slice(&(value.len() as u64).to_be_bytes());
            self.values.insert(key, stored)
        };
        self.forget(old.map_err(failed)?)
    }

    fn remove(&self, key: &Bytes) -> Result<(), Error> {
        let old = self.values.remove(key).map_err(failed)?;
        self.forget(old)
    }

    /// Removes the pieces of a value that is no longer there.
    fn forget(&self, old: Option<sled::IVec>) -> Result<(), Error> {
        if let Some((set, length)) = old.and_then(|old| parse_header(&old)) {
            for number in 0..length.div_ceil(PIECE_BYTES) {
                self.pieces.remove(piece_key(set, number)).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// Syncs the file that says how sled lays out the others, and that all of them are there. sled writes it when it is opened, and
    /// does not sync it.
    fn sync_conf(&self) -> Result<(), Error> {
        if !self.synced_conf.swap(true, Ordering::AcqRel) {
            for path in [self.dir.join("conf"), self.dir.clone()] {
                File::open(&path).and_then(|file| file.sync_all()).map_err(Error::io(path))?;
            }
        }
        Ok(())
    }

    /// Syncs what sled wrote beside its main file, should a key have been that large.
    fn sync_blobs(&self) -> Result<(), Error> {
        let dir = self.dir.join("blobs");
        let Ok(entries) = std::fs::read_dir(&dir) else { return Ok(()) };
        let mut synced = self.synced_blobs.lock();
        let mut present = HashSet::new();
        let mut fresh = false;
        for entry in entries {
            let entry = entry.map_err(Error::io(&dir))?;
            if !synced.contains(&entry.file_name()) {
                match File::open(entry.path()) {
                    Ok(file) => file.sync_data().map_err(Error::io(entry.path()))?,
                    // Removed by sled meanwhile.
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                    Err(error) => return Err(Error::Io { path: entry.path(), source: error }),
                }
                fresh = true;
            }
            present.insert(entry.file_name());
        }
        *synced = present;
        if fresh {
            File::open(&dir).and_then(|dir| dir.sync_all()).map_err(Error::io(&dir))?;
        }
        Ok(())
    }
}

impl Engine for Sled {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        get(&self.values, &self.pieces, key)
    }

    fn range(&self, bounds: Bounds, direction: Direction) -> BaseIter {
        let mut inner = self.values.range(bounds);
        let (values, pieces) = (self.values.clone(), self.pieces.clone());
        Box::new(std::iter::from_fn(move || {
            loop {
                let next = match direction {
                    Direction::Forward => inner.next(),
                    Direction::Backward => inner.next_back(),
                }?;
                let (key, stored) = match next {
                    Ok(pair) => pair,
                    Err(error) => return Some(Err(failed(error))),
                };
                let value = match whole(&pieces, stored) {
                    Ok(Some(value)) => Ok(Some(value)),
                    // Replaced while it was read: look again.
                    Ok(None) => get(&values, &pieces, &key),
                    Err(error) => Err(error),
                };
                match value {
                    Ok(Some(value)) => return Some(Ok((shared(key), value))),
                    Ok(None) => {}
                    Err(error) => return Some(Err(error)),
                }
            }
        }))
    }

    fn write(&self, writes: &[Write]) -> Result<(), Error> {
        for write in writes {
            match &write.value {
                Some(value) => self.put(&write.key, value)?,
                None => self.remove(&write.key)?,
            }
        }
        Ok(())
    }

    fn flush(&self) -> Result<(), Error> {
        let handed = self.db.flush().map_err(failed);
        // Also after a failure: it may have been one of syncing.
        let unsynced = |error: Error| Error::Unsynced(error.to_string());
        self.sync_conf().map_err(unsynced)?;
        self.sync_blobs().map_err(unsynced)?;
        self.file.sync_all().map_err(Error::io(self.dir.join("db"))).map_err(unsynced)?;
        handed.map(drop)
    }

    fn size(&self) -> u64 {
        self.db.size_on_disk().unwrap_or(0)
    }

    /// It cleans segments of which less than half is wanted, in the background, and never faster because of a writer.
    fn cleans_beyond(&self) -> Option<f64> {
        Some(CLEAN_BEYOND)
    }

    /// Each message of its log carries a CRC-32, which is compared whenever a page is read.
    fn checks_reads(&self) -> bool {
        true
    }
}

/// sled has threads of its own, and panics over damage on them, too, where nobody hears of it: one that flushes no more looks well.
fn notice_panics(health: &Arc<Health>) {
    static OPEN: Mutex<Vec<Weak<Health>>> = Mutex::new(Vec::new());
    static ONCE: Once = Once::new();
    {
        let mut open = OPEN.lock();
        open.retain(|health| health.strong_count() > 0);
        open.push(Arc::downgrade(health));
    }
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            before(info);
            if info.location().is_some_and(|location| location.file().contains("/sled-")) {
                let open: Vec<Arc<Health>> = OPEN.lock().iter().filter_map(Weak::upgrade).collect();
                for health in open {
                    health.report(&format!("the base's engine panicked: {info}"));
                }
            }
        }));
    });
}

/// sled's threads let go of its own lock only some time after the last handle is gone. Ours on the directory is the one that
/// keeps other processes out, so this one is worth waiting for.
fn open_unlocked(dir: &Path, cache_bytes: usize) -> Result<sled::Db, Error> {
    let mut attempts = 0;
    loop {
        let opened = sled::Config::new()
            .path(dir)
            .cache_capacity((cache_bytes / COUNTED_OF.1 * COUNTED_OF.0) as u64)
            .segment_size(SEGMENT_BYTES)
            .flush_every_ms(Some(CLEAN_EVERY_MILLIS))
            .open();
        match opened {
            Err(sled::Error::Io(error)) if attempts < LOCK_ATTEMPTS_MAX && is_lock(&error) => {
                attempts += 1;
                std::thread::park_timeout(LOCK_RETRY_AFTER);
            }
            other => return other.map_err(failed),
        }
    }
}

/// sled gives no kind for this, only its sentence.
fn is_lock(error: &std::io::Error) -> bool {
    error.to_string().contains("could not acquire lock")
}

fn get(values: &sled::Tree, pieces: &sled::Tree, key: &[u8]) -> Result<Option<Bytes>, Error> {
    for _ in 0..RETRIES_MAX {
        let Some(stored) = values.get(key).map_err(failed)? else { return Ok(None) };
        if let Some(value) = whole(pieces, stored)? {
            return Ok(Some(value));
        }
    }
    Err(Error::Damaged("a large value of the base lost its pieces".to_owned()))
}

/// The value behind a stored one; `None` if its pieces are gone because it was replaced.
fn whole(pieces: &sled::Tree, stored: sled::IVec) -> Result<Option<Bytes>, Error> {
    if stored.first() == Some(&WHOLE) {
        let mut value = shared(stored);
        value.advance(1);
        return Ok(Some(value));
    }
    let Some((set, length)) = parse_header(&stored) else {
        return Err(Error::Damaged("value of the base with an unknown tag".to_owned()));
    };
    let mut value = Vec::with_capacity(length);
    for number in 0..length.div_ceil(PIECE_BYTES) {
        match pieces.get(piece_key(set, number)).map_err(failed)? {
            Some(piece) => value.extend_from_slice(&piece),
            None => return Ok(None),
        }
    }
    if value.len() == length { Ok(Some(Bytes::from(value))) } else { Ok(None) }
}

/// Short ones are cheaper to copy than to share.
fn shared(bytes: sled::IVec) -> Bytes {
    if bytes.len() <= COPIED_BYTES_MAX { Bytes::copy_from_slice(&bytes) } else { Bytes::from_owner(bytes) }
}

fn parse_header(stored: &[u8]) -> Option<(u64, usize)> {
    let (tag, rest) = stored.split_first()?;
    if *tag != IN_PIECES {
        return None;
    }
    let (set, length) = rest.split_first_chunk::<8>()?;
    let length = u64::from_be_bytes(length.try_into().ok()?);
    Some((u64::from_be_bytes(*set), usize::try_from(length).ok()?))
}

fn piece_key(set: u64, number: usize) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&set.to_be_bytes());
    key[8..].copy_from_slice(&(number as u64).to_be_bytes());
    key
}

fn failed(error: sled::Error) -> Error {
    if let sled::Error::Corruption { .. } = error {
        return Error::Damaged(format!("storage base: {error}"));
    }
    Error::Base(error.to_string())
}
