//! Versions that say how new a routing decision is.

use crate::{Timestamp, Uuid};
use std::fmt;

/// One life of a sharded collection: changes when it is dropped and made anew, or gets another key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Generation {
    /// `config.collections.lastmodEpoch`.
    pub epoch: bson::oid::ObjectId,
    /// `config.collections.timestamp`.
    pub timestamp: Timestamp,
}

/// The version of a collection on one shard: the highest chunk version that the shard owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ShardVersion {
    /// The collection is not sharded, or there is none: the database's home shard has it whole.
    Unsharded,
    /// (major, minor) within a generation. Major 0 means that the shard owns no chunk.
    Chunks { generation: Generation, major: u32, minor: u32 },
}

impl ShardVersion {
    /// Whether a request routed with `self` may run where `owned` holds: same generation and same major.
    /// A minor step only splits chunks and moves nothing.
    pub fn accepts(&self, owned: &ShardVersion) -> bool {
        match (self, owned) {
            (ShardVersion::Unsharded, ShardVersion::Unsharded) => true,
            (
                ShardVersion::Chunks { generation: a, major: x, .. },
                ShardVersion::Chunks { generation: b, major: y, .. },
            ) => a == b && x == y,
            _ => false,
        }
    }
}

impl fmt::Display for ShardVersion {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ShardVersion::Unsharded => out.write_str("UNSHARDED"),
            ShardVersion::Chunks { generation, major, minor } => {
                write!(out, "{major}|{minor}||{}||{}", generation.epoch, generation.timestamp)
            }
        }
    }
}

/// The version of a database: changes when its home shard changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DatabaseVersion {
    pub uuid: Uuid,
    pub timestamp: Timestamp,
    /// Rises by one with each change of the home shard.
    pub last_mod: i32,
}

impl fmt::Display for DatabaseVersion {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}|{}||{}", self.last_mod, self.timestamp, self.uuid)
    }
}
