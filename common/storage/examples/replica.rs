//! How fast a follower applies beside how fast a primary writes, and how fast a store is copied: `cargo run --release -p storage
//! --example replica [-- DIR [DOCUMENTS]]`. Prints figures; nothing fails by them.

use bson::{RawBsonRef, RawDocumentBuf, rawdoc};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Instant;
use storage::{Clock, CommitMeta, EngineKind, Error, LogRecord, Options, SessionMeta, Store};
use types::{Namespace, OpTime};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

const THREADS: usize = 4;
const GROUP: usize = 1000;
const DOCUMENTS: i32 = 200_000;
const PARTS: usize = 8;
const BATCH_BYTES: usize = 4 << 20;
const MIB: f64 = 1024.0 * 1024.0;

struct Wall(Instant);

impl Clock for Wall {
    fn wall_millis(&self) -> i64 {
        1_700_000_000_000 + self.0.elapsed().as_millis() as i64
    }
}

fn open(dir: &Path, engine: EngineKind, writable: bool) -> Result<Store> {
    let clock = Arc::new(Wall(Instant::now()));
    Ok(Store::open(Options { engine, writable, ..Options::new(dir, clock) })?)
}

fn document(id: i32, pad: usize) -> RawDocumentBuf {
    rawdoc! { "_id": id, "x": id % 1000, "n": 0, "name": format!("name of {id}"), "pad": "p".repeat(pad) }
}

/// What the whole process has used of its processors, threads that ended included.
fn cpu_micros() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = text.rsplit(") ").next().unwrap_or_default();
    let ticks =
        after_name.split(' ').skip(11).take(2).filter_map(|word| word.parse::<f64>().ok()).sum::<f64>();
    ticks * 10_000.0
}

/// One insert, as a server does it; with a record of `config.transactions` where it can be retried.
fn insert(store: &Store, id: i32, pad: usize, session: Option<i32>) -> Result<()> {
    let catalog = store.catalog();
    let collection = catalog.get(&Namespace::parse("d.c")?).ok_or("no collection")?;
    let sessions = catalog.get(&Namespace::parse("config.transactions")?).ok_or("no collection")?;
    loop {
        let mut batch = store.batch(store.snapshot());
        batch.insert(collection, &document(id, pad))?;
        let mut meta = CommitMeta::default();
        if let Some(session) = session {
            let key = value::key::of(RawBsonRef::Int32(session));
            let new = rawdoc! { "_id": session, "txnNum": i64::from(id), "lastWriteOpTime": 0, "stmts": [0] };
            match batch.get(sessions, &key)? {
                Some(old) => batch.update(sessions, &key, &old, &new)?,
                None => drop(batch.insert(sessions, &new)?),
            }
            let lsid = rawdoc! { "id": session };
            meta.session = Some(SessionMeta { lsid, txn_number: i64::from(id), stmt_ids: vec![0] });
        }
        match batch.commit(meta) {
            Ok(_) => return Ok(()),
            Err(Error::WriteConflict) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn measure(dir: &Path, engine: EngineKind, documents: i32, pad: usize, retryable: bool) -> Result<()> {
    let (one, two) = (dir.join("primary"), dir.join("follower"));
    let (primary, follower) = (open(&one, engine, true)?, open(&two, engine, false)?);
    primary.create_collection(&Namespace::parse("d.c")?, None, &rawdoc! {})?;
    primary.create_collection(&Namespace::parse("config.transactions")?, None, &rawdoc! {})?;
    primary.create_indexes(&Namespace::parse("d.c")?, &[rawdoc! { "key": { "x": 1 } }])?;
    let next = AtomicI32::new(0);
    let (start, cpu) = (Instant::now(), cpu_micros());
    std::thread::scope(|scope| -> Result<()> {
        let writers: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (primary, next) = (&primary, &next);
                scope.spawn(move || -> Result<()> {
                    loop {
                        let id = next.fetch_add(1, Ordering::Relaxed);
                        if id >= documents {
                            return Ok(());
                        }
                        insert(primary, id, pad, retryable.then_some(thread as i32))?;
                    }
                })
            })
            .collect();
        writers.into_iter().try_for_each(|writer| writer.join().map_err(|_| "a writer panicked")?)
    })?;
    primary.sync()?;
    let written = f64::from(documents) / start.elapsed().as_secs_f64();
    let writing_cpu = cpu_micros() - cpu;
    let (mut applying, mut applying_cpu) = (0.0, 0.0);
    let mut cursor = primary.records_after(OpTime::default())?;
    loop {
        let group: Vec<LogRecord> = cursor.by_ref().take(GROUP).collect::<std::result::Result<_, _>>()?;
        if group.is_empty() {
            break;
        }
        let (start, cpu) = (Instant::now(), cpu_micros());
        follower.apply(&group)?;
        applying += start.elapsed().as_secs_f64();
        applying_cpu += cpu_micros() - cpu;
    }
    let start = Instant::now();
    follower.sync()?;
    let applied = f64::from(documents) / (applying + start.elapsed().as_secs_f64());
    println!(
        "{:>5} {pad:>4} B{}: primary {written:>8.0}/s, follower {applied:>8.0}/s, ratio {:.2}; {:.1} and {:.1} us CPU each",
        engine.name(),
        if retryable { ", retryable" } else { "           " },
        applied / written,
        writing_cpu / f64::from(documents),
        applying_cpu / f64::from(documents),
    );
    Ok(())
}

fn copy(dir: &Path, engine: EngineKind, documents: i32, pad: usize) -> Result<()> {
    let (source, target) = (open(&dir.join("primary"), engine, true)?, dir.join("copy"));
    source.force_checkpoint()?;
    let target = open(&target, engine, false)?;
    let (start, cpu) = (Instant::now(), cpu_micros());
    target.begin_import(source.last_op_time())?;
    let snapshot = source.snapshot();
    target.import_catalog(snapshot.timestamp(), &source.export_catalog(&snapshot)?)?;
    let mut ranges = Vec::new();
    for collection in target.catalog().all() {
        let cut = source.export_ranges(&snapshot, collection.uuid, PARTS)?;
        ranges.extend(cut.into_iter().map(|range| (collection.uuid, range)));
    }
    let ranges = parking_lot::Mutex::new(ranges);
    std::thread::scope(|scope| -> Result<()> {
        let copiers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| -> Result<()> {
                    loop {
                        let Some((uuid, range)) = ranges.lock().pop() else { return Ok(()) };
                        for batch in source.export_records(&snapshot, uuid, &range, BATCH_BYTES)? {
                            target.import_records(uuid, snapshot.timestamp(), &batch?)?;
                        }
                    }
                })
            })
            .collect();
        copiers.into_iter().try_for_each(|copier| copier.join().map_err(|_| "a copier panicked")?)
    })?;
    let copied = start.elapsed().as_secs_f64();
    eprintln!("CPU of the copying alone: {:.1} us", (cpu_micros() - cpu) / f64::from(documents));
    target.finish_import(source.last_op_time())?;
    let bytes = target.catalog().all().map(|collection| target.stats(collection).bytes).sum::<u64>() as f64;
    println!(
        "{:>5} {pad:>4} B: {documents} documents of {:.0} MiB copied in {copied:.1} s, {:.0} MiB/s; {:.0} MiB/s with the end; {:.1} us CPU each",
        engine.name(),
        bytes / MIB,
        bytes / MIB / copied,
        bytes / MIB / start.elapsed().as_secs_f64(),
        (cpu_micros() - cpu) / f64::from(documents),
    );
    Ok(())
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let dir = arguments.next().map_or_else(std::env::temp_dir, Into::into);
    let documents = arguments.next().map_or(Ok(DOCUMENTS), |count| count.parse())?;
    let dir = dir.join(format!("shoal-replica-{}", std::process::id()));
    for engine in [EngineKind::Sled, EngineKind::Fjall] {
        for (pad, retryable) in [(100, false), (100, true), (1050, false)] {
            measure(&dir, engine, documents, pad, retryable)?;
            if !retryable {
                copy(&dir, engine, documents, pad)?;
            }
            std::fs::remove_dir_all(&dir)?;
        }
    }
    Ok(())
}
