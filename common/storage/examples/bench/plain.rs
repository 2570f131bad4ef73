//! What is compared with: plain sled writing record, index entry and log entry; and a loop that only appends and syncs.

use crate::{DOCUMENTS, Draw, Result, SCAN, cpu_micros, document, threads, walk};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

const RECORD_BYTES: usize = 1300;
const READS: i32 = 30_000;

/// Appends and syncs, one after the other.
pub(crate) fn sync_rate(path: &Path, length: Duration) -> Result<f64> {
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    let record = [7; RECORD_BYTES];
    let file = Mutex::new(&mut file);
    threads(1, length, |_, _| {
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(&record)?;
        file.sync_data()?;
        Ok(())
    })
}

/// Waiters share syncs: each takes a number, one thread syncs for all.
struct Group {
    synced: Mutex<u64>,
    told: Condvar,
    stop: AtomicBool,
    wake: (Mutex<bool>, Condvar),
}

impl Group {
    fn new() -> Group {
        Group {
            synced: Mutex::new(0),
            told: Condvar::new(),
            stop: AtomicBool::new(false),
            wake: (Mutex::new(false), Condvar::new()),
        }
    }

    fn wait(&self, ticket: u64) {
        *self.wake.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.wake.1.notify_one();
        let mut synced = self.synced.lock().unwrap_or_else(PoisonError::into_inner);
        while *synced < ticket {
            synced = self.told.wait(synced).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn serve(&self, sync: impl Fn() -> Result<u64>) -> Result<()> {
        loop {
            let (lock, condition) = &self.wake;
            let mut wanted = lock.lock().unwrap_or_else(PoisonError::into_inner);
            while !*wanted && !self.stop.load(Ordering::Acquire) {
                let waited = condition.wait_timeout(wanted, Duration::from_millis(20));
                wanted = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
            if !*wanted {
                return Ok(());
            }
            *wanted = false;
            drop(wanted);
            let upto = sync()?;
            *self.synced.lock().unwrap_or_else(PoisonError::into_inner) = upto;
            self.told.notify_all();
        }
    }
}

fn grouped(
    count: usize,
    length: Duration,
    write: impl Fn(&Group, usize, &mut Draw) -> Result<u64> + Sync,
    sync: impl Fn(&Group) -> Result<u64> + Send + Sync,
) -> Result<f64> {
    let group = Group::new();
    std::thread::scope(|scope| {
        let syncer = scope.spawn(|| group.serve(|| sync(&group)));
        let rate = threads(count, length, |number, draw| {
            let ticket = write(&group, number, draw)?;
            group.wait(ticket);
            Ok(())
        });
        group.stop.store(true, Ordering::Release);
        group.wake.1.notify_all();
        syncer.join().unwrap_or_else(|_| Err("the syncer panicked".into()))?;
        rate
    })
}

/// Appends to a buffer, which one thread writes and syncs for all that wait.
pub(crate) fn group_sync(path: &Path, count: usize, length: Duration) -> Result<f64> {
    let file = Mutex::new(OpenOptions::new().create(true).append(true).open(path)?);
    let buffer: Mutex<(Vec<u8>, u64)> = Mutex::new((Vec::new(), 0));
    let record = [7; RECORD_BYTES];
    grouped(
        count,
        length,
        |_, _, _| {
            let mut buffer = buffer.lock().unwrap_or_else(PoisonError::into_inner);
            buffer.0.extend_from_slice(&record);
            buffer.1 += 1;
            Ok(buffer.1)
        },
        |_| {
            let (bytes, upto) = {
                let mut buffer = buffer.lock().unwrap_or_else(PoisonError::into_inner);
                (std::mem::take(&mut buffer.0), buffer.1)
            };
            let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
            file.write_all(&bytes)?;
            file.sync_data()?;
            Ok(upto)
        },
    )
}

/// sled with three trees, as one would write it.
pub(crate) struct Plain {
    db: sled::Db,
    records: sled::Tree,
    index: sled::Tree,
    log: sled::Tree,
    next: AtomicU64,
    file: File,
}

impl Plain {
    pub(crate) fn open(dir: &Path) -> Result<Plain> {
        let db = sled::Config::new().path(dir).cache_capacity(256 << 20).flush_every_ms(Some(500)).open()?;
        Ok(Plain {
            records: db.open_tree("records")?,
            index: db.open_tree("index")?,
            log: db.open_tree("log")?,
            next: AtomicU64::new(0),
            file: File::open(dir.join("db"))?,
            db,
        })
    }

    fn key(id: i32) -> Vec<u8> {
        value::key::of(bson::RawBsonRef::Int32(id))
    }

    fn entry(id: i32, x: i32) -> Vec<u8> {
        let mut entry = value::key::of(bson::RawBsonRef::Int32(x));
        entry.extend_from_slice(&Plain::key(id));
        entry
    }

    fn write(&self, id: i32, n: i32) -> Result<()> {
        let doc = document(id, n);
        let old = self.records.insert(Plain::key(id), doc.as_bytes())?;
        if let Some(old) = old {
            let old = bson::RawDocument::from_bytes(&old)?;
            self.index.remove(Plain::entry(id, old.get_i32("x")?))?;
        }
        self.index.insert(Plain::entry(id, doc.get_i32("x")?), &[])?;
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.log.insert(number.to_be_bytes(), doc.as_bytes())?;
        Ok(())
    }

    pub(crate) fn load(&self) -> Result<()> {
        for id in 0..DOCUMENTS {
            self.write(id, 0)?;
        }
        self.db.flush()?;
        self.file.sync_data()?;
        Ok(())
    }

    pub(crate) fn gets(&self) -> Result<f64> {
        let mut draw = Draw(3);
        for round in 0..2 {
            let start = cpu_micros();
            for _ in 0..READS {
                let value = self.records.get(Plain::key(draw.below(DOCUMENTS)))?.ok_or("lost")?;
                std::hint::black_box(walk(bson::RawDocument::from_bytes(&value)?)?);
            }
            if round == 1 {
                return Ok((cpu_micros() - start) / f64::from(READS));
            }
        }
        Err("unreachable".into())
    }

    pub(crate) fn scans(&self) -> Result<f64> {
        let mut draw = Draw(4);
        let rounds = READS / 20;
        let start = cpu_micros();
        for _ in 0..rounds {
            let from = Plain::key(draw.below(DOCUMENTS - SCAN as i32));
            for pair in self.records.range(from..).take(SCAN) {
                let (_, value) = pair?;
                std::hint::black_box(walk(bson::RawDocument::from_bytes(&value)?)?);
            }
        }
        Ok((cpu_micros() - start) / f64::from(rounds))
    }

    pub(crate) fn updates(&self, count: usize, length: Duration) -> Result<f64> {
        threads(count, length, |_, draw| self.write(draw.below(DOCUMENTS), draw.below(1000)))
    }

    /// Each write is on disk for certain when it counts: each thread flushes and syncs, as with any embedded engine.
    pub(crate) fn durable(&self, count: usize, length: Duration) -> Result<f64> {
        threads(count, length, |_, draw| {
            self.write(draw.below(DOCUMENTS), draw.below(1000))?;
            self.db.flush()?;
            self.file.sync_data()?;
            Ok(())
        })
    }
}
