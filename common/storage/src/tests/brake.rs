//! Memory for recent versions is a bound, whatever is written and whoever reads, and nobody waits for it without end.

use super::harness::*;
use crate::options::EngineKind;
use crate::scan::Direction;
use crate::{CommitMeta, Error, Store};
use bson::{doc, rawdoc};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

const BUDGET: usize = 8 << 20;
const DOC_BYTES: usize = 64 << 10;
const BATCH_DOCS: i32 = 32;

fn open(dir: &Path, base: &Fragile) -> Store {
    let mut options = options(dir, EngineKind::Sled);
    options.versions_bytes_max = BUDGET;
    options.oplog_segment_bytes = 16 << 20;
    let base = base.clone();
    let store = Store::open_on(options, move |_, _, _| Ok(Arc::new(base))).unwrap();
    store.create_collection(&ns("d.c"), None, &rawdoc! {}).unwrap();
    store
}

/// About 2 MiB, beginning with this id.
fn insert(store: &Store, first: i32) -> Result<(), Error> {
    let catalog = store.catalog();
    let collection = catalog.get(&ns("d.c")).unwrap();
    loop {
        let mut batch = store.batch(store.snapshot());
        for id in first..first + BATCH_DOCS {
            batch.insert(collection, &rawdoc! { "_id": id, "pad": "p".repeat(DOC_BYTES) })?;
        }
        match batch.commit(CommitMeta::default()) {
            Ok(_) => return Ok(()),
            Err(Error::WriteConflict) => {}
            Err(error) => return Err(error),
        }
    }
}

/// So many threads write so many batches each; the most that versions took, and the longest that one batch took.
fn load(store: &Store, threads: i32, batches: i32) -> (usize, Duration) {
    let slowest = parking_lot::Mutex::new(Duration::ZERO);
    let mut highest = 0;
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..threads)
            .map(|thread| {
                let slowest = &slowest;
                scope.spawn(move || {
                    for number in 0..batches {
                        let start = Instant::now();
                        insert(store, (thread * batches + number) * BATCH_DOCS).unwrap();
                        let mut slowest = slowest.lock();
                        *slowest = slowest.max(start.elapsed());
                    }
                })
            })
            .collect();
        while writers.iter().any(|writer| !writer.is_finished()) {
            highest = highest.max(store.metrics().versions_bytes);
            std::thread::park_timeout(Duration::from_millis(1));
        }
    });
    (highest, slowest.into_inner())
}

#[test]
fn large_batches_of_many_stay_within_the_budget() {
    let dir = tempfile::tempdir().unwrap();
    let base = Fragile::default();
    let store = open(dir.path(), &base);
    base.slow_down(Duration::from_millis(20));
    let (highest, slowest) = load(&store, 8, 8);
    assert!(highest <= BUDGET * 3 / 2, "{} KiB", highest >> 10);
    // One after the other: nobody waits for all the others' batches.
    assert!(slowest < Duration::from_secs(30), "{slowest:?}");
    assert!(store.metrics().throttled > 0);
    let all = store.stats(store.catalog().get(&ns("d.c")).unwrap()).records;
    assert_eq!(all, 8 * 8 * BATCH_DOCS as u64);
}

#[test]
fn a_batch_larger_than_the_budget_is_taken_alone() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), &Fragile::default());
    let catalog = store.catalog();
    let collection = catalog.get(&ns("d.c")).unwrap();
    for round in 0..3 {
        let mut batch = store.batch(store.snapshot());
        for id in 0..160 {
            batch
                .insert(collection, &rawdoc! { "_id": round * 1000 + id, "pad": "p".repeat(DOC_BYTES) })
                .unwrap();
        }
        batch.commit(CommitMeta::default()).unwrap();
        insert(&store, 10_000 + round * 1000).unwrap();
    }
}

/// What a reader holds back goes to the spill space, and its own view stands.
#[test]
fn a_snapshot_that_is_held_stops_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), &Fragile::default());
    put(&store, "d.c", -1, Some(&doc! {"_id": -1, "n": 0})).unwrap();
    let held = store.snapshot();
    put(&store, "d.c", -1, Some(&doc! {"_id": -1, "n": 1})).unwrap();
    // Prepared before memory ran out: it must not win over what it did not see.
    let catalog = store.catalog();
    let collection = catalog.get(&ns("d.c")).unwrap();
    let mut late = store.batch(held.clone());
    late.update(collection, &key(-1), &rawdoc! {"_id": -1, "n": 0}, &rawdoc! {"_id": -1, "n": 2}).unwrap();
    let (highest, slowest) = load(&store, 4, 8);
    assert!(highest <= BUDGET * 3 / 2, "{} KiB", highest >> 10);
    assert!(slowest < Duration::from_secs(30), "{slowest:?}");
    assert!(store.metrics().spilled_total_bytes > 0);
    assert!(matches!(late.commit(CommitMeta::default()), Err(Error::WriteConflict)));
    assert_eq!(read(&held, &store, "d.c", Direction::Forward), [(-1, doc! {"_id": -1, "n": 0})]);
    let now = store.snapshot().get(collection, &key(-1)).unwrap().unwrap();
    assert_eq!(now.get_i32("n").unwrap(), 1);
    drop(held);
    store.force_checkpoint().unwrap();
    assert_eq!(store.validate(collection).unwrap().errors, Vec::<String>::new());
}

/// Writes until one is refused.
fn refused(store: &Store) -> Error {
    let start = Instant::now();
    for number in 0..100 {
        if let Err(error) = insert(store, number * BATCH_DOCS) {
            return error;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "neither taken nor refused");
    }
    panic!("memory took 200 MiB")
}

#[test]
fn a_base_that_takes_nothing_ends_the_wait() {
    // It fails.
    let dir = tempfile::tempdir().unwrap();
    let base = Fragile::default();
    let store = open(dir.path(), &base);
    base.fail_after(Some(0));
    let error = refused(&store);
    assert!(store.metrics().versions_bytes <= BUDGET * 3 / 2);
    assert!(error.to_string().contains("blown fuse"), "{error}");
    base.fail_after(None);
    let start = Instant::now();
    while let Err(error) = insert(&store, 100_000) {
        assert!(start.elapsed() < Duration::from_secs(30), "{error}");
        std::thread::park_timeout(Duration::from_millis(50));
    }
    // It hangs.
    let dir = tempfile::tempdir().unwrap();
    let base = Fragile::default();
    let store = open(dir.path(), &base);
    base.slow_down(Duration::from_secs(10));
    let error = refused(&store);
    assert!(store.metrics().versions_bytes <= BUDGET * 3 / 2);
    assert!(error.to_string().contains("versionsMB"), "{error}");
    base.slow_down(Duration::ZERO);
}
