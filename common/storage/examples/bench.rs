//! What one write, read and scan cost in this crate: `cargo run --release -p storage --example bench [dir]`.
//! Each line: CPU time of the calling thread, and elapsed time; both per operation.

use bson::rawdoc;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use storage::{Clock, CommitMeta, Direction, Options, Store};
use types::Namespace;
use value::interval::KeyRange;

const DOCUMENTS: i32 = 100_000;

struct Fixed;

impl Clock for Fixed {
    fn wall_millis(&self) -> i64 {
        1_700_000_000_000
    }
}

fn document(id: i32, n: i32) -> bson::RawDocumentBuf {
    rawdoc! {"_id": id, "n": n, "x": (id.wrapping_mul(7919)) % 10_000, "pad": "p".repeat(1000)}
}

struct Start {
    cpu_nanos: f64,
    at: Instant,
}

impl Start {
    fn now() -> Start {
        Start { cpu_nanos: cpu_nanos(), at: Instant::now() }
    }
}

/// Nanoseconds that this thread was on a processor.
fn cpu_nanos() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(f64::NAN)
}

fn report(what: &str, count: i32, start: Start) {
    let cpu = (cpu_nanos() - start.cpu_nanos) / 1e3 / f64::from(count);
    let elapsed = start.at.elapsed().as_secs_f64() * 1e6 / f64::from(count);
    println!("{what:34} {cpu:8.2} us CPU {elapsed:10.2} us");
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::args().nth(1).map_or_else(|| std::env::temp_dir().join("shoal-bench"), PathBuf::from);
    if dir.exists() {
        return Err(format!("{} exists already", dir.display()).into());
    }
    let store = Store::open(Options::new(&dir, Arc::new(Fixed)))?;
    let ns = Namespace::parse("d.plain")?;
    let plain = store.create_collection(&ns, None, &rawdoc! {})?;
    let indexed = store.create_collection(&Namespace::parse("d.indexed")?, None, &rawdoc! {})?;
    store.create_indexes(&indexed.ns, &[rawdoc! {"key": {"x": 1}}])?;
    let indexed = store.catalog().get(&indexed.ns).cloned().ok_or("gone")?;
    let docs: Vec<_> = (0..DOCUMENTS).map(|id| document(id, 0)).collect();
    for (name, collection) in [("insert, one each", &plain), ("insert with an index", &indexed)] {
        let start = Start::now();
        for doc in &docs {
            let mut batch = store.batch(store.snapshot());
            batch.insert(collection, doc)?;
            batch.commit(CommitMeta::default())?;
        }
        report(name, DOCUMENTS, start);
    }
    reads(&store, &plain, "in memory")?;
    let start = Start::now();
    for doc in &docs {
        let key = plain.record_key(bson::RawBsonRef::Int32(doc.get_i32("_id")?));
        let snapshot = store.snapshot();
        let old = snapshot.get(&plain, &key)?.ok_or("lost")?;
        let mut batch = store.batch(snapshot);
        batch.update(&plain, &key, &old, &document(doc.get_i32("_id")?, 1))?;
        batch.commit(CommitMeta::default())?;
    }
    report("update, one each", DOCUMENTS, start);
    let begun = Instant::now();
    store.force_checkpoint()?;
    println!("checkpoint of all took {:?}", begun.elapsed());
    reads(&store, &plain, "from the base")?;
    let start = Start::now();
    for id in 0..500 {
        let mut batch = store.batch(store.snapshot());
        batch.insert(&plain, &document(DOCUMENTS + id, 0))?;
        batch.commit(CommitMeta::default())?;
        store.sync()?;
    }
    report("insert and sync, one client", 500, start);
    store.close()?;
    std::fs::remove_dir_all(dir)?;
    Ok(())
}

fn reads(
    store: &Store,
    collection: &storage::Collection,
    place: &str,
) -> Result<(), Box<dyn std::error::Error>> {
    let start = Start::now();
    for id in 0..DOCUMENTS {
        let key = collection.record_key(bson::RawBsonRef::Int32(id.wrapping_mul(7919) % DOCUMENTS));
        store.snapshot().get(collection, &key)?;
    }
    report(&format!("get {place}"), DOCUMENTS, start);
    let start = Start::now();
    let mut records = 0;
    for record in store.snapshot().scan(collection, &KeyRange::all(), Direction::Forward) {
        record?;
        records += 1;
    }
    report(&format!("scan {place}, per record"), records, start);
    Ok(())
}
