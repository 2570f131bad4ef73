//! `shardCollection`: deals a collection over the shards by a key.

use types::Namespace;
use value::SharedDoc;

/// A `shardCollection` command.
#[derive(Debug, Clone, PartialEq)]
pub struct ShardCollection {
    pub ns: Namespace,
    /// The key pattern as it came; `sharding::shard_key` judges it.
    pub key: SharedDoc,
    pub unique: bool,
    pub num_initial_chunks: Option<u32>,
    pub presplit_hashed_zones: bool,
    /// Make the index that supports the key where it is missing.
    pub implicitly_create_index: bool,
    pub enforce_uniqueness_check: bool,
}
