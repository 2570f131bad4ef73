//! Capped collections, the log as a collection, updates as differences, and the kinds of indexes.

use super::harness::*;
use crate::options::{EngineKind, Options};
use crate::predicate::{Predicate, Predicates};
use crate::{CommitMeta, Direction, Error, RecordKey, Store};
use bson::{Document, RawDocument, RawDocumentBuf, doc};
use std::sync::Arc;
use types::Fault;
use value::interval::KeyRange;

/// `{<field>: <value>}` alone: enough of a query language for tests.
#[derive(Debug)]
struct Equals(RawDocumentBuf);

impl Predicate for Equals {
    fn passes(&self, doc: &RawDocument) -> Result<bool, Fault> {
        Ok(self.0.iter().flatten().all(|(name, value)| doc.get(name).ok().flatten() == Some(value)))
    }
}

pub(super) struct Language;

impl Predicates for Language {
    fn compile(
        &self,
        filter: &RawDocument,
        _: Option<&value::Collator>,
    ) -> Result<Arc<dyn Predicate>, Fault> {
        Ok(Arc::new(Equals(filter.to_owned())))
    }
}

fn options_with(dir: &std::path::Path, kind: EngineKind) -> Options {
    Options { predicates: Some(Arc::new(Language)), ..options(dir, kind) }
}

fn insert(store: &Store, name: &str, docs: &[Document]) -> Result<(), Error> {
    let catalog = store.catalog();
    let collection = catalog.get(&ns(name)).unwrap();
    let mut batch = store.batch(store.snapshot());
    for doc in docs {
        batch.insert(collection, &raw(doc))?;
    }
    batch.commit(CommitMeta::default()).map(drop)
}

fn contents(store: &Store, name: &str, direction: Direction) -> Vec<i32> {
    let catalog = store.catalog();
    let collection = catalog.get(&ns(name)).unwrap();
    let records = store.snapshot().scan(collection, &KeyRange::all(), direction);
    records.map(|record| record.unwrap().1.get_i32("_id").unwrap()).collect()
}

fn valid(store: &Store, name: &str) {
    let catalog = store.catalog();
    let found = store.validate(catalog.get(&ns(name)).unwrap()).unwrap();
    assert_eq!(found.errors, Vec::<String>::new());
}

#[test]
fn capped_collections_keep_the_newest_in_order() {
    for (kind, checkpoint) in
        [(EngineKind::Memory, false), (EngineKind::Sled, false), (EngineKind::Sled, true)]
    {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(options_with(dir.path(), kind)).unwrap();
        let capped = doc! {"capped": true, "size": 100_000, "max": 5};
        store.create_collection(&ns("d.c"), None, &raw(&capped)).unwrap();
        store.create_indexes(&ns("d.c"), &[raw(&doc! {"key": {"x": 1}, "name": "x"})]).unwrap();
        // The order is that of insertion, not of `_id`.
        for id in [9, 3, 7, 1, 8, 2, 6] {
            insert(&store, "d.c", &[doc! {"_id": id, "x": id % 2}]).unwrap();
        }
        assert_eq!(contents(&store, "d.c", Direction::Forward), [7, 1, 8, 2, 6]);
        assert_eq!(contents(&store, "d.c", Direction::Backward), [6, 2, 8, 1, 7]);
        let again = insert(&store, "d.c", &[doc! {"_id": 8, "x": 1}]);
        assert!(matches!(again, Err(Error::DuplicateKey(_))), "{again:?}");
        insert(&store, "d.c", &[doc! {"_id": 9, "x": 1}]).unwrap();
        if checkpoint {
            store.force_checkpoint().unwrap();
        }
        insert(&store, "d.c", &[doc! {"_id": 10, "x": 1}, doc! {"_id": 11}]).unwrap();
        assert_eq!(contents(&store, "d.c", Direction::Forward), [2, 6, 9, 10, 11]);
        insert(&store, "d.c", &(20..30).map(|id| doc! {"_id": id}).collect::<Vec<_>>()).unwrap();
        assert_eq!(contents(&store, "d.c", Direction::Forward), [25, 26, 27, 28, 29]);
        update(&store, "d.c", 26, &doc! {"_id": 26, "grown": "x".repeat(500)});
        valid(&store, "d.c");
        drop(store);
        let store = Store::open(options_with(dir.path(), kind)).unwrap();
        assert_eq!(contents(&store, "d.c", Direction::Forward), [25, 26, 27, 28, 29]);
        insert(&store, "d.c", &[doc! {"_id": 1}]).unwrap();
        assert_eq!(contents(&store, "d.c", Direction::Forward), [26, 27, 28, 29, 1]);
        valid(&store, "d.c");
    }
}

fn record_key_of(store: &Store, name: &str, id: i32) -> (RecordKey, RawDocumentBuf) {
    let catalog = store.catalog();
    let mut records =
        store.snapshot().scan(catalog.get(&ns(name)).unwrap(), &KeyRange::all(), Direction::Forward);
    let found = records.find(|record| record.as_ref().unwrap().1.get_i32("_id").unwrap() == id);
    let (key, doc) = found.unwrap().unwrap();
    (key, (*doc).to_owned())
}

fn update(store: &Store, name: &str, id: i32, new: &Document) {
    let catalog = store.catalog();
    let (key, old) = record_key_of(store, name, id);
    let mut batch = store.batch(store.snapshot());
    batch.update(catalog.get(&ns(name)).unwrap(), &key, &old, &raw(new)).unwrap();
    batch.commit(CommitMeta::default()).unwrap();
}

#[test]
fn bytes_bound_a_capped_collection() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(options_with(dir.path(), EngineKind::Memory)).unwrap();
    store.create_collection(&ns("d.c"), None, &raw(&doc! {"capped": true, "size": 1000})).unwrap();
    for id in 0..50 {
        insert(&store, "d.c", &[doc! {"_id": id, "pad": "x".repeat(100)}]).unwrap();
        let catalog = store.catalog();
        assert!(store.stats(catalog.get(&ns("d.c")).unwrap()).bytes <= 1000);
    }
    assert_eq!(contents(&store, "d.c", Direction::Forward), [42, 43, 44, 45, 46, 47, 48, 49]);
    valid(&store, "d.c");
}

#[test]
fn numbers_rise_with_commits() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(options_with(dir.path(), EngineKind::Memory)).unwrap();
    store.create_collection(&ns("d.c"), None, &raw(&doc! {"capped": true, "size": 100_000})).unwrap();
    let catalog = store.catalog();
    let collection = catalog.get(&ns("d.c")).unwrap();
    let (mut first, mut second) = (store.batch(store.snapshot()), store.batch(store.snapshot()));
    first.insert(collection, &raw(&doc! {"_id": 1})).unwrap();
    second.insert(collection, &raw(&doc! {"_id": 2})).unwrap();
    let before = store.tail(collection).unwrap();
    second.commit(CommitMeta::default()).unwrap();
    assert_ne!(store.tail(collection).unwrap(), before);
    assert!(matches!(first.commit(CommitMeta::default()), Err(Error::WriteConflict)));
    // A number is not given again, even where its record was the last and went.
    let (key, old) = record_key_of(&store, "d.c", 2);
    let mut batch = store.batch(store.snapshot());
    batch.delete(collection, &key, &old).unwrap();
    batch.commit(CommitMeta::default()).unwrap();
    insert(&store, "d.c", &[doc! {"_id": 3}]).unwrap();
    assert!(record_key_of(&store, "d.c", 3).0 > key);
}

#[test]
fn the_log_is_a_collection() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(options_with(dir.path(), EngineKind::Memory)).unwrap();
    store.create_collection(&ns("d.c"), None, &raw(&doc! {})).unwrap();
    let mut times = vec![store.last_op_time().ts];
    for id in 0..30 {
        insert(&store, "d.c", &[doc! {"_id": id, "pad": "x".repeat(500)}]).unwrap();
        times.push(store.last_op_time().ts);
    }
    let catalog = store.catalog();
    let log = catalog.get(&ns("local.oplog.rs")).unwrap();
    assert!(catalog.databases().contains(&"local".to_owned()));
    let snapshot = store.snapshot();
    let seen = |range: &KeyRange, direction| -> Vec<types::Timestamp> {
        let records = snapshot.scan(log, range, direction);
        records.map(|record| record.unwrap().1.get_timestamp("ts").unwrap().into()).collect()
    };
    let key = |at: usize| crate::oplog::collection::record_key(times[at]).to_vec();
    assert_eq!(seen(&KeyRange::all(), Direction::Forward), times);
    let reversed: Vec<_> = times.iter().rev().copied().collect();
    assert_eq!(seen(&KeyRange::all(), Direction::Backward), reversed);
    let middle = KeyRange { start: key(10), end: Some(key(20)) };
    assert_eq!(seen(&middle, Direction::Forward), times[10..20]);
    assert_eq!(seen(&middle, Direction::Backward), reversed[11..21]);
    let found = snapshot.get(log, &key(5)).unwrap().unwrap();
    assert_eq!(found.get_timestamp("ts").unwrap(), times[5].into());
    // A snapshot does not see what came later.
    insert(&store, "d.c", &[doc! {"_id": 99}]).unwrap();
    assert_eq!(seen(&KeyRange::all(), Direction::Forward), times);
    assert_eq!(store.stats(log).records, times.len() as u64 + 1);
    assert!(store.drop_collection(&ns("local.oplog.rs")).is_err());
    let mut batch = store.batch(store.snapshot());
    assert!(batch.insert(log, &raw(&doc! {"_id": 1})).is_err());
}

#[test]
fn updates_are_logged_as_differences_and_replayed() {
    for kind in [EngineKind::Memory, EngineKind::Sled] {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(options_with(dir.path(), kind)).unwrap();
        store.create_collection(&ns("d.c"), None, &raw(&doc! {})).unwrap();
        let pad = "x".repeat(400);
        insert(&store, "d.c", &[doc! {"_id": 1, "pad": &pad, "n": 0}]).unwrap();
        if kind == EngineKind::Sled {
            store.force_checkpoint().unwrap();
        }
        for n in 1..=10 {
            update(&store, "d.c", 1, &doc! {"_id": 1, "pad": &pad, "n": n});
        }
        let last = store.oplog().last().unwrap().unwrap().doc;
        let last = Document::try_from(&*last).unwrap();
        assert_eq!(last.get_document("o").unwrap(), &doc! {"$v": 2, "diff": {"u": {"n": 10}}});
        assert_eq!(last.get_document("o2").unwrap(), &doc! {"_id": 1});
        update(&store, "d.c", 1, &doc! {"_id": 1});
        let whole = Document::try_from(&*store.oplog().last().unwrap().unwrap().doc).unwrap();
        assert_eq!(whole.get_document("o").unwrap(), &doc! {"_id": 1});
        update(&store, "d.c", 1, &doc! {"_id": 1, "pad": &pad, "n": 1});
        update(&store, "d.c", 1, &doc! {"_id": 1, "n": 1, "pad": &pad});
        store.sync().unwrap();
        drop(store);
        let store = Store::open(options_with(dir.path(), kind)).unwrap();
        let (_, doc) = record_key_of(&store, "d.c", 1);
        assert_eq!(doc, raw(&doc! {"_id": 1, "n": 1, "pad": &pad}));
    }
}

fn entries(store: &Store, name: &str, index: &str) -> usize {
    let catalog = store.catalog();
    let index = catalog.get(&ns(name)).unwrap().index(index).unwrap();
    store.snapshot().scan_index(index, &KeyRange::all(), Direction::Forward).unwrap().count()
}

#[test]
fn kinds_of_indexes_hold_their_documents() {
    for kind in [EngineKind::Memory, EngineKind::Sled] {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(options_with(dir.path(), kind)).unwrap();
        store.create_collection(&ns("d.c"), None, &raw(&doc! {})).unwrap();
        let specs = [
            doc! {"key": {"a": 1}, "name": "plain"},
            doc! {"key": {"a": 1}, "name": "sparse", "sparse": true},
            doc! {"key": {"a": 1}, "name": "partial", "partialFilterExpression": {"on": true}},
            doc! {"key": {"u": 1}, "name": "unique", "unique": true, "partialFilterExpression": {"on": true}},
            doc! {"key": {"$**": 1}, "name": "wild"},
            doc! {"key": {"sub.$**": -1}, "name": "wild_sub"},
            doc! {"key": {"a": -1, "b": "hashed", "c": 1}, "name": "compound"},
            doc! {"key": {"t": 1}, "name": "ttl", "expireAfterSeconds": 60},
        ];
        insert(&store, "d.c", &[doc! {"_id": 0, "a": 1, "on": true, "u": 1, "sub": {"x": 1}}]).unwrap();
        store.create_indexes(&ns("d.c"), &specs.each_ref().map(raw)).unwrap();
        insert(&store, "d.c", &[doc! {"_id": 1, "on": false, "u": 1}, doc! {"_id": 2, "a": [1, 2], "u": 1}])
            .unwrap();
        let twice = insert(&store, "d.c", &[doc! {"_id": 3, "on": true, "u": 1}]);
        assert!(matches!(twice, Err(Error::DuplicateKey(_))));
        // It leaves the partial index, and another takes its place.
        update(&store, "d.c", 0, &doc! {"_id": 0, "a": 1, "on": false, "u": 1, "sub": {"x": 1}});
        insert(&store, "d.c", &[doc! {"_id": 3, "on": true, "u": 1}]).unwrap();
        let check = |store: &Store| {
            let counts = [
                ("plain", 5),
                ("sparse", 3),
                ("partial", 1),
                ("unique", 1),
                ("wild_sub", 1),
                ("compound", 5),
            ];
            for (name, count) in counts {
                assert_eq!(entries(store, "d.c", name), count, "{name}");
            }
            valid(store, "d.c");
        };
        check(&store);
        store.force_checkpoint().unwrap();
        update(&store, "d.c", 2, &doc! {"_id": 2, "a": [1, 2], "u": 5, "deep": {"er": [{"x": 1}, 7]}});
        drop(store);
        let store = Store::open(options_with(dir.path(), kind)).unwrap();
        check(&store);
    }
}

#[test]
fn indexes_beside_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(options_with(dir.path(), EngineKind::Memory)).unwrap();
    store.create_collection(&ns("d.c"), None, &raw(&doc! {})).unwrap();
    let code = |spec: Document| match store.create_indexes(&ns("d.c"), &[raw(&spec)]) {
        Ok(_) => 0,
        Err(error) => error.fault().code.number(),
    };
    let rows = [
        (doc! {"key": {"a": 1}, "name": "a"}, 0),
        (doc! {"key": {"a": 1.0}, "name": "a"}, 0),
        (doc! {"key": {"a": 1}, "name": "other"}, 85),
        (doc! {"key": {"b": 1}, "name": "a"}, 86),
        (doc! {"key": {"a": 1}, "name": "a", "unique": true}, 86),
        (doc! {"key": {"a": 1}, "name": "unique", "unique": true}, 0),
        (doc! {"key": {"a": 1}, "name": "sparse", "sparse": true}, 0),
        (doc! {"key": {"a": 1}, "name": "both", "sparse": true, "unique": true}, 0),
        (doc! {"key": {"a": 1}, "name": "partial", "partialFilterExpression": {"x": 1}}, 0),
        (doc! {"key": {"a": 1}, "name": "partial2", "partialFilterExpression": {"x": 2}}, 0),
        (doc! {"key": {"a": 1}, "name": "partial3", "partialFilterExpression": {"x": 2}}, 85),
        (doc! {"key": {"a": 1}, "name": "a", "expireAfterSeconds": 5}, 85),
        (doc! {"key": {"a": 1}, "name": "a", "hidden": true}, 0),
        (doc! {"key": {"t": 1}, "name": "t", "expireAfterSeconds": -1}, 67),
        (doc! {"key": {"t": 1, "u": 1}, "name": "t", "expireAfterSeconds": 1}, 67),
        (doc! {"key": {"$**": 1}, "name": "w", "unique": true}, 67),
        (doc! {"key": {"$**": 1, "a": 1}, "name": "w"}, 238),
        (doc! {"key": {"a": 1}, "name": "w", "wildcardProjection": {"a": 1}}, 2),
        (doc! {"key": {"a": 1}, "name": "p", "sparse": true, "partialFilterExpression": {"x": 1}}, 67),
    ];
    for (spec, want) in rows {
        assert_eq!(code(spec.clone()), want, "{spec}");
    }
}

#[test]
fn a_unique_build_judges_at_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(options_with(dir.path(), EngineKind::Memory)).unwrap();
    store.create_collection(&ns("d.c"), None, &raw(&doc! {})).unwrap();
    insert(&store, "d.c", &(0..1000).map(|id| doc! {"_id": id, "u": id}).collect::<Vec<_>>()).unwrap();
    insert(&store, "d.c", &[doc! {"_id": 2000, "u": 7}]).unwrap();
    let spec = raw(&doc! {"key": {"u": 1}, "name": "u", "unique": true});
    let refused = store.create_indexes(&ns("d.c"), std::slice::from_ref(&spec));
    assert!(matches!(refused, Err(Error::DuplicateKey(_))), "{refused:?}");
    let catalog = store.catalog();
    assert!(catalog.get(&ns("d.c")).unwrap().index("u").is_none());
    // Writes go on while it is built; what they violate only counts if it stays.
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for round in 0..200 {
                let id = 3000 + round;
                while let Err(error) = put(&store, "d.c", id, Some(&doc! {"_id": id, "u": id})) {
                    assert!(matches!(error, Error::WriteConflict), "{error}");
                }
            }
        });
        while put(&store, "d.c", 2000, None).is_err() {}
        store.create_indexes(&ns("d.c"), &[spec]).unwrap();
        writer.join().unwrap();
    });
    valid(&store, "d.c");
}

#[test]
fn a_store_without_a_language_has_no_partial_indexes() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(options(dir.path(), EngineKind::Memory)).unwrap();
    store.create_collection(&ns("d.c"), None, &raw(&doc! {})).unwrap();
    let spec = raw(&doc! {"key": {"a": 1}, "name": "a", "partialFilterExpression": {"x": 1}});
    assert!(matches!(store.create_indexes(&ns("d.c"), &[spec]), Err(Error::NotImplemented(_))));
}
