//! The middle of a chunk: of its range, where the first field is hashed and so evenly spread; else of the keys that are in it, as the
//! owning shard tells.

use crate::metadata::Metadata;
use bson::{Bson, Document, doc};
use sharding::documents::{CollectionEntry, ShardEntry};
use sharding::{Bound, Chunk};
use types::{Code, Fault};

impl Metadata {
    /// A point strictly inside of a chunk with about half of it below.
    ///
    /// # Errors
    /// `OperationFailed` (96) where there is none; the shard's fault.
    pub(super) async fn median(&self, entry: &CollectionEntry, chunk: &Chunk) -> Result<Bound, Fault> {
        let none = || {
            Fault::new(
                Code::OperationFailed,
                format!("cannot find median in chunk [{}, {}), possibly empty", chunk.min, chunk.max),
            )
        };
        if entry.key.has_hashed_prefix() {
            return hashed_middle(entry, chunk)?.ok_or_else(none);
        }
        let shard = self.view()?.shard(&chunk.shard)?;
        let keys = Keys::new(entry, chunk);
        let count = self.count(&shard, &keys).await?;
        let skip = u64::try_from(count / 2).unwrap_or(0);
        let inside = |point: &Bound| *point > chunk.min && *point < chunk.max;
        let middle = self.key_at(&shard, &keys, keys.filter("$gte"), skip).await?;
        if let Some(middle) = middle.filter(inside) {
            return Ok(middle);
        }
        // Half of the chunk or more has its lowest key: the next one is as near as it gets.
        let next = self.key_at(&shard, &keys, keys.filter("$gt"), 0).await?;
        next.filter(inside).ok_or_else(none)
    }

    async fn count(&self, shard: &ShardEntry, keys: &Keys<'_>) -> Result<i64, Fault> {
        let ns = &keys.entry.ns;
        let body = doc! { "count": ns.collection(), "query": keys.filter("$gte"), "$db": ns.db() };
        match self.ask(shard, body).await?.get("n") {
            Some(Bson::Int32(count)) => Ok(i64::from(*count)),
            Some(Bson::Int64(count)) => Ok(*count),
            _ => {
                Err(Fault::new(Code::ProtocolError, format!("shard {} answered a count without n", shard.id)))
            }
        }
    }

    async fn key_at(
        &self,
        shard: &ShardEntry,
        keys: &Keys<'_>,
        filter: Document,
        skip: u64,
    ) -> Result<Option<Bound>, Fault> {
        let ns = &keys.entry.ns;
        let body = doc! {
            "find": ns.collection(),
            "filter": filter,
            "sort": keys.sort(),
            "skip": i64::try_from(skip).unwrap_or(i64::MAX),
            "limit": 1_i64,
            "singleBatch": true,
            "$db": ns.db(),
        };
        let reply = self.ask(shard, body).await?;
        let batch = reply.get_document("cursor").and_then(|cursor| cursor.get_array("firstBatch"));
        let batch = batch.map_err(|_| {
            Fault::new(Code::ProtocolError, format!("shard {} answered a find without a cursor", shard.id))
        })?;
        match batch.first().and_then(Bson::as_document) {
            Some(doc) => keys.point(doc).map(Some),
            None => Ok(None),
        }
    }
}

/// The middle of the hashes of a chunk; further fields of the key are MinKey.
fn hashed_middle(entry: &CollectionEntry, chunk: &Chunk) -> Result<Option<Bound>, Fault> {
    let hash = |bound: &Bound| match bound.document().values().next() {
        Some(Bson::Int64(hash)) => i128::from(*hash),
        Some(Bson::MaxKey) => i128::from(i64::MAX),
        _ => i128::from(i64::MIN),
    };
    let middle = (hash(&chunk.min) + hash(&chunk.max)).div_euclid(2);
    let (Some(field), Ok(middle)) = (entry.key.fields().first(), i64::try_from(middle)) else {
        return Ok(None);
    };
    let point = entry.key.bound_from_prefix(&doc! { field.path.as_ref(): middle })?;
    Ok((point > chunk.min && point < chunk.max).then_some(point))
}

/// The fields of the key before a hashed one, and the chunk's borders in them. Documents are compared by all of them at once and
/// across types, as chunks do: `$expr` over arrays, in which a missing field is null.
struct Keys<'a> {
    entry: &'a CollectionEntry,
    chunk: &'a Chunk,
    paths: Vec<&'a str>,
}

impl<'a> Keys<'a> {
    fn new(entry: &'a CollectionEntry, chunk: &'a Chunk) -> Keys<'a> {
        let plain = entry.key.fields().iter().take_while(|field| !field.hashed);
        Keys { entry, chunk, paths: plain.map(|field| field.path.as_ref()).collect() }
    }

    fn sort(&self) -> Document {
        self.paths.iter().map(|path| ((*path).to_owned(), Bson::Int32(1))).collect()
    }

    /// The documents from the lower border on, or behind it.
    fn filter(&self, lower: &str) -> Document {
        let values: Vec<Bson> = self.paths.iter().map(|path| Bson::String(format!("${path}"))).collect();
        let side = |operator: &str, bound: &Bound| {
            let border: Vec<Bson> =
                self.paths.iter().filter_map(|path| bound.document().get(path).cloned()).collect();
            let open = border.iter().all(|value| matches!(value, Bson::MinKey | Bson::MaxKey));
            (!open).then(|| doc! { operator: [values.clone(), {"$literal": border}] })
        };
        // With a hashed field behind, documents at the upper border may still belong to the chunk.
        let upper = if self.paths.len() == self.entry.key.fields().len() { "$lt" } else { "$lte" };
        let sides: Vec<Bson> = side(lower, &self.chunk.min)
            .into_iter()
            .chain(side(upper, &self.chunk.max))
            .map(Bson::Document)
            .collect();
        if sides.is_empty() {
            doc! {}
        } else {
            doc! { "$expr": {"$and": sides} }
        }
    }

    fn point(&self, doc: &Document) -> Result<Bound, Fault> {
        let key = &self.entry.key;
        let raw = bson::RawDocumentBuf::try_from(doc).map_err(|error| Fault::internal(error.to_string()))?;
        let whole = key.bound_of(&raw)?;
        if self.paths.len() == key.fields().len() {
            return Ok(whole);
        }
        let prefix = whole.document().iter().take(self.paths.len());
        Ok(key.bound_from_prefix(&prefix.map(|(name, value)| (name.clone(), value.clone())).collect())?)
    }
}
