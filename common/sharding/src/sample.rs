//! Keys, chunk maps and documents for tests.

use crate::chunk::{Chunk, ChunkVersion, Ownership};
use crate::{Bound, ChunkMap, CollectionRouting, ShardKey};
use bson::oid::ObjectId;
use bson::{Bson, Document, RawDocumentBuf, doc};
use proptest::prelude::*;
use types::{Generation, Namespace, ShardId, Timestamp, Uuid};

pub(crate) fn key(pattern: Document) -> ShardKey {
    ShardKey::from_document(&pattern).unwrap()
}

pub(crate) fn raw(document: &Document) -> RawDocumentBuf {
    RawDocumentBuf::try_from(document).unwrap()
}

/// Ids 1, 2, 3 and so on.
pub(crate) fn ids() -> impl FnMut() -> ObjectId {
    let mut last = 0u32;
    move || {
        last += 1;
        let mut bytes = [0; 12];
        bytes[8..].copy_from_slice(&last.to_be_bytes());
        ObjectId::from_bytes(bytes)
    }
}

pub(crate) fn shard(number: usize) -> ShardId {
    ShardId::new(&format!("s{number}"))
}

/// A map cut at the points; the owners come in turn.
pub(crate) fn map(key: &ShardKey, points: &[Bound], owners: &[usize]) -> ChunkMap {
    let mut new_id = ids();
    let mut version = ChunkVersion::FIRST;
    let starts = [key.global_min()].into_iter().chain(points.iter().cloned());
    let ends = points.iter().cloned().chain([key.global_max()]);
    let chunks = starts.zip(ends).zip(owners.iter().cycle()).map(|((min, max), owner)| {
        let shard = shard(*owner);
        let history = vec![Ownership { valid_after: Timestamp::new(10, 0), shard: shard.clone() }];
        version = version.next_minor();
        Chunk { id: new_id(), min, max, shard, version, history, jumbo: false }
    });
    ChunkMap::new(key, chunks).unwrap()
}

pub(crate) fn routing(key: &ShardKey, chunks: ChunkMap) -> CollectionRouting {
    CollectionRouting {
        ns: Namespace::parse("db.c").unwrap(),
        uuid: Uuid([7; 16]),
        generation: Generation { epoch: ObjectId::from_bytes([1; 12]), timestamp: Timestamp::new(1, 1) },
        key: key.clone(),
        unique: false,
        default_collation: None,
        unsplittable: false,
        chunks,
    }
}

/// One of the three kinds of key.
pub(crate) fn any_key() -> impl Strategy<Value = ShardKey> {
    prop::sample::select(vec![
        doc! {"a": 1},
        doc! {"a": 1, "b": 1},
        doc! {"a": "hashed"},
        doc! {"a": "hashed", "b": 1},
        doc! {"a": 1, "b": "hashed"},
    ])
    .prop_map(key)
}

pub(crate) fn any_value() -> impl Strategy<Value = Bson> {
    prop_oneof![
        4 => (-4i32..5).prop_map(Bson::Int32),
        1 => (-9i32..10).prop_map(|half| Bson::Double(f64::from(half) / 2.0)),
        1 => "[ab]{0,2}".prop_map(Bson::String),
        1 => prop::sample::select(vec![Bson::Null, Bson::MinKey, Bson::MaxKey, Bson::Boolean(true)]),
    ]
}

/// Fields `a` and `b`, each there or not.
pub(crate) fn any_document() -> impl Strategy<Value = Document> {
    (prop::option::of(any_value()), prop::option::of(any_value())).prop_map(|(a, b)| {
        [("a", a), ("b", b)].into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    })
}

/// A key with chunks between the keys of some documents, and up to four owners.
pub(crate) fn any_collection() -> impl Strategy<Value = (ShardKey, ChunkMap)> {
    (any_key(), prop::collection::vec(any_document(), 0..8), prop::collection::vec(0usize..4, 1..9)).prop_map(
        |(key, documents, owners)| {
            let mut points: Vec<Bound> =
                documents.iter().map(|document| key.bound_of(&raw(document)).unwrap()).collect();
            points.retain(|point| *point > key.global_min() && *point < key.global_max());
            points.sort();
            points.dedup();
            let chunks = map(&key, &points, &owners);
            (key, chunks)
        },
    )
}
