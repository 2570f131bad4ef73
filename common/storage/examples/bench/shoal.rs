//! This crate, measured.

use crate::{DOCUMENTS, Draw, Result, SCAN, cpu_micros, document, threads, walk};
use bson::{RawBsonRef, rawdoc};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use storage::{Clock, Collection, CommitMeta, Direction, EngineKind, Error, Options, Store};
use types::{Namespace, OpTime};
use value::interval::KeyRange;

const READS: i32 = 30_000;
const BATCH: i32 = 100;
const HOT: i32 = 100;
/// Versions in memory when the process ends by itself.
const CRASH_VERSIONS: usize = 100 << 20;

/// Time that goes on with the process.
pub(crate) struct Wall(Instant, AtomicU64);

impl Wall {
    pub(crate) fn new() -> Arc<Wall> {
        Arc::new(Wall(Instant::now(), AtomicU64::new(0)))
    }
}

impl Clock for Wall {
    fn wall_millis(&self) -> i64 {
        1_700_000_000_000 + self.0.elapsed().as_millis() as i64 + self.1.load(Ordering::Relaxed) as i64
    }
}

/// A store with one collection and an index.
pub(crate) struct Bench {
    pub store: Store,
    pub collection: Arc<Collection>,
}

impl Bench {
    pub(crate) fn open(dir: &Path, engine: EngineKind) -> Result<Bench> {
        Bench::with(Options { engine, ..Options::new(dir, Wall::new()) })
    }

    pub(crate) fn with(options: Options) -> Result<Bench> {
        let store = Store::open(options)?;
        let ns = Namespace::parse("d.c")?;
        if store.catalog().get(&ns).is_none() {
            store.create_collection(&ns, None, &rawdoc! {})?;
            store.create_indexes(&ns, &[rawdoc! {"key": {"x": 1}}])?;
        }
        let collection = store.catalog().get(&ns).cloned().ok_or("no collection")?;
        Ok(Bench { store, collection })
    }

    pub(crate) fn insert(&self, ids: impl Iterator<Item = i32>) -> Result<()> {
        let mut batch = self.store.batch(self.store.snapshot());
        for id in ids {
            batch.insert(&self.collection, &document(id, 0))?;
        }
        batch.commit(CommitMeta::default())?;
        Ok(())
    }

    pub(crate) fn load(&self) -> Result<()> {
        for start in (0..DOCUMENTS).step_by(BATCH as usize) {
            self.insert(start..start + BATCH)?;
        }
        self.store.force_checkpoint()?;
        Ok(())
    }

    fn key(id: i32) -> Vec<u8> {
        value::key::of(RawBsonRef::Int32(id))
    }

    pub(crate) fn gets(&self) -> Result<f64> {
        let mut draw = Draw(3);
        for round in 0..2 {
            let start = cpu_micros();
            for _ in 0..READS {
                let key = Bench::key(draw.below(DOCUMENTS));
                let doc = self.store.snapshot().get(&self.collection, &key)?.ok_or("lost")?;
                std::hint::black_box(walk(&doc)?);
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
            let from = Bench::key(draw.below(DOCUMENTS - SCAN as i32));
            let range = KeyRange { start: from, end: None };
            for record in self.store.snapshot().scan(&self.collection, &range, Direction::Forward).take(SCAN)
            {
                std::hint::black_box(walk(&record?.1)?);
            }
        }
        Ok((cpu_micros() - start) / f64::from(rounds))
    }

    /// One update, as a server does it: read, prepare, commit, again if somebody else was faster.
    pub(crate) fn update(&self, id: i32, n: i32) -> Result<OpTime> {
        let key = Bench::key(id);
        loop {
            let snapshot = self.store.snapshot();
            let old = snapshot.get(&self.collection, &key)?.ok_or("lost")?;
            let mut batch = self.store.batch(snapshot);
            batch.update(&self.collection, &key, &old, &document(id, n))?;
            match batch.commit(CommitMeta::default()) {
                Ok(at) => return Ok(at),
                Err(Error::WriteConflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    pub(crate) fn updates(&self, count: usize, length: Duration) -> Result<f64> {
        threads(count, length, |_, draw| self.update(draw.below(DOCUMENTS), draw.below(1000)).map(drop))
    }

    pub(crate) fn durable(&self, count: usize, length: Duration) -> Result<f64> {
        threads(count, length, |_, draw| {
            let at = self.update(draw.below(DOCUMENTS), draw.below(1000))?;
            Ok(self.store.wait_durable(at)?)
        })
    }

    /// Milliseconds of a scan of everything, alone and while 100 documents are updated all the time.
    pub(crate) fn scans_beside_hot_keys(&self, length: Duration) -> Result<(f64, f64)> {
        let scan = || -> Result<f64> {
            let start = Instant::now();
            let all = self.store.snapshot().scan(&self.collection, &KeyRange::all(), Direction::Forward);
            let count = all.collect::<std::result::Result<Vec<_>, _>>()?.len();
            if count != DOCUMENTS as usize {
                return Err(format!("a scan found {count} of {DOCUMENTS} documents").into());
            }
            Ok(start.elapsed().as_secs_f64() * 1e3)
        };
        self.store.force_checkpoint()?;
        scan()?;
        let quiet = scan()?;
        let stop = AtomicBool::new(false);
        let hot = std::thread::scope(|scope| {
            let writer = scope.spawn(|| -> Result<()> {
                let mut draw = Draw(9);
                while !stop.load(Ordering::Relaxed) {
                    self.update(draw.below(HOT), draw.below(1000))?;
                }
                Ok(())
            });
            let start = Instant::now();
            let mut slowest: f64 = 0.0;
            while start.elapsed() < length {
                slowest = slowest.max(scan()?);
            }
            stop.store(true, Ordering::Relaxed);
            writer.join().unwrap_or_else(|_| Err("the writer panicked".into()))?;
            Ok::<f64, crate::Error>(slowest)
        })?;
        Ok((quiet, hot))
    }

    pub(crate) fn close(self) -> Result<()> {
        Ok(self.store.close()?)
    }
}

/// Fills memory in a process of its own, which ends without closing; then opens what it left. Bytes of the log, and seconds.
pub(crate) fn reopen_after_crash(dir: &Path, engine: EngineKind) -> Result<(u64, f64)> {
    let status = Command::new(std::env::current_exe()?).arg("crash").arg(dir).arg(engine.name()).status()?;
    if status.success() {
        return Err("the process was to end by a signal".into());
    }
    let start = Instant::now();
    let bench = Bench::open(dir, engine)?;
    let took = start.elapsed().as_secs_f64();
    let bytes = bench.store.oplog().bytes();
    bench.close()?;
    Ok((bytes, took))
}

/// The process for [`reopen_after_crash`].
pub(crate) fn crash(arguments: &[String]) -> Result<()> {
    let [dir, engine] = arguments else { return Err("usage: bench crash DIR ENGINE".into()) };
    let engine = if engine == "fjall" { EngineKind::Fjall } else { EngineKind::Sled };
    let mut options = Options { engine, ..Options::new(dir, Wall::new()) };
    options.checkpoint_interval = Duration::from_secs(3600);
    let bench = Bench::with(options)?;
    let mut id = 0;
    while bench.store.metrics().versions_bytes < CRASH_VERSIONS {
        bench.insert(id..id + BATCH)?;
        id += BATCH;
    }
    bench.store.sync()?;
    std::process::abort();
}
