//! `config.collections`: `{_id, lastmodEpoch, lastmod, timestamp, uuid, key, unique, noBalance, …}`.

use super::fields::{Fields, document, integer, object_id, text, timestamp, uuid};
use crate::{ChunkMap, CollectionRouting, Error, ShardKey};
use bson::{Bson, Document, doc};
use types::{Generation, Namespace, Uuid};

/// A sharded collection without its chunks.
#[derive(Debug, Clone, PartialEq)]
pub struct CollectionEntry {
    pub ns: Namespace,
    pub uuid: Uuid,
    pub generation: Generation,
    /// When the entry was written.
    pub last_modified: bson::DateTime,
    pub key: ShardKey,
    pub unique: bool,
    pub default_collation: Option<Document>,
    /// The balancer leaves the collection alone.
    pub no_balance: bool,
    /// False while chunks must not move (`setAllowMigrations`).
    pub allow_migrations: bool,
    /// Neighbouring chunks of one shard are merged; absent means yes.
    pub enable_auto_merge: Option<bool>,
    /// The collection's own chunk size; absent means the cluster's.
    pub max_chunk_size_bytes: Option<i64>,
    /// Tracked although not sharded.
    pub unsplittable: bool,
    /// What a running reshardCollection keeps here; ours to carry, not to read.
    pub resharding: Option<Document>,
}

impl CollectionEntry {
    /// Reads a document of `config.collections`.
    ///
    /// # Errors
    /// [`Error::BadDocument`], [`Error::BadKeyPattern`].
    pub fn from_document(entry: &Document) -> Result<CollectionEntry, Error> {
        let fields = Fields { collection: "collections", document: entry };
        Ok(CollectionEntry {
            ns: Namespace::parse(fields.required("_id", text)?)?,
            uuid: fields.required("uuid", uuid)?,
            generation: Generation {
                epoch: fields.required("lastmodEpoch", object_id)?,
                timestamp: fields.required("timestamp", timestamp)?,
            },
            last_modified: fields.required("lastmod", |value| value.as_datetime().copied())?,
            key: ShardKey::from_document(fields.required("key", document)?)?,
            unique: fields.flag("unique", false)?,
            default_collation: fields.optional("defaultCollation", document)?.cloned(),
            no_balance: fields.flag("noBalance", false)?,
            allow_migrations: fields.flag("allowMigrations", true)?
                && fields.flag("permitMigrations", true)?,
            enable_auto_merge: fields.optional("enableAutoMerge", super::fields::flag)?,
            max_chunk_size_bytes: fields.optional("maxChunkSizeBytes", integer)?,
            unsplittable: fields.flag("unsplittable", false)?,
            resharding: fields.optional("reshardingFields", document)?.cloned(),
        })
    }

    /// As a document of `config.collections`.
    pub fn to_document(&self) -> Document {
        let mut entry = doc! {
            "_id": self.ns.as_str(),
            "lastmodEpoch": self.generation.epoch,
            "lastmod": self.last_modified,
            "timestamp": bson::Timestamp::from(self.generation.timestamp),
            "uuid": self.uuid.to_bson(),
        };
        if let Some(collation) = &self.default_collation {
            entry.insert("defaultCollation", collation.clone());
        }
        entry.insert("key", self.key.pattern().clone());
        entry.insert("unique", self.unique);
        if self.unsplittable {
            entry.insert("unsplittable", true);
        }
        entry.insert("noBalance", self.no_balance);
        if let Some(bytes) = self.max_chunk_size_bytes {
            entry.insert("maxChunkSizeBytes", Bson::Int64(bytes));
        }
        if let Some(enabled) = self.enable_auto_merge {
            entry.insert("enableAutoMerge", enabled);
        }
        if !self.allow_migrations {
            entry.insert("allowMigrations", false);
        }
        if let Some(resharding) = &self.resharding {
            entry.insert("reshardingFields", resharding.clone());
        }
        entry
    }

    /// The routing of the collection with these chunks.
    pub fn routing(&self, chunks: ChunkMap) -> CollectionRouting {
        CollectionRouting {
            ns: self.ns.clone(),
            uuid: self.uuid,
            generation: self.generation,
            key: self.key.clone(),
            unique: self.unique,
            default_collation: self.default_collation.clone(),
            unsplittable: self.unsplittable,
            chunks,
        }
    }
}
