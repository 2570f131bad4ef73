//! What dropped collections leave goes bit by bit: it holds up neither checkpoints nor the end of the process.

use super::harness::*;
use crate::options::EngineKind;
use crate::{CommitMeta, Store, keyspace};
use bson::{doc, rawdoc};
use bytes::Bytes;
use std::ops::Bound;
use std::time::{Duration, Instant};

const DOCS: i32 = 100_000;

fn keys_of(store: &Store, ident: keyspace::Ident) -> usize {
    let prefixes = [keyspace::index_prefix(ident), keyspace::record_prefix(ident)];
    let range = |prefix| {
        let range = keyspace::Range::prefix(prefix);
        let bounds = (Bound::Included(Bytes::from(range.start)), Bound::Excluded(Bytes::from(range.end)));
        store.shared.base.range(bounds, crate::Direction::Forward).count()
    };
    prefixes.into_iter().map(range).sum()
}

fn marks(store: &Store) -> usize {
    let space = keyspace::dropped_space();
    let bounds = (Bound::Included(Bytes::from(space.start)), Bound::Excluded(Bytes::from(space.end)));
    store.shared.base.range(bounds, crate::Direction::Forward).count()
}

#[test]
fn a_large_collection_goes_while_others_are_checkpointed() {
    for engine in [EngineKind::Sled, EngineKind::Fjall] {
        let dir = tempfile::tempdir().unwrap();
        let options = crate::Options {
            cache_bytes: 32 << 20,
            oplog_segment_bytes: 4 << 20,
            ..options(dir.path(), engine)
        };
        let store = Store::open(options.clone()).unwrap();
        for name in ["d.big", "d.c"] {
            store.create_collection(&ns(name), None, &rawdoc! {}).unwrap();
        }
        store.create_indexes(&ns("d.big"), &[raw(&doc! {"key": {"x": 1}})]).unwrap();
        let big = store.catalog().get(&ns("d.big")).unwrap().clone();
        for first in (0..DOCS).step_by(1000) {
            let mut batch = store.batch(store.snapshot());
            for id in first..first + 1000 {
                batch.insert(&big, &rawdoc! { "_id": id, "x": id }).unwrap();
            }
            batch.commit(CommitMeta::default()).unwrap();
        }
        store.force_checkpoint().unwrap();
        let idents: Vec<_> = big.indexes.iter().map(|index| index.id.0).chain([big.id.0]).collect();
        let left = |store: &Store| idents.iter().map(|ident| keys_of(store, *ident)).sum::<usize>();
        assert!(left(&store) >= 2 * DOCS as usize);
        store.drop_collection(&ns("d.big")).unwrap();
        put(&store, "d.c", 1, Some(&doc! {"_id": 1})).unwrap();
        let start = Instant::now();
        store.force_checkpoint().unwrap();
        let checkpoint = start.elapsed();
        assert!(left(&store) > 0, "all of it in one checkpoint");
        assert!(marks(&store) > 0);
        put(&store, "d.c", 2, Some(&doc! {"_id": 2})).unwrap();
        let start = Instant::now();
        store.close().unwrap();
        let close = start.elapsed();
        println!("{engine:?}: checkpoint {checkpoint:?}, close {close:?}");
        assert!(checkpoint.max(close) < Duration::from_secs(5), "{engine:?}: {checkpoint:?} {close:?}");
        drop(store);
        // The mark stands until all of it is gone, and nobody has to ask.
        let store = Store::open(options).unwrap();
        let start = Instant::now();
        while marks(&store) > 0 {
            assert!(start.elapsed() < Duration::from_secs(60), "{} are left", left(&store));
            std::thread::park_timeout(Duration::from_millis(50));
        }
        println!("{engine:?}: gone after {:?}", start.elapsed());
        assert_eq!(left(&store), 0);
        let found = read(&store.snapshot(), &store, "d.c", crate::Direction::Forward);
        assert_eq!(found.len(), 2);
    }
}
