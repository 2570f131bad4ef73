//! All chunks of a collection, in order. Immutable; a change makes a new map that shares the chunks that stayed.
//! Invariant: the chunks tile the key space from MinKey to MaxKey without gap or overlap.

mod change;

use crate::Error;
use crate::chunk::{Chunk, ChunkVersion};
use crate::shard_key::ShardKey;
use std::collections::BTreeMap;
use std::sync::Arc;
use types::ShardId;
use value::interval::KeyRange;

pub use change::Change;

/// What one shard owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// The highest version of its chunks: the version of the shard.
    pub version: ChunkVersion,
    pub chunk_count: usize,
}

/// The chunks of a collection.
#[derive(Debug, Clone)]
pub struct ChunkMap {
    chunks: Vec<Arc<Chunk>>,
    shards: BTreeMap<ShardId, Share>,
    version: ChunkVersion,
}

impl ChunkMap {
    /// From chunks in any order.
    ///
    /// # Errors
    /// [`Error::NotTiled`] if they leave a gap, overlap, or do not reach both ends.
    pub fn new(key: &ShardKey, chunks: impl IntoIterator<Item = Chunk>) -> Result<ChunkMap, Error> {
        let mut chunks: Vec<Arc<Chunk>> = chunks.into_iter().map(Arc::new).collect();
        chunks.sort_by(|left, right| left.min.cmp(&right.min));
        let ends = chunks.first().zip(chunks.last());
        let Some((first, last)) = ends else {
            return Err(Error::NotTiled { detail: "there are none".into() });
        };
        if first.min != key.global_min() {
            return Err(Error::NotTiled { detail: format!("the first is {first}") });
        }
        if last.max != key.global_max() {
            return Err(Error::NotTiled { detail: format!("the last is {last}") });
        }
        ChunkMap::from_sorted(chunks)
    }

    /// The ends are known to be right.
    fn from_sorted(chunks: Vec<Arc<Chunk>>) -> Result<ChunkMap, Error> {
        for pair in chunks.windows(2) {
            if let [left, right] = pair
                && left.max != right.min
            {
                return Err(Error::NotTiled { detail: format!("{left} before {right}") });
            }
        }
        let mut shards: BTreeMap<ShardId, Share> = BTreeMap::new();
        let mut version = ChunkVersion::NONE;
        for chunk in &chunks {
            if chunk.min >= chunk.max {
                return Err(Error::NotTiled { detail: format!("{chunk} is empty") });
            }
            version = version.max(chunk.version);
            match shards.get_mut(&chunk.shard) {
                Some(share) => {
                    share.version = share.version.max(chunk.version);
                    share.chunk_count += 1;
                }
                None => {
                    shards.insert(chunk.shard.clone(), Share { version: chunk.version, chunk_count: 1 });
                }
            }
        }
        Ok(ChunkMap { chunks, shards, version })
    }

    /// The chunks in order.
    pub fn chunks(&self) -> &[Arc<Chunk>] {
        &self.chunks
    }

    /// The chunk that holds an encoded key.
    pub fn find(&self, key: &[u8]) -> &Arc<Chunk> {
        let at = self.chunks.partition_point(|chunk| chunk.min.bytes() <= key);
        // The first chunk starts at MinKey, which no encoded key is below.
        self.chunks.get(at.saturating_sub(1)).unwrap_or_else(|| unreachable!("a map is never empty"))
    }

    /// The chunks that a range of encoded keys touches.
    pub fn in_range(&self, range: &KeyRange) -> &[Arc<Chunk>] {
        if range.is_empty() {
            return &[];
        }
        let from = self
            .chunks
            .partition_point(|chunk| chunk.min.bytes() <= range.start.as_slice())
            .saturating_sub(1);
        let to = match &range.end {
            Some(end) => self.chunks.partition_point(|chunk| chunk.min.bytes() < end.as_slice()),
            None => self.chunks.len(),
        };
        self.chunks.get(from..to).unwrap_or(&[])
    }

    /// The shards that own chunks, by name.
    pub fn shards(&self) -> impl ExactSizeIterator<Item = (&ShardId, &Share)> {
        self.shards.iter()
    }

    /// What one shard owns; `None` if nothing.
    pub fn share(&self, shard: &ShardId) -> Option<&Share> {
        self.shards.get(shard)
    }

    /// The version of a shard: the highest of its chunks, 0|0 if it owns none.
    pub fn shard_version(&self, shard: &ShardId) -> ChunkVersion {
        self.shards.get(shard).map_or(ChunkVersion::NONE, |share| share.version)
    }

    /// The version of the collection: the highest of all chunks.
    pub fn version(&self) -> ChunkVersion {
        self.version
    }
}

#[cfg(test)]
mod tests;
