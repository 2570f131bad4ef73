//! Catalogue changes and what they refuse.

use super::harness::*;
use super::replica::{follower, records};
use crate::options::EngineKind;
use crate::{CommitMeta, Error, LogRecord, Store};
use bson::{Document, doc, rawdoc};
use bytes::Bytes;
use std::time::Duration;
use types::{Fault, OpTime, Timestamp};

fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(options(dir.path(), EngineKind::Memory)).unwrap();
    store.create_collection(&ns("db.c"), None, &raw(&doc! {})).unwrap();
    (dir, store)
}

#[test]
fn index_specifications_are_checked() {
    let (_dir, store) = store();
    let create = |spec: Document| -> Result<usize, i32> {
        let made = store.create_indexes(&ns("db.c"), &[raw(&spec)]);
        made.map(|made| made.after).map_err(|error| error.fault().code.number())
    };
    let rows: &[(Document, Result<usize, i32>)] = &[
        (doc! {"key": {"_id": 1}, "name": "whatever"}, Ok(1)),
        (doc! {"key": {"x": 1}}, Ok(2)),
        (doc! {"key": {"x": 1}, "name": "x_1"}, Ok(2)),
        (doc! {"key": {"x": 1.0}, "name": "x_1"}, Ok(2)),
        (doc! {"key": {"x": 1}, "name": "other"}, Err(85)),
        (doc! {"key": {"y": 1}, "name": "x_1"}, Err(86)),
        (doc! {"key": {"x": 1}, "name": "x_1", "unique": true}, Err(86)),
        (doc! {"key": {"x": "hashed"}}, Ok(3)),
        (doc! {"key": {"x": -1, "a.b": 1}, "v": 2, "background": true, "hidden": true}, Ok(4)),
        (doc! {"key": {"z": "hashed"}, "unique": true}, Err(16764)),
        (doc! {"key": {"a": "hashed", "b": "hashed"}}, Err(31303)),
        (doc! {"key": {"z": 0}}, Err(67)),
        (doc! {"key": {}}, Err(67)),
        (doc! {"key": {"": 1}}, Err(67)),
        (doc! {"key": {"a..b": 1}}, Err(67)),
        (doc! {"key": {"$a": 1}}, Err(67)),
        (doc! {"key": {"z": true}}, Err(67)),
        (doc! {"key": {"z": "frobnicate"}}, Err(67)),
        (doc! {"key": {"z": "text"}}, Err(238)),
        (doc! {"key": {"z": "2dsphere"}}, Err(238)),
        (doc! {"key": {"$**": 1, "x": 1}}, Err(238)),
        (doc! {"key": {"z": 1}, "partialFilterExpression": {"a": 1}}, Err(238)),
        (doc! {"key": {"z": 1}, "collation": {"locale": "simple"}}, Ok(5)),
        (doc! {"key": {"z": 1}, "collation": {"locale": "de"}}, Err(86)),
        (doc! {"key": {"z": 1}, "collation": {"locale": "de"}, "name": "z_de"}, Ok(6)),
        (doc! {"key": {"z": 1}, "collation": {"locale": "de", "strength": 3}, "name": "z_de"}, Ok(6)),
        (doc! {"key": {"z": 1}, "collation": {"locale": "de"}, "name": "z_other"}, Err(85)),
        (doc! {"key": {"q": 1}, "collation": {}}, Err(2)),
        (doc! {"key": {"q": 1}, "collation": {"locale": "nowhere"}}, Err(2)),
        (doc! {"key": {"q": "hashed"}, "collation": {"locale": "de"}}, Err(238)),
        (doc! {"key": {"_id": 1}, "collation": {"locale": "de"}}, Err(2)),
        (doc! {"key": {"q": 1}, "frobnicate": 1}, Err(197)),
        (doc! {"name": "q"}, Err(9)),
    ];
    for (spec, want) in rows {
        assert_eq!(create(spec.clone()), *want, "{spec}");
    }
    let names: Vec<String> =
        store.catalog().get(&ns("db.c")).unwrap().indexes.iter().map(|index| index.name.clone()).collect();
    assert_eq!(names, ["_id_", "x_1", "x_hashed", "x_-1_a.b_1", "z_1", "z_de"]);
    assert!(store.catalog().get(&ns("db.c")).unwrap().index("x_-1_a.b_1").unwrap().hidden);
    store.set_index_hidden(&ns("db.c"), "x_1", true).unwrap();
    assert!(store.catalog().get(&ns("db.c")).unwrap().index("x_1").unwrap().hidden);
    assert!(matches!(store.drop_index(&ns("db.c"), "nope"), Err(Error::IndexNotFound { .. })));
    assert_eq!(store.drop_index(&ns("db.c"), "_id_").unwrap_err().fault().code.number(), 72);
}

#[test]
fn duplicates_are_told_as_known() {
    let (_dir, store) = store();
    store.create_indexes(&ns("db.c"), &[raw(&doc! {"key": {"x": 1, "l": -1}, "unique": true})]).unwrap();
    put(&store, "db.c", 1, Some(&doc! {"_id": 1, "x": 1, "l": ["a", "b"]})).unwrap();
    let fault = |doc: Document| -> Fault {
        let catalog = store.catalog();
        let mut batch = store.batch(store.snapshot());
        batch.insert(catalog.get(&ns("db.c")).unwrap(), &raw(&doc)).unwrap_err().fault()
    };
    let found = fault(doc! {"_id": 2, "x": 1, "l": "b"});
    assert_eq!(
        found.message,
        "E11000 duplicate key error collection: db.c index: x_1_l_-1 dup key: { x: 1, l: \"b\" }"
    );
    assert_eq!(found.code.number(), 11000);
    let extra = Document::try_from(&**found.extra.unwrap()).unwrap();
    assert_eq!(extra, doc! {"keyPattern": {"x": 1, "l": -1}, "keyValue": {"x": 1, "l": "b"}});
    assert_eq!(
        fault(doc! {"_id": 1.0, "q": 1}).message,
        "E11000 duplicate key error collection: db.c index: _id_ dup key: { _id: 1.0 }"
    );
    // Missing fields are null, and null is a value.
    put(&store, "db.c", 3, Some(&doc! {"_id": 3})).unwrap();
    assert_eq!(fault(doc! {"_id": 4, "x": null}).code.number(), 11000);
    // Two in one batch.
    let catalog = store.catalog();
    let collection = catalog.get(&ns("db.c")).unwrap();
    let mut batch = store.batch(store.snapshot());
    batch.insert(collection, &rawdoc! {"_id": 5, "x": 9}).unwrap();
    assert!(matches!(batch.insert(collection, &rawdoc! {"_id": 6, "x": 9}), Err(Error::DuplicateKey(_))));
    // A key that goes and comes back within one batch is free.
    let old = store.snapshot().get(collection, &key(1)).unwrap().unwrap();
    batch.delete(collection, &key(1), &old).unwrap();
    batch.insert(collection, &rawdoc! {"_id": 7, "x": 1, "l": "b"}).unwrap();
    batch.commit(CommitMeta::default()).unwrap();
    assert!(store.validate(collection).unwrap().valid());
}

#[test]
fn a_build_that_finds_duplicates_leaves_nothing() {
    let (_dir, store) = store();
    for id in 0..300 {
        put(&store, "db.c", id, Some(&doc! {"_id": id, "x": id % 299})).unwrap();
    }
    let spec = raw(&doc! {"key": {"x": 1}, "unique": true});
    let failed = store.create_indexes(&ns("db.c"), std::slice::from_ref(&spec)).unwrap_err().fault();
    assert_eq!(failed.message, "E11000 duplicate key error collection: db.c index: x_1 dup key: { x: 0 }");
    assert_eq!(store.catalog().get(&ns("db.c")).unwrap().indexes.len(), 1);
    put(&store, "db.c", 299, None).unwrap();
    store.create_indexes(&ns("db.c"), &[spec]).unwrap();
    let catalog = store.catalog();
    assert!(store.validate(catalog.get(&ns("db.c")).unwrap()).unwrap().valid());
}

#[test]
fn collections_come_and_go() {
    let (_dir, store) = store();
    let create = |name: &str, options: Document| -> i32 {
        let made = store.create_collection(&ns(name), None, &raw(&options));
        made.map_or_else(|error| error.fault().code.number(), |_| 0)
    };
    assert_eq!(create("db.c", doc! {}), 48);
    assert_eq!(create("db.capped", doc! {"capped": true}), 72);
    assert_eq!(create("db.plain", doc! {"capped": false}), 0);
    assert_eq!(create("other.x", doc! {}), 0);
    assert_eq!(store.catalog().databases(), ["db", "local", "other"]);
    put(&store, "db.c", 1, Some(&doc! {"_id": 1})).unwrap();
    let before = store.snapshot();
    let old = store.catalog().get(&ns("db.c")).unwrap().clone();
    assert!(store.rename_collection(&ns("db.c"), &ns("db.plain"), false).is_err());
    store.rename_collection(&ns("db.c"), &ns("db.plain"), true).unwrap();
    let renamed = store.catalog().get(&ns("db.plain")).unwrap().clone();
    assert_eq!((renamed.uuid, store.stats(&renamed).records), (old.uuid, 1));
    assert!(store.catalog().get(&ns("db.c")).is_none());
    assert_eq!(store.drop_database("db").unwrap(), Some(store.last_op_time()));
    assert_eq!(store.drop_database("db").unwrap(), None);
    assert_eq!(store.catalog().databases(), ["local", "other"]);
    // A snapshot from before goes on, also past a checkpoint.
    store.force_checkpoint().unwrap();
    assert!(before.get(&old, &key(1)).unwrap().is_some());
    drop(before);
    put_anything(&store);
    store.force_checkpoint().unwrap();
    assert_eq!(store.metrics().versions_count, 0);
    // A batch for a collection that is gone does not commit.
    let mut batch = store.batch(store.snapshot());
    batch.insert(&old, &rawdoc! {"_id": 2}).unwrap();
    assert!(matches!(batch.commit(CommitMeta::default()), Err(Error::WriteConflict)));
}

fn put_anything(store: &Store) {
    put(store, "other.x", 1, Some(&doc! {"_id": 1})).unwrap();
}

#[test]
fn keys_that_an_engine_cannot_take_are_refused() {
    for (engine, taken) in [(EngineKind::Sled, true), (EngineKind::Fjall, false)] {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(options(dir.path(), engine)).unwrap();
        store.create_collection(&ns("d.c"), None, &raw(&doc! {})).unwrap();
        store.create_indexes(&ns("d.c"), &[raw(&doc! {"key": {"x": 1}})]).unwrap();
        let long = doc! {"_id": 1, "x": "k".repeat(70_000)};
        assert_eq!(put(&store, "d.c", 1, Some(&long)).is_ok(), taken);
        put(&store, "d.c", 2, Some(&doc! {"_id": 2, "x": "k".repeat(30_000)})).unwrap();
        store.force_checkpoint().unwrap();
    }
}

/// Whatever a writer does meanwhile, nothing that was acknowledged before the exchange is lost.
#[test]
fn a_collection_becomes_capped_while_it_is_written_to() {
    let (_dir, store) = store();
    let store = std::sync::Arc::new(store);
    store.create_indexes(&ns("db.c"), &[raw(&doc! {"key": {"x": 1}})]).unwrap();
    for id in 0..200 {
        put(&store, "db.c", id, Some(&doc! {"_id": id, "x": id})).unwrap();
    }
    let writer = std::thread::spawn({
        let store = std::sync::Arc::clone(&store);
        move || {
            let mut written = Vec::new();
            for id in 2000..2030 {
                let catalog = store.catalog();
                let collection = catalog.get(&ns("db.c")).unwrap();
                let capped = collection.capped.is_some();
                let mut batch = store.batch(store.snapshot());
                let done = batch
                    .insert(collection, &raw(&doc! {"_id": id}))
                    .and_then(|_| batch.commit(CommitMeta::default()));
                match done {
                    Ok(_) => written.push(id),
                    // Prepared against the collection as it was.
                    Err(error) => assert!(!capped || matches!(error, Error::WriteConflict), "{error}"),
                }
                std::thread::yield_now();
            }
            written
        }
    });
    store.convert_to_capped(&ns("db.c"), 1 << 20).unwrap();
    let written = writer.join().unwrap();
    let catalog = store.catalog();
    let collection = catalog.get(&ns("db.c")).unwrap();
    assert_eq!(collection.capped.unwrap().bytes_max, 1 << 20);
    assert_eq!(collection.indexes.iter().map(|index| index.name.as_str()).collect::<Vec<_>>(), ["_id_"]);
    assert_eq!(catalog.all().count(), 1, "a copy is left");
    let snapshot = store.snapshot();
    let ids: Vec<i32> = snapshot
        .scan(collection, &value::interval::KeyRange::all(), crate::Direction::Forward)
        .map(|record| record.unwrap().1.get_i32("_id").unwrap())
        .collect();
    let wanted: Vec<i32> = (0..200).chain(written).collect();
    assert_eq!(ids, wanted);
    // Again, and smaller: the newest stay.
    store.convert_to_capped(&ns("db.c"), 256).unwrap();
    let catalog = store.catalog();
    let stats = store.stats(catalog.get(&ns("db.c")).unwrap());
    assert!(stats.records > 0 && stats.bytes <= 256, "{stats:?}");
    let missing = store.convert_to_capped(&ns("db.none"), 256).unwrap_err();
    assert!(matches!(missing, Error::NamespaceNotFound { .. }));
}

#[test]
fn nothing_becomes_local_or_replicated_by_another_name() {
    let (_dir, store) = store();
    for name in ["local.a", "local.b", "db.b"] {
        store.create_collection(&ns(name), None, &raw(&doc! {})).unwrap();
    }
    let code = |from: &str, to: &str, drop_target: bool| {
        store.rename_collection(&ns(from), &ns(to), drop_target).map_err(|error| error.fault().code.number())
    };
    for (from, to, drop_target) in [
        ("local.a", "db.x", false),
        ("local.a", "db.b", true),
        ("db.c", "local.x", false),
        ("db.c", "local.b", true),
        // Nor does the log go for another collection.
        ("local.a", "local.oplog.rs", true),
    ] {
        assert_eq!(code(from, to, drop_target), Err(20), "{from} {to}");
    }
    assert!(code("local.a", "local.x", false).is_ok());
    assert!(code("db.c", "other.b", false).is_ok());
    // A UUID is that of one collection.
    let uuid = store.catalog().get(&ns("local.x")).unwrap().uuid;
    let twice = store.create_collection(&ns("db.twice"), Some(uuid), &raw(&doc! {}));
    assert_eq!(twice.unwrap_err().fault().code.number(), 48);
    let names: Vec<String> = store.catalog().all().map(|collection| collection.ns.to_string()).collect();
    assert_eq!(names, ["db.b", "local.b", "local.x", "other.b"]);
}

#[test]
fn a_follower_refuses_what_would_become_local() {
    let (_dir, primary) = store();
    let dir = tempfile::tempdir().unwrap();
    let second = follower(dir.path(), EngineKind::Memory);
    let all = records(&primary, OpTime::default());
    second.apply(&all).unwrap();
    let last = all.last().unwrap().at;
    let uuid = primary.catalog().get(&ns("db.c")).unwrap().uuid;
    let entry = rawdoc! {
        "op": "c", "ns": "db.$cmd", "ui": uuid.to_bson(), "v": 2_i64,
        "ts": bson::Timestamp { time: 0, increment: 0 },
        "o": { "renameCollection": "db.c", "to": "local.c", "stayTemp": false },
    };
    let at = OpTime { ts: Timestamp(last.ts.0 + 1), ..last };
    let record = LogRecord { at, entry: Bytes::from(entry.into_bytes()), side: Bytes::new() };
    let refused = second.apply(&[record]).unwrap_err();
    assert_eq!(refused.fault().code.number(), 20, "{refused}");
}

/// An index as it is while another caller builds it.
fn begin_build(store: &Store, spec: &Document) -> crate::keyspace::Ident {
    let mut free = store.shared.ddl.lock();
    let ident = *free;
    let collection = store.existing(&ns("db.c")).unwrap();
    let index = crate::Index::new(ident, &ns("db.c"), raw(spec), None).unwrap();
    let command = rawdoc! { "startIndexBuild": "c" };
    let fresh = std::sync::Arc::new(index);
    let begun = store.shared.commit_definition(collection.id.0, command, Some(ident + 1), &[], |now, _| {
        let mut next = now.clone();
        next.indexes.push(fresh);
        Ok(next)
    });
    begun.unwrap();
    *free = ident + 1;
    ident
}

#[test]
fn who_waited_for_a_build_that_failed_is_told_so() {
    let (_dir, store) = store();
    let spec = doc! {"v": 2, "key": {"u": 1}, "name": "u", "unique": true};
    for id in 0..2 {
        put(&store, "db.c", id, Some(&doc! {"_id": id, "u": 1})).unwrap();
    }
    let ident = begin_build(&store, &spec);
    let (told, done) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| told.send(store.create_indexes(&ns("db.c"), &[raw(&spec)])).unwrap());
        assert!(done.recv_timeout(Duration::from_millis(200)).is_err(), "it does not wait");
        let _ddl = store.shared.ddl.lock();
        let collection = store.existing(&ns("db.c")).unwrap();
        let command = rawdoc! { "abortIndexBuild": "c" };
        let undone = store.shared.commit_definition(collection.id.0, command, None, &[ident], |now, _| {
            Ok(crate::change::without(now, &[ident]))
        });
        undone.unwrap();
    });
    let answer = done.recv().unwrap();
    assert!(matches!(answer, Err(Error::DuplicateKey(_))), "{answer:?}");
}

#[test]
fn who_waits_for_anothers_build_can_be_interrupted() {
    let (_dir, store) = store();
    let spec = doc! {"v": 2, "key": {"u": 1}, "name": "u"};
    begin_build(&store, &spec);
    let mut asked = 0;
    let waited = store.create_indexes_unless(&ns("db.c"), &[raw(&spec)], &mut || {
        asked += 1;
        if asked < 3 { Ok(()) } else { Err(Fault::new(types::Code::MaxTimeMSExpired, "enough")) }
    });
    assert_eq!(waited.unwrap_err().fault().code, types::Code::MaxTimeMSExpired);
}

/// A copy of `db.c` as `convertToCapped` makes it.
fn copy_of(store: &Store) -> (crate::Snapshot, [std::sync::Arc<crate::Collection>; 2]) {
    let options = rawdoc! {"capped": true, "size": 4096_i64, "temp": true};
    let target = store.create_collection(&ns("db.copy"), None, &options).unwrap();
    let source = store.existing(&ns("db.c")).unwrap();
    let snapshot = store.snapshot();
    store.copy_records(&snapshot, &source, &target).unwrap();
    (snapshot, [source, target])
}

#[test]
fn a_copy_whose_snapshot_expired_takes_no_place() {
    let (_dir, store) = store();
    put(&store, "db.c", 1, Some(&doc! {"_id": 1})).unwrap();
    let (snapshot, [source, target]) = copy_of(&store);
    put(&store, "db.c", 2, Some(&doc! {"_id": 2})).unwrap();
    // What was written later leaves memory with the pin.
    assert!(store.shared.pins.expire(Duration::ZERO) > 0);
    store.force_checkpoint().unwrap();
    assert_eq!(store.exchange(&snapshot, &source, &target, None).unwrap(), None);
    store.convert_to_capped(&ns("db.c"), 4096).unwrap();
    let catalog = store.catalog();
    assert_eq!(store.stats(catalog.get(&ns("db.c")).unwrap()).records, 2);
    assert!(!catalog.get(&ns("db.c")).unwrap().is_temporary());
}

#[test]
fn writers_of_a_held_collection_conflict_and_others_do_not() {
    let (_dir, store) = store();
    store.create_collection(&ns("db.d"), None, &raw(&doc! {})).unwrap();
    let hold = store.shared.hold_writers(store.existing(&ns("db.c")).unwrap().id.0);
    let held = put(&store, "db.c", 1, Some(&doc! {"_id": 1}));
    assert!(matches!(held, Err(Error::WriteConflict)), "{held:?}");
    put(&store, "db.d", 1, Some(&doc! {"_id": 1})).unwrap();
    drop(hold);
    put(&store, "db.c", 1, Some(&doc! {"_id": 1})).unwrap();
}

#[test]
fn an_unfinished_copy_goes_when_a_member_becomes_writable() {
    let (primary_dir, primary) = store();
    let dir = tempfile::tempdir().unwrap();
    let second = follower(dir.path(), EngineKind::Memory);
    put(&primary, "db.c", 1, Some(&doc! {"_id": 1})).unwrap();
    drop(copy_of(&primary));
    second.apply(&records(&primary, OpTime::default())).unwrap();
    let names = |store: &Store| -> Vec<String> {
        store.catalog().all().map(|collection| collection.ns.to_string()).collect()
    };
    assert_eq!(names(&second), ["db.c", "db.copy"]);
    assert!(second.has_unfinished());
    second.set_writable(Some(2));
    second.take_over().unwrap();
    assert_eq!(names(&second), ["db.c"]);
    assert!(!second.has_unfinished());
    // One that stands alone does it when it starts.
    let lone = tempfile::tempdir().unwrap();
    copy(primary_dir.path(), lone.path());
    drop(primary);
    let lone = Store::open(options(lone.path(), EngineKind::Memory)).unwrap();
    assert_eq!(names(&lone), ["db.c"]);
}
