//! What rollback leaves beside the state, which the model checks: files, waits, readers of the log, refusals.

use super::harness::*;
use crate::options::EngineKind;
use crate::{CommitMeta, Direction, Error, Store};
use bson::{Document, doc, rawdoc};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use types::{OpTime, Timestamp};

struct Set {
    dir: tempfile::TempDir,
    store: Store,
    majority: Arc<AtomicU64>,
}

fn set() -> Set {
    let dir = tempfile::tempdir().unwrap();
    let majority = Arc::new(AtomicU64::new(0));
    let point = majority.clone();
    let mut options = options(dir.path(), EngineKind::Sled);
    options.majority_point = Some(Arc::new(move || Timestamp(point.load(Ordering::SeqCst))));
    let store = Store::open(options).unwrap();
    store.create_collection(&ns("d.c"), None, &raw(&doc! {})).unwrap();
    Set { dir, store, majority }
}

#[test]
fn what_is_undone_is_kept_as_files() {
    let Set { dir, store, .. } = set();
    put(&store, "d.c", 1, Some(&doc! {"_id": 1})).unwrap();
    let to = store.last_op_time();
    // Over several segments.
    for id in 2..40 {
        put(&store, "d.c", id, Some(&doc! {"_id": id, "pad": "x".repeat(900)})).unwrap();
    }
    store.create_collection(&ns("d.new/one"), None, &raw(&doc! {})).unwrap();
    let catalog = store.catalog();
    let mut batch = store.batch(store.snapshot());
    batch.insert(catalog.get(&ns("d.c")).unwrap(), &rawdoc! {"_id": 100}).unwrap();
    batch.insert(catalog.get(&ns("d.new/one")).unwrap(), &rawdoc! {"_id": 101}).unwrap();
    batch.commit(crate::CommitMeta::default()).unwrap();
    let done = store.roll_back_to(to).unwrap();
    assert_eq!(done.entries, 40);
    let mut names: Vec<String> =
        done.files.iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect();
    names.sort();
    let starts: Vec<&str> = names.iter().map(|name| name.rsplitn(3, '.').last().unwrap()).collect();
    assert_eq!(starts, ["d.$cmd", "d.c", "d.new%2fone"]);
    let bytes = std::fs::read(dir.path().join("rollback").join(&names[1])).unwrap();
    let mut rest = bytes.as_slice();
    let mut ids = Vec::new();
    while !rest.is_empty() {
        let entry = Document::from_reader(&mut rest).unwrap();
        assert_eq!((entry.get_str("op").unwrap(), entry.get_str("ns").unwrap()), ("i", "d.c"));
        assert!(entry.get_timestamp("ts").is_ok() && entry.get_i64("t").is_ok());
        ids.push(entry.get_document("o").unwrap().get_i32("_id").unwrap());
    }
    assert_eq!(ids, (2..40).chain([100]).collect::<Vec<_>>());
    let want = State::from([("d.c".to_owned(), Records::from([(1, doc! {"_id": 1})]))]);
    assert_state(&store, &want);
    put(&store, "d.c", 1, Some(&doc! {"_id": 1, "again": true})).unwrap();
    drop(store);
    let store = Store::open(options(dir.path(), EngineKind::Sled)).unwrap();
    let want = State::from([("d.c".to_owned(), Records::from([(1, doc! {"_id": 1, "again": true})]))]);
    assert_state(&store, &want);
}

#[test]
fn what_a_majority_has_is_not_undone() {
    let Set { dir: _dir, store, majority } = set();
    let early = store.last_op_time();
    put(&store, "d.c", 1, Some(&doc! {"_id": 1})).unwrap();
    majority.store(store.last_op_time().ts.0, Ordering::SeqCst);
    let stable = store.last_op_time();
    put(&store, "d.c", 2, Some(&doc! {"_id": 2})).unwrap();
    store.force_checkpoint().unwrap();
    let refused = |to: OpTime| matches!(store.roll_back_to(to), Err(Error::RollbackRefused { .. }));
    assert!(refused(early));
    assert!(refused(OpTime { ts: stable.ts, term: 7 }), "no such entry");
    assert!(refused(OpTime { ts: Timestamp(stable.ts.0 + (1 << 40)), term: 1 }), "not reached yet");
    assert!(!refused(stable));
    assert_eq!(store.last_op_time(), stable);
}

#[test]
fn waits_and_readers_are_told() {
    let Set { dir: _dir, store, .. } = set();
    let to = store.last_op_time();
    let mut behind = store.oplog().after(Timestamp::ZERO).unwrap();
    behind.next().unwrap().unwrap();
    let waiting = put(&store, "d.c", 1, Some(&doc! {"_id": 1})).unwrap();
    let mut ahead = store.oplog().after(Timestamp::ZERO).unwrap();
    assert_eq!(ahead.by_ref().count(), 2);
    let wait = store.durable(OpTime { ts: waiting.next(), term: 1 });
    store.roll_back_to(to).unwrap();
    assert!(matches!(ahead.next(), Some(Err(Error::RolledBack { .. }))));
    assert!(behind.next().is_none());
    let again = put(&store, "d.c", 5, Some(&doc! {"_id": 5})).unwrap();
    assert_eq!(behind.next().unwrap().unwrap().op_time.ts, again);
    for _ in 0..3 {
        put(&store, "d.c", 6, Some(&doc! {"_id": 6})).unwrap();
    }
    store.sync().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert!(matches!(runtime.block_on(wait), Err(Error::RolledBack { .. })));
    let last = store.last_op_time();
    runtime.block_on(store.durable(last)).unwrap();
    assert_eq!(store.oplog().scan(Direction::Backward).unwrap().count(), 5);
}

fn documents(path: &std::path::Path) -> Vec<Document> {
    let bytes = std::fs::read(path).unwrap();
    let mut rest = bytes.as_slice();
    let mut out = Vec::new();
    while !rest.is_empty() {
        out.push(Document::from_reader(&mut rest).unwrap());
    }
    out
}

#[test]
fn what_is_undone_is_found_by_its_id_and_whole() {
    let Set { dir, store, .. } = set();
    store.create_collection(&ns("config.transactions"), None, &raw(&doc! {})).unwrap();
    let long = "x".repeat(500);
    put(&store, "d.c", 1, Some(&doc! {"_id": 1, "n": 1, "long": &long})).unwrap();
    put(&store, "d.c", 2, Some(&doc! {"_id": 2})).unwrap();
    let to = store.last_op_time();
    // An update that the log has as a difference, two of them in a commit with a session, a deletion, a dropped collection.
    put(&store, "d.c", 1, Some(&doc! {"_id": 1, "n": 2, "long": &long})).unwrap();
    let catalog = store.catalog();
    let mut batch = store.batch(store.snapshot());
    let old = batch.get(catalog.get(&ns("d.c")).unwrap(), &key(1)).unwrap().unwrap();
    let new = raw(&doc! {"_id": 1, "n": 3, "long": &long});
    batch.update(catalog.get(&ns("d.c")).unwrap(), &key(1), &old, &new).unwrap();
    batch
        .insert(catalog.get(&ns("config.transactions")).unwrap(), &rawdoc! {"_id": 7, "txnNum": 5_i64})
        .unwrap();
    batch.commit(CommitMeta::default()).unwrap();
    put(&store, "d.c", 2, None).unwrap();
    put(&store, "config.transactions", 7, None).unwrap();
    store.create_collection(&ns("d.gone"), None, &raw(&doc! {})).unwrap();
    put(&store, "d.gone", 1, Some(&doc! {"_id": 1, "long": &long})).unwrap();
    put(&store, "d.gone", 1, Some(&doc! {"_id": 1, "long": &long, "n": 1})).unwrap();
    store.drop_collection(&ns("d.gone")).unwrap();
    let done = store.roll_back_to(to).unwrap();
    let found = |name: &str| {
        let is = |path: &&std::path::PathBuf| {
            path.file_name().unwrap().to_string_lossy().starts_with(&format!("{name}."))
        };
        let docs = documents(done.files.iter().find(is).unwrap());
        docs.into_iter()
            .map(|doc| (doc.get_str("op").unwrap().to_owned(), doc.get_document("o").unwrap().clone()))
            .collect::<Vec<_>>()
    };
    let (u, d) = ("u".to_owned(), "d".to_owned());
    assert_eq!(
        found("d.c"),
        [
            (u.clone(), doc! {"_id": 1, "n": 2, "long": &long}),
            (u.clone(), doc! {"_id": 1, "n": 3, "long": &long}),
            (d.clone(), doc! {"_id": 2}),
        ]
    );
    assert_eq!(
        found("config.transactions"),
        [("i".to_owned(), doc! {"_id": 7, "txnNum": 5_i64}), (d, doc! {"_id": 7})]
    );
    assert_eq!(found("d.gone")[1], (u, doc! {"_id": 1, "long": &long, "n": 1}));
    drop(dir);
}
