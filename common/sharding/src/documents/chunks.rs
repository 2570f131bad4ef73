//! `config.chunks`: `{_id, uuid, min, max, shard, lastmod, onCurrentShardSince, history: [{validAfter, shard}]}`.

use super::fields::{Fields, array, document, object_id, text, timestamp, uuid};
use crate::chunk::{Chunk, ChunkVersion, Ownership};
use crate::{Error, ShardKey};
use bson::{Bson, Document, doc};
use types::{ShardId, Uuid};

/// Reads a document of `config.chunks`; answers the collection's UUID with it.
///
/// # Errors
/// [`Error::BadDocument`], [`Error::BadBound`] for borders that do not fit the key.
pub fn from_document(key: &ShardKey, entry: &Document) -> Result<(Uuid, Chunk), Error> {
    let fields = Fields { collection: "chunks", document: entry };
    let mut history = Vec::new();
    for owner in fields.optional("history", array)?.into_iter().flatten() {
        let owner = owner.as_document().ok_or_else(|| fields.bad("field 'history' has a wrong type"))?;
        let owner = Fields { collection: "chunks", document: owner };
        history.push(Ownership {
            valid_after: owner.required("validAfter", timestamp)?,
            shard: ShardId::new(owner.required("shard", text)?),
        });
    }
    let chunk = Chunk {
        id: fields.required("_id", object_id)?,
        min: key.bound(fields.required("min", document)?.clone())?,
        max: key.bound(fields.required("max", document)?.clone())?,
        shard: ShardId::new(fields.required("shard", text)?),
        version: ChunkVersion::from_timestamp(fields.required("lastmod", Bson::as_timestamp)?),
        history,
        jumbo: fields.flag("jumbo", false)?,
    };
    Ok((fields.required("uuid", uuid)?, chunk))
}

/// As a document of `config.chunks`.
pub fn to_document(collection: Uuid, chunk: &Chunk) -> Document {
    let mut entry = doc! {
        "_id": chunk.id,
        "uuid": collection.to_bson(),
        "min": chunk.min.document().clone(),
        "max": chunk.max.document().clone(),
        "shard": chunk.shard.as_str(),
        "lastmod": chunk.version.to_timestamp(),
    };
    if let Some(since) = chunk.on_current_shard_since() {
        entry.insert("onCurrentShardSince", bson::Timestamp::from(since));
    }
    let history = chunk.history.iter().map(|owner| {
        let valid_after = bson::Timestamp::from(owner.valid_after);
        Bson::Document(doc! {"validAfter": valid_after, "shard": owner.shard.as_str()})
    });
    entry.insert("history", history.collect::<Vec<_>>());
    if chunk.jumbo {
        entry.insert("jumbo", true);
    }
    entry
}
