//! The documents that operations are about: ten fields of 100 bytes, integers as `_id`, hashed over two shards.

use crate::Result;
use crate::cluster::Cluster;
use crate::connection::Connection;
use bson::{Document, RawDocumentBuf, doc, rawdoc};

pub(crate) const DB: &str = "bench";
pub(crate) const COLLECTION: &str = "docs";
/// Documents that are there before the first measurement.
pub(crate) const COUNT: i64 = 20_000;
const BATCH: usize = 500;
const FIELD_BYTES: usize = 100;

/// A document of about 1.1 KB.
pub(crate) fn document(id: i64) -> Document {
    let mut doc = doc! { "_id": id };
    for field in 0..10 {
        doc.insert(format!("field{field}"), text(id + field));
    }
    doc
}

/// A field's text.
pub(crate) fn text(seed: i64) -> String {
    format!("{seed:x<FIELD_BYTES$}")
}

/// Inserts them through the router.
pub(crate) fn load(cluster: &Cluster) -> Result<()> {
    let mut router = cluster.connect()?;
    let ids: Vec<i64> = (0..COUNT).collect();
    for ids in ids.chunks(BATCH) {
        let documents: Vec<Document> = ids.iter().map(|&id| document(id)).collect();
        router.run(DB, doc! { "insert": COLLECTION, "documents": documents, "ordered": false })?;
    }
    Ok(())
}

/// The documents that one shard has.
pub(crate) fn ids_on(shard: &str) -> Result<Vec<i64>> {
    let mut connection = Connection::open(shard)?;
    let command =
        doc! { "find": COLLECTION, "filter": { "_id": { "$gte": 0_i64 } }, "projection": { "_id": 1 } };
    let found = connection.all(DB, command)?;
    Ok(found.iter().flat_map(|one| one.get_i64("_id")).collect())
}

/// `findOne` as drivers send it.
pub(crate) fn find_one(id: i64) -> RawDocumentBuf {
    rawdoc! { "find": COLLECTION, "filter": { "_id": id }, "limit": 1, "singleBatch": true, "$db": DB }
}
