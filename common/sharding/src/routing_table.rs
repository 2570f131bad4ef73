//! Which shard owns what, as far as this process knows. Immutable and shared by `Arc`; whoever learns more makes a new table.

use crate::chunk_map::ChunkMap;
use crate::shard_key::ShardKey;
use std::collections::HashMap;
use std::sync::Arc;
use types::{DatabaseVersion, Generation, Namespace, ShardId, ShardVersion, Uuid};

/// A database and its home shard, which has the collections that are not sharded.
#[derive(Debug, Clone, PartialEq)]
pub struct DatabaseRouting {
    pub name: String,
    pub primary: ShardId,
    pub version: DatabaseVersion,
}

/// A sharded collection: its key and where its chunks are.
#[derive(Debug, Clone)]
pub struct CollectionRouting {
    pub ns: Namespace,
    pub uuid: Uuid,
    pub generation: Generation,
    pub key: ShardKey,
    pub unique: bool,
    /// The collection's default collation; absent means binary comparison.
    pub default_collation: Option<bson::Document>,
    /// Tracked with one chunk although never sharded (`unsplittable` of `config.collections`).
    pub unsplittable: bool,
    pub chunks: ChunkMap,
}

impl CollectionRouting {
    /// The version that a request to `shard` is routed with.
    pub fn shard_version(&self, shard: &ShardId) -> ShardVersion {
        let version = self.chunks.shard_version(shard);
        ShardVersion::Chunks { generation: self.generation, major: version.major, minor: version.minor }
    }

    /// The version of the whole collection.
    pub fn version(&self) -> ShardVersion {
        let version = self.chunks.version();
        ShardVersion::Chunks { generation: self.generation, major: version.major, minor: version.minor }
    }

    /// The owner of an encoded key.
    pub fn owner(&self, key: &[u8]) -> &ShardId {
        &self.chunks.find(key).shard
    }

    /// Whether `shard` owns an encoded key.
    pub fn owns(&self, shard: &ShardId, key: &[u8]) -> bool {
        self.owner(key) == shard
    }

    /// The same collection with other chunks.
    #[must_use]
    pub fn with_chunks(&self, chunks: ChunkMap) -> CollectionRouting {
        CollectionRouting { chunks, ..self.clone() }
    }
}

/// Databases and sharded collections by name.
#[derive(Debug, Clone, Default)]
pub struct RoutingTable {
    databases: HashMap<String, Arc<DatabaseRouting>>,
    collections: HashMap<Namespace, Arc<CollectionRouting>>,
}

impl RoutingTable {
    /// A database.
    pub fn database(&self, name: &str) -> Option<&Arc<DatabaseRouting>> {
        self.databases.get(name)
    }

    /// A sharded collection; `None` if it is not sharded or not known.
    pub fn collection(&self, ns: &Namespace) -> Option<&Arc<CollectionRouting>> {
        self.collections.get(ns)
    }

    /// All databases.
    pub fn databases(&self) -> impl Iterator<Item = &Arc<DatabaseRouting>> {
        self.databases.values()
    }

    /// All sharded collections.
    pub fn collections(&self) -> impl Iterator<Item = &Arc<CollectionRouting>> {
        self.collections.values()
    }

    /// Adds or replaces a database.
    pub fn put_database(&mut self, database: Arc<DatabaseRouting>) {
        self.databases.insert(database.name.clone(), database);
    }

    /// Adds or replaces a collection.
    pub fn put_collection(&mut self, collection: Arc<CollectionRouting>) {
        self.collections.insert(collection.ns.clone(), collection);
    }

    /// Forgets a database and its collections.
    pub fn remove_database(&mut self, name: &str) {
        self.databases.remove(name);
        self.collections.retain(|ns, _| ns.db() != name);
    }

    /// Forgets a collection.
    pub fn remove_collection(&mut self, ns: &Namespace) {
        self.collections.remove(ns);
    }
}
