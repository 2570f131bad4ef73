//! A chunk: the range `[min, max)` of the key space, the shard that owns it, and the version of that fact.

use crate::shard_key::Bound;
use bson::oid::ObjectId;
use std::fmt;
use types::{ShardId, Timestamp};

/// (major, minor): major rises when a chunk moves, minor when one is split or merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ChunkVersion {
    pub major: u32,
    pub minor: u32,
}

impl ChunkVersion {
    /// The version of a shard that owns nothing.
    pub const NONE: ChunkVersion = ChunkVersion { major: 0, minor: 0 };

    /// The version of the first chunk of a collection.
    pub const FIRST: ChunkVersion = ChunkVersion { major: 1, minor: 0 };

    /// From `lastmod` of `config.chunks`.
    pub fn from_timestamp(ts: bson::Timestamp) -> ChunkVersion {
        ChunkVersion { major: ts.time, minor: ts.increment }
    }

    /// As `lastmod` of `config.chunks`.
    pub fn to_timestamp(self) -> bson::Timestamp {
        bson::Timestamp { time: self.major, increment: self.minor }
    }

    /// The next one without a move.
    #[must_use]
    pub fn next_minor(self) -> ChunkVersion {
        ChunkVersion { major: self.major, minor: self.minor + 1 }
    }

    /// The next one with a move.
    #[must_use]
    pub fn next_major(self) -> ChunkVersion {
        ChunkVersion { major: self.major + 1, minor: 0 }
    }
}

impl fmt::Display for ChunkVersion {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}|{}", self.major, self.minor)
    }
}

/// Since when a shard has owned a chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ownership {
    pub valid_after: Timestamp,
    pub shard: ShardId,
}

/// One chunk.
#[derive(Debug, Clone, PartialEq)]
pub struct Chunk {
    pub id: ObjectId,
    pub min: Bound,
    pub max: Bound,
    pub shard: ShardId,
    pub version: ChunkVersion,
    /// Owners, the latest first. Reads at an older time go to the owner of that time.
    pub history: Vec<Ownership>,
    /// Marked as not to be moved. We never set it; it is kept if it is there.
    pub jumbo: bool,
}

impl Chunk {
    /// Whether a key lies in the chunk. The last chunk also holds the end of the key space itself.
    pub fn contains(&self, key: &[u8]) -> bool {
        self.min.bytes() <= key && (key < self.max.bytes() || self.max.bytes() == key && self.is_last())
    }

    fn is_last(&self) -> bool {
        self.max.document().iter().all(|(_, value)| *value == bson::Bson::MaxKey)
    }

    /// Since when the present shard has owned it.
    pub fn on_current_shard_since(&self) -> Option<Timestamp> {
        self.history.first().map(|ownership| ownership.valid_after)
    }

    /// The shard that owned it at a time; `None` if that is before what the history keeps.
    pub fn owner_at(&self, at: Timestamp) -> Option<&ShardId> {
        self.history.iter().find(|ownership| ownership.valid_after <= at).map(|ownership| &ownership.shard)
    }
}

impl fmt::Display for Chunk {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "[{}, {}) on {} at {}", self.min, self.max, self.shard, self.version)
    }
}
