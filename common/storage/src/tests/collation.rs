//! Indexes and ids under a collation: what is one key, in which order keys stand, and that every member and every start sees it so.

use super::harness::*;
use super::replica::{assert_same, follower, records};
use crate::options::EngineKind;
use crate::{CommitMeta, Error, Store};
use bson::{Document, doc};
use types::OpTime;
use value::interval::KeyRange;

const WORDS: [&str; 8] = ["b", "A", "\u{e4}", "a", "Z", "z", "10", "9"];

fn insert(store: &Store, name: &str, doc: &Document) -> Result<(), Error> {
    let catalog = store.catalog();
    let mut batch = store.batch(store.snapshot());
    batch.insert(catalog.get(&ns(name)).unwrap(), &raw(doc))?;
    batch.commit(CommitMeta::default()).map(drop)
}

fn duplicate_of(result: Result<(), Error>) -> String {
    match result {
        Err(Error::DuplicateKey(key)) => key.index,
        other => panic!("{other:?}"),
    }
}

/// The ids in the order of the records.
fn ids(store: &Store, name: &str) -> Vec<String> {
    let catalog = store.catalog();
    let collection = catalog.get(&ns(name)).unwrap();
    assert_eq!(store.validate(collection).unwrap().errors, Vec::<String>::new());
    let scan = store.snapshot();
    scan.scan(collection, &KeyRange::all(), crate::Direction::Forward)
        .map(|record| record.unwrap().1.get_str("_id").unwrap().to_owned())
        .collect()
}

#[test]
fn ids_are_one_where_the_collation_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(options(dir.path(), EngineKind::Sled)).unwrap();
    let collated = doc! {"collation": {"locale": "en", "strength": 2, "numericOrdering": true}};
    store.create_collection(&ns("d.c"), None, &raw(&collated)).unwrap();
    store.create_collection(&ns("d.plain"), None, &raw(&doc! {})).unwrap();
    for (at, word) in WORDS.iter().enumerate() {
        let doc = doc! {"_id": *word, "n": at as i32};
        insert(&store, "d.plain", &doc).unwrap();
        let taken = WORDS[..at].iter().any(|other| other.eq_ignore_ascii_case(word));
        match taken {
            true => assert_eq!(duplicate_of(insert(&store, "d.c", &doc)), "_id_"),
            false => insert(&store, "d.c", &doc).unwrap(),
        }
    }
    let wanted = ["9", "10", "A", "\u{e4}", "b", "Z"];
    assert_eq!(ids(&store, "d.c"), wanted);
    assert_eq!(ids(&store, "d.plain"), ["10", "9", "A", "Z", "a", "b", "z", "\u{e4}"]);
    let catalog = store.catalog();
    let collection = catalog.get(&ns("d.c")).unwrap();
    assert_eq!(
        collection.indexes[0].spec.get_document("collation").unwrap().get_i32("strength").ok(),
        Some(2)
    );
    // Found and removed by an id that is equal; another spelling of it is another value all the same.
    let key = collection.record_key(bson::RawBsonRef::String("a"));
    let old = store.snapshot().get(collection, &key).unwrap().unwrap();
    let mut batch = store.batch(store.snapshot());
    let renamed = raw(&doc! {"_id": "a", "n": 1});
    assert_eq!(batch.update(collection, &key, &old, &renamed).unwrap_err().fault().code.number(), 66);
    drop(batch);
    let mut batch = store.batch(store.snapshot());
    batch.update(collection, &key, &old, &raw(&doc! {"_id": "A", "n": 100})).unwrap();
    batch.commit(CommitMeta::default()).unwrap();
    let follower_dir = tempfile::tempdir().unwrap();
    let follower = follower(follower_dir.path(), EngineKind::Sled);
    follower.apply(&records(&store, OpTime::default())).unwrap();
    assert_same(&store, &follower);
    // What is read from the log again is the same, and so is what comes out of the base.
    drop((catalog, store));
    for _ in 0..2 {
        let store = Store::open(options(dir.path(), EngineKind::Sled)).unwrap();
        assert_eq!(ids(&store, "d.c"), wanted);
        assert_eq!(duplicate_of(insert(&store, "d.c", &doc! {"_id": "B"})), "_id_");
        store.force_checkpoint().unwrap();
    }
}

#[test]
fn indexes_inherit_the_collation_or_name_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(options(dir.path(), EngineKind::Memory)).unwrap();
    let collated = doc! {"collation": {"locale": "en", "strength": 1}};
    store.create_collection(&ns("d.c"), None, &raw(&collated)).unwrap();
    let specs = [
        doc! {"key": {"u": 1}, "name": "inherits", "unique": true},
        doc! {"key": {"u": 1}, "name": "simple", "unique": true, "collation": {"locale": "simple"}},
        doc! {"key": {"u": 1}, "name": "second", "unique": true, "collation": {"locale": "en", "strength": 2}},
    ];
    for spec in &specs {
        store.create_indexes(&ns("d.c"), &[raw(spec)]).unwrap();
    }
    let catalog = store.catalog();
    let shown = |name: &str| {
        let index = catalog.get(&ns("d.c")).unwrap().index(name).unwrap().clone();
        index.spec.get_document("collation").ok().map(|collation| collation.get_i32("strength").unwrap())
    };
    assert_eq!((shown("inherits"), shown("simple"), shown("second")), (Some(1), None, Some(2)));
    insert(&store, "d.c", &doc! {"_id": 1, "u": "a"}).unwrap();
    let second = insert(&store, "d.c", &doc! {"_id": 2, "u": "\u{e1}"});
    assert_eq!(duplicate_of(second), "inherits");
    store.drop_index(&ns("d.c"), "inherits").unwrap();
    insert(&store, "d.c", &doc! {"_id": 2, "u": "\u{e1}"}).unwrap();
    assert_eq!(
        duplicate_of(
            insert(&store, "d.c", &doc! {"_id": 3, "u": {"x": "a"}})
                .and_then(|()| { insert(&store, "d.c", &doc! {"_id": 4, "u": {"x": "A"}}) })
        ),
        "second"
    );
    store.drop_index(&ns("d.c"), "second").unwrap();
    insert(&store, "d.c", &doc! {"_id": 4, "u": "A"}).unwrap();
    assert_eq!(duplicate_of(insert(&store, "d.c", &doc! {"_id": 5, "u": "A"})), "simple");
    // Data that violates it keeps an index from being made.
    let error = store.create_indexes(&ns("d.c"), &[raw(&specs[0])]).unwrap_err();
    assert!(matches!(error, Error::DuplicateKey(_)), "{error}");
}
