//! Many threads at once: first writer wins, snapshots stand still, counts and indexes stay exact.

use super::harness::*;
use crate::options::EngineKind;
use crate::scan::Direction;
use crate::{CommitMeta, Error, Store};
use bson::{doc, rawdoc};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;
use value::interval::KeyRange;

const ACCOUNTS: i32 = 40;
const TOTAL: i64 = ACCOUNTS as i64 * 100;

/// Moves an amount between two accounts, again after every conflict.
fn transfer(store: &Store, from: i32, to: i32, conflicts: &AtomicUsize) {
    loop {
        // Within the loop: a changed definition is a conflict as well.
        let catalog = store.catalog();
        let collection = catalog.get(&ns("d.bank")).unwrap();
        let mut batch = store.batch(store.snapshot());
        for (id, change) in [(from, -1), (to, 1)] {
            let old = batch.get(collection, &key(id)).unwrap().unwrap();
            let balance = old.get_i64("balance").unwrap() + change;
            let new = rawdoc! {"_id": id, "balance": balance, "x": (balance % 10) as i32};
            batch.update(collection, &key(id), &old, &new).unwrap();
        }
        match batch.commit(CommitMeta::default()) {
            Ok(_) => return,
            Err(Error::WriteConflict) => conflicts.fetch_add(1, Ordering::Relaxed),
            Err(error) => panic!("{error}"),
        };
    }
}

fn sum(store: &Store, direction: Direction) -> i64 {
    let catalog = store.catalog();
    let collection = catalog.get(&ns("d.bank")).unwrap();
    let snapshot = store.snapshot();
    let scan = snapshot.scan(collection, &KeyRange::all(), direction);
    scan.map(|record| record.unwrap().1.get_i64("balance").unwrap()).sum()
}

fn check(engine: EngineKind) {
    let dir = tempfile::tempdir().unwrap();
    let mut options = options(dir.path(), engine);
    options.checkpoint_interval = Duration::from_millis(3);
    let store = Store::open(options.clone()).unwrap();
    store.create_collection(&ns("d.bank"), None, &raw(&doc! {})).unwrap();
    for id in 0..ACCOUNTS {
        put(&store, "d.bank", id, Some(&doc! {"_id": id, "balance": 100_i64, "x": 0})).unwrap();
    }
    let stop = AtomicBool::new(false);
    let (conflicts, sums) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        let writers: Vec<_> = (0..4)
            .map(|seed: i32| {
                let (store, conflicts) = (&store, &conflicts);
                scope.spawn(move || {
                    let checkpoints = || engine == EngineKind::Memory || store.metrics().checkpoints > 5;
                    for round in (0_i32..).take_while(|round| *round < 800 || !checkpoints()) {
                        let round = round % 1000;
                        let from = (round * 7 + seed * 11) % ACCOUNTS;
                        transfer(store, from, (from + 1 + seed) % ACCOUNTS, conflicts);
                    }
                })
            })
            .collect();
        for direction in [Direction::Forward, Direction::Backward] {
            let (store, stop, sums) = (&store, &stop, &sums);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    assert_eq!(sum(store, direction), TOTAL);
                    sums.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let builds = {
            let store = &store;
            scope.spawn(move || {
                for _ in 0..6 {
                    store.create_indexes(&ns("d.bank"), &[raw(&doc! {"key": {"x": 1}})]).unwrap();
                    let catalog = store.catalog();
                    let validation = store.validate(catalog.get(&ns("d.bank")).unwrap()).unwrap();
                    assert_eq!(validation.errors, Vec::<String>::new());
                    assert_eq!(validation.keys_per_index, [("x_1".to_owned(), ACCOUNTS as u64)]);
                    store.drop_index(&ns("d.bank"), "x_1").unwrap();
                }
            })
        };
        // Whatever happens, the readers must end, or the scope never does.
        let ended: Vec<_> = writers.into_iter().map(|writer| writer.join()).chain([builds.join()]).collect();
        stop.store(true, Ordering::Relaxed);
        assert!(ended.iter().all(Result::is_ok));
    });
    assert!(sums.load(Ordering::Relaxed) > 0);
    drop(store);
    let store = Store::open(options).unwrap();
    assert_eq!(sum(&store, Direction::Forward), TOTAL);
    let catalog = store.catalog();
    assert!(store.validate(catalog.get(&ns("d.bank")).unwrap()).unwrap().valid());
}

#[test]
fn transfers_keep_the_sum_over_memory() {
    check(EngineKind::Memory);
}

#[test]
fn transfers_keep_the_sum_over_sled() {
    check(EngineKind::Sled);
}

#[test]
fn unique_holds_against_a_race() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(options(dir.path(), EngineKind::Memory)).unwrap();
    store.create_collection(&ns("d.c"), None, &raw(&doc! {})).unwrap();
    store.create_indexes(&ns("d.c"), &[raw(&doc! {"key": {"u": 1}, "unique": true})]).unwrap();
    for round in 0..200 {
        let won = AtomicUsize::new(0);
        thread::scope(|scope| {
            for thread in 0..3 {
                let (store, won) = (&store, &won);
                scope.spawn(move || {
                    let doc = doc! {"_id": round * 10 + thread, "u": round};
                    loop {
                        match put(store, "d.c", round * 10 + thread, Some(&doc)) {
                            Ok(_) => break won.fetch_add(1, Ordering::Relaxed),
                            Err(Error::DuplicateKey(_)) => break 0,
                            Err(Error::WriteConflict) => {}
                            Err(error) => panic!("{error}"),
                        }
                    }
                });
            }
        });
        assert_eq!(won.load(Ordering::Relaxed), 1);
    }
}

#[test]
fn one_sync_serves_all_that_wait() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = options(dir.path(), EngineKind::Memory);
    options.sync_interval = Duration::from_secs(3600);
    let store = Store::open(options).unwrap();
    store.create_collection(&ns("d.c"), None, &raw(&doc! {})).unwrap();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    let before = store.metrics().syncs;
    runtime.block_on(async {
        let mut waits = Vec::new();
        for id in 0..200 {
            put(&store, "d.c", id, Some(&doc! {"_id": id})).unwrap();
            waits.push(store.durable(store.last_op_time()));
        }
        for wait in waits {
            tokio::time::timeout(Duration::from_secs(10), wait).await.unwrap().unwrap();
        }
    });
    assert_eq!(store.durable_op_time(), store.last_op_time());
    assert!(store.metrics().syncs - before <= 3, "{:?}", store.metrics());
}

#[test]
fn memory_stays_within_its_budget() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = options(dir.path(), EngineKind::Sled);
    options.versions_bytes_max = 1 << 20;
    options.oplog_segment_bytes = 1 << 20;
    let store = Store::open(options).unwrap();
    store.create_collection(&ns("d.c"), None, &raw(&doc! {})).unwrap();
    let mut highest = 0;
    for id in 0..6000 {
        put(&store, "d.c", id % 3000, Some(&doc! {"_id": id % 3000, "n": id, "pad": "z".repeat(1000)}))
            .unwrap();
        highest = highest.max(store.metrics().versions_bytes);
    }
    assert!(highest < 2 << 20, "{highest}");
    assert_eq!(store.stats(store.catalog().get(&ns("d.c")).unwrap()).records, 3000);
}

#[test]
fn hot_keys_do_not_pile_up() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(options(dir.path(), EngineKind::Memory)).unwrap();
    store.create_collection(&ns("d.c"), None, &raw(&doc! {})).unwrap();
    for round in 0..5000 {
        put(&store, "d.c", 1, Some(&doc! {"_id": 1, "n": round})).unwrap();
        if round % 500 == 0 {
            store.sync().unwrap();
            store.shared.after_sync();
        }
    }
    assert!(store.metrics().versions_count < 1500, "{:?}", store.metrics());
}

#[test]
fn memory_stays_bounded_while_nothing_is_stable() {
    for engine in [EngineKind::Sled, EngineKind::Fjall] {
        let dir = tempfile::tempdir().unwrap();
        let mut options = options(dir.path(), engine);
        options.versions_bytes_max = 1 << 20;
        options.oplog_segment_bytes = 1 << 20;
        let majority = Arc::new(std::sync::atomic::AtomicU64::new(0));
        let point = majority.clone();
        options.majority_point =
            Some(Arc::new(move || types::Timestamp(point.load(std::sync::atomic::Ordering::SeqCst))));
        let store = Store::open(options.clone()).unwrap();
        store.create_collection(&ns("d.c"), None, &raw(&doc! {})).unwrap();
        store.create_indexes(&ns("d.c"), &[raw(&doc! {"key": {"n": 1}})]).unwrap();
        let (mut highest, mut slowest) = (0, std::time::Duration::ZERO);
        for id in 0..5000 {
            let start = std::time::Instant::now();
            put(&store, "d.c", id % 2500, Some(&doc! {"_id": id % 2500, "n": id, "pad": "z".repeat(1000)}))
                .unwrap();
            slowest = slowest.max(start.elapsed());
            highest = highest.max(store.metrics().versions_bytes);
        }
        let metrics = store.metrics();
        assert!(highest < 2 << 20, "{highest}");
        assert!(metrics.spilled_bytes > 2 << 20, "{metrics:?}");
        assert_eq!(metrics.checkpoint, types::Timestamp::ZERO);
        assert!(slowest < std::time::Duration::from_secs(5), "{slowest:?}");
        let want: Records =
            (0..2500).map(|id| (id, doc! {"_id": id, "n": id + 2500, "pad": "z".repeat(1000)})).collect();
        let want = State::from([("d.c".to_owned(), want)]);
        assert_state(&store, &want);
        // The same after a crash, within the same budget.
        drop(store);
        let store = Store::open(options).unwrap();
        assert!(store.metrics().versions_bytes < 2 << 20, "{:?}", store.metrics());
        assert_state(&store, &want);
        // And back to normal when the majority is there again.
        majority.store(u64::MAX, std::sync::atomic::Ordering::SeqCst);
        store.force_checkpoint().unwrap();
        assert_eq!(store.metrics().spilled_versions, 0);
        assert_state(&store, &want);
    }
}

#[test]
fn readers_see_all_while_versions_move_through_the_spill_space() {
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
    for engine in [EngineKind::Sled, EngineKind::Fjall] {
        let dir = tempfile::tempdir().unwrap();
        let mut options = options(dir.path(), engine);
        let majority = Arc::new(AtomicU64::new(0));
        let point = majority.clone();
        options.majority_point = Some(Arc::new(move || types::Timestamp(point.load(Ordering::SeqCst))));
        let store = Store::open(options).unwrap();
        store.create_collection(&ns("d.c"), None, &raw(&doc! {})).unwrap();
        let all = 600;
        for id in 0..all {
            put(&store, "d.c", id, Some(&doc! {"_id": id, "n": 0})).unwrap();
        }
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut round = 0;
                while !stop.load(Ordering::SeqCst) {
                    round += 1;
                    for id in (0..all).filter(|id| (id + round) % 7 == 0) {
                        put(&store, "d.c", id, Some(&doc! {"_id": id, "n": round})).unwrap();
                    }
                    store.sync().unwrap();
                    store.shared.spill_to(0).unwrap();
                    if round % 2 == 0 {
                        majority.store(store.last_op_time().ts.0, Ordering::SeqCst);
                        store.force_checkpoint().unwrap();
                    }
                }
            });
            let catalog = store.catalog();
            let collection = catalog.get(&ns("d.c")).unwrap();
            let start = std::time::Instant::now();
            while start.elapsed() < std::time::Duration::from_millis(1500) {
                let snapshot = store.snapshot();
                let forward = read(&snapshot, &store, "d.c", Direction::Forward);
                assert_eq!(forward.len(), all as usize);
                let mut backward = read(&snapshot, &store, "d.c", Direction::Backward);
                backward.reverse();
                assert_eq!(forward, backward);
                for (id, doc) in forward.iter().step_by(13) {
                    let found = snapshot.get(collection, &key(*id)).unwrap().unwrap();
                    assert_eq!(bson::Document::try_from(&*found).unwrap(), *doc);
                }
            }
            stop.store(true, Ordering::SeqCst);
        });
    }
}
