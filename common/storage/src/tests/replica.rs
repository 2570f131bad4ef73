//! A primary and a follower that gets its log in groups: afterwards both are the same.

use super::harness::*;
use crate::options::EngineKind;
use crate::{CommitMeta, Error, Located, LogRecord, SessionMeta, Store};
use bson::{Document, RawDocument, doc, rawdoc};
use std::path::Path;
use types::OpTime;
use value::interval::KeyRange;

pub(super) fn follower(dir: &Path, engine: EngineKind) -> Store {
    let mut options = options(dir, engine);
    options.writable = false;
    Store::open(options).unwrap()
}

/// Everything that a member has and the follower must have too, as text for a useful difference.
pub(super) fn dump(store: &Store) -> Vec<String> {
    let mut out = Vec::new();
    let snapshot = store.snapshot();
    for collection in store.catalog().all().filter(|collection| !collection.ns.is_local()) {
        let options = Document::try_from(&*collection.options).unwrap();
        out.push(format!("{} {:?} {options} {}", collection.ns, collection.uuid, collection.version));
        for index in &collection.indexes {
            let spec = Document::try_from(&*index.spec).unwrap();
            out.push(format!("  {spec} ready {:?}", index.ready));
        }
        let validation = store.validate(collection).unwrap();
        assert_eq!(validation.errors, Vec::<String>::new(), "{}", collection.ns);
        let mut stats = store.stats(collection);
        stats.indexes.retain(|(name, ..)| collection.index(name).unwrap().ready.is_some());
        out.push(format!("  {stats:?}"));
        for record in snapshot.scan(collection, &KeyRange::all(), crate::Direction::Forward) {
            let (key, doc) = record.unwrap();
            out.push(format!("  {key:?} {:?}", doc.as_bytes()));
        }
    }
    out
}

pub(super) fn records(store: &Store, after: OpTime) -> Vec<LogRecord> {
    store.records_after(after).unwrap().map(Result::unwrap).collect()
}

pub(super) fn assert_same(primary: &Store, follower: &Store) {
    assert_eq!(primary.last_op_time(), follower.last_op_time());
    assert_eq!(dump(primary), dump(follower));
    let first = |store: &Store| store.first_op_time().unwrap().unwrap_or(store.last_op_time());
    let from = first(primary).max(first(follower));
    assert_eq!(records(primary, from), records(follower, from));
}

/// A retryable insert as the engine commits it: with its record of `config.transactions`.
fn session_write(store: &Store, id: i32, txn: i64) {
    let catalog = store.catalog();
    let (target, sessions) =
        (catalog.get(&ns("d.c")).unwrap(), catalog.get(&ns("config.transactions")).unwrap());
    let mut batch = store.batch(store.snapshot());
    batch.insert(target, &rawdoc! {"_id": id, "a": [1, {"b": 2}]}).unwrap();
    let record = rawdoc! {"_id": id % 3, "txnNumber": txn, "stmt": [id]};
    let key = key(id % 3);
    match batch.get(sessions, &key).unwrap() {
        Some(old) => batch.update(sessions, &key, &old, &record).unwrap(),
        None => drop(batch.insert(sessions, &record).unwrap()),
    }
    let lsid = rawdoc! {"id": id % 3};
    let session = Some(SessionMeta { lsid, txn_number: txn, stmt_ids: vec![0] });
    batch.commit(CommitMeta { session }).unwrap();
}

fn create(store: &Store, name: &str, options: &RawDocument) {
    store.create_collection(&ns(name), None, options).unwrap();
}

#[test]
fn a_follower_becomes_the_same() {
    for engine in [EngineKind::Memory, EngineKind::Sled, EngineKind::Fjall] {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let primary = Store::open(options(one.path(), EngineKind::Sled)).unwrap();
        let second = follower(two.path(), engine);
        create(&primary, "d.c", &rawdoc! {});
        create(&primary, "config.transactions", &rawdoc! {});
        create(&primary, "local.own", &rawdoc! {});
        create(&primary, "d.capped", &rawdoc! {"capped": true, "size": 4096, "max": 5});
        put(&primary, "local.own", 1, Some(&doc! {"_id": 1})).unwrap();
        for id in 0..300 {
            session_write(&primary, id, i64::from(id));
        }
        primary.create_indexes(&ns("d.c"), &[rawdoc! {"key": {"a.b": 1}}]).unwrap();
        primary.create_indexes(&ns("d.c"), &[rawdoc! {"key": {"$**": 1}}]).unwrap();
        for id in 0..20 {
            let catalog = primary.catalog();
            let mut batch = primary.batch(primary.snapshot());
            batch.insert(catalog.get(&ns("d.capped")).unwrap(), &rawdoc! {"_id": id}).unwrap();
            batch.commit(CommitMeta::default()).unwrap();
        }
        for id in 0..100 {
            put(&primary, "d.c", id, Some(&doc! {"_id": id, "a": [1, {"b": 2}], "more": id})).unwrap();
            put(&primary, "d.c", id + 100, None).unwrap();
        }
        primary.set_index_hidden(&ns("d.c"), "a.b_1", true).unwrap();
        primary.noop(&rawdoc! {"msg": "periodic"}).unwrap();
        create(&primary, "d.target", &rawdoc! {});
        primary.rename_collection(&ns("d.c"), &ns("e.target"), false).unwrap();
        primary.rename_collection(&ns("e.target"), &ns("d.target"), true).unwrap();
        create(&primary, "e.gone", &rawdoc! {});
        primary.drop_database("e").unwrap();
        primary.drop_index(&ns("d.target"), "$**_1").unwrap();
        let all = records(&primary, OpTime::default());
        assert!(all.iter().any(|record| record.entry.is_empty()) && all.iter().any(|r| !r.side.is_empty()));
        for group in all.chunks(97) {
            assert_eq!(second.apply(group).unwrap(), group.last().unwrap().at);
        }
        assert_same(&primary, &second);
        // It goes on as it would have on the first one, from its own log as well.
        drop(second);
        let second = follower(two.path(), engine);
        assert_same(&primary, &second);
        second.force_checkpoint().unwrap();
        assert_same(&primary, &second);
        primary.set_writable(None);
        assert!(matches!(put(&primary, "d.target", 1, None), Err(Error::NotWritable)));
        assert!(matches!(second.apply(&all[..1]), Err(Error::ApplyRefused(_))));
        assert!(matches!(put(&second, "d.target", 1, None), Err(Error::NotWritable)));
        second.set_writable(Some(2));
        second.resume_builds().unwrap();
        put(&second, "d.target", 1, None).unwrap();
        let catalog = second.catalog();
        let mut batch = second.batch(second.snapshot());
        batch.insert(catalog.get(&ns("d.capped")).unwrap(), &rawdoc! {"_id": 20}).unwrap();
        batch.commit(CommitMeta::default()).unwrap();
        primary.apply(&records(&second, primary.last_op_time())).unwrap();
        assert_same(&second, &primary);
    }
}

#[test]
fn places_in_the_log_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = options(dir.path(), EngineKind::Sled);
    options.oplog_bytes_max = 16 * 1024;
    let store = Store::open(options).unwrap();
    assert_eq!(store.first_op_time().unwrap(), None);
    assert_eq!(store.locate(OpTime::default()).unwrap(), Located::Found);
    create(&store, "d.c", &rawdoc! {});
    let first = store.last_op_time();
    for id in 0..100 {
        put(&store, "d.c", id, Some(&doc! {"_id": id, "pad": "p".repeat(1000)})).unwrap();
    }
    let last = store.last_op_time();
    assert_eq!(store.first_op_time().unwrap(), Some(first));
    assert_eq!(store.locate(first).unwrap(), Located::Found);
    assert_eq!(store.locate(last).unwrap(), Located::Found);
    let other = OpTime { term: 9, ..last };
    assert_eq!(store.locate(other).unwrap(), Located::NotThere { last });
    let later = OpTime { ts: last.ts.next(), ..last };
    assert_eq!(store.locate(later).unwrap(), Located::NotThere { last });
    let times = store.op_times_before(None, 1000).unwrap();
    assert_eq!((times.len(), times[0], times[100]), (101, last, first));
    assert_eq!(store.op_times_before(Some(times[1]), 2).unwrap(), times[2..4]);
    let mut cursor = store.records_after(last).unwrap();
    assert!(cursor.next().is_none());
    put(&store, "d.c", 0, None).unwrap();
    assert!(cursor.next().unwrap().unwrap().at > last);
    store.force_checkpoint().unwrap();
    let now = store.first_op_time().unwrap().unwrap();
    assert!(now > first);
    assert_eq!(store.locate(first).unwrap(), Located::TooOld { first: now });
    assert!(matches!(store.records_after(first), Err(Error::OplogPositionLost { .. })));
}
