//! Sizes of collections and databases, as collStats, dbStats and $collStats show them.
//! Counts are exact; bytes are those of the documents and of the index keys, before the base engine stores them.

use crate::Engine;
use bson::{RawArrayBuf, RawDocumentBuf, cstr};
use storage::{Collection, CollectionStats};

/// `storageStats` of a collection; all zero for one that is not there.
pub(crate) fn collection(engine: &Engine, collection: Option<&Collection>, scale: i64) -> RawDocumentBuf {
    let stats =
        collection.map_or_else(CollectionStats::default, |collection| engine.store().stats(collection));
    let index_bytes: u64 = stats.indexes.iter().map(|(_, _, bytes)| bytes).sum();
    let mut sizes = RawDocumentBuf::new();
    for (name, _, bytes) in &stats.indexes {
        if let Ok(name) = <&bson::raw::CStr>::try_from(name.as_str()) {
            sizes.append(name, scaled(*bytes, scale));
        }
    }
    let mut out = RawDocumentBuf::new();
    out.append(cstr!("size"), scaled(stats.bytes, scale));
    out.append(cstr!("count"), number(stats.records));
    if let Some(average) = stats.bytes.checked_div(stats.records) {
        out.append(cstr!("avgObjSize"), number(average));
    }
    out.append(cstr!("numOrphanDocs"), 0);
    out.append(cstr!("storageSize"), scaled(stats.bytes, scale));
    out.append(cstr!("freeStorageSize"), 0);
    let capped = collection.and_then(|collection| collection.capped);
    out.append(cstr!("capped"), capped.is_some());
    if let Some(capped) = capped {
        out.append(cstr!("max"), number(capped.records_max.unwrap_or(0)));
        out.append(cstr!("maxSize"), scaled(capped.bytes_max, scale));
    }
    out.append(cstr!("nindexes"), collection.map_or(0, |collection| collection.indexes.len() as i32));
    out.append(cstr!("indexBuilds"), building(collection));
    out.append(cstr!("totalIndexSize"), scaled(index_bytes, scale));
    out.append(cstr!("totalSize"), scaled(stats.bytes + index_bytes, scale));
    out.append(cstr!("indexSizes"), sizes);
    out.append(cstr!("scaleFactor"), number(scale.unsigned_abs()));
    out
}

/// The sizes of a database, without its name.
pub(crate) fn database(engine: &Engine, db: &str, scale: i64, out: &mut RawDocumentBuf) {
    let catalog = engine.store().catalog();
    let (mut collections, mut indexes) = (0_u64, 0_u64);
    let (mut records, mut bytes, mut index_bytes) = (0_u64, 0_u64, 0_u64);
    for collection in catalog.collections(db) {
        let stats = engine.store().stats(collection);
        collections += 1;
        indexes += collection.indexes.len() as u64;
        records += stats.records;
        bytes += stats.bytes;
        index_bytes += stats.indexes.iter().map(|(_, _, bytes)| bytes).sum::<u64>();
    }
    out.append(cstr!("collections"), number(collections));
    out.append(cstr!("views"), 0);
    out.append(cstr!("objects"), number(records));
    out.append(cstr!("avgObjSize"), bytes as f64 / (records.max(1)) as f64);
    out.append(cstr!("dataSize"), bytes as f64 / scale as f64);
    out.append(cstr!("storageSize"), bytes as f64 / scale as f64);
    out.append(cstr!("indexes"), number(indexes));
    out.append(cstr!("indexSize"), index_bytes as f64 / scale as f64);
    out.append(cstr!("totalSize"), (bytes + index_bytes) as f64 / scale as f64);
    out.append(cstr!("scaleFactor"), number(scale.unsigned_abs()));
}

fn building(collection: Option<&Collection>) -> RawArrayBuf {
    let indexes = collection.into_iter().flat_map(|collection| &collection.indexes);
    indexes.filter(|index| index.ready.is_none()).map(|index| index.name.as_str()).collect()
}

fn scaled(bytes: u64, scale: i64) -> bson::RawBson {
    number(bytes / scale.unsigned_abs().max(1))
}

/// The smallest integer type that holds it.
fn number(value: u64) -> bson::RawBson {
    match i32::try_from(value) {
        Ok(value) => bson::RawBson::Int32(value),
        Err(_) => bson::RawBson::Int64(i64::try_from(value).unwrap_or(i64::MAX)),
    }
}
