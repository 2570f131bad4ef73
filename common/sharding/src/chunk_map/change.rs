//! Changes of a chunk map: split, merge, move, and the application of a delta.
//! New versions continue from the highest of the whole collection, so versions are unique and a reader that knows the
//! collection up to a version misses nothing by asking for the chunks above it.

use super::ChunkMap;
use crate::Error;
use crate::chunk::{Chunk, ChunkVersion, Ownership};
use crate::shard_key::Bound;
use bson::oid::ObjectId;
use std::ops::Range;
use std::sync::Arc;
use types::{ShardId, Timestamp};

/// What a change does to `config.chunks`, and the map after it.
#[derive(Debug, Clone)]
pub struct Change {
    /// Chunks that are new or differ, in order; those that keep their `id` replace the document of that id.
    pub written: Vec<Chunk>,
    /// Ids of the chunks that are no more.
    pub removed: Vec<ObjectId>,
    pub after: ChunkMap,
}

impl ChunkMap {
    /// The place of the chunks that exactly fill `[min, max)`.
    fn filling(&self, min: &Bound, max: &Bound) -> Result<Range<usize>, Error> {
        let from = self.chunks.partition_point(|chunk| chunk.min < *min);
        let to = self.chunks.partition_point(|chunk| chunk.max <= *max);
        let starts = self.chunks.get(from).is_some_and(|chunk| chunk.min == *min);
        let ends =
            to.checked_sub(1).and_then(|last| self.chunks.get(last)).is_some_and(|chunk| chunk.max == *max);
        if starts && ends && from < to {
            Ok(from..to)
        } else {
            Err(Error::NoSuchChunk { min: min.to_string(), max: max.to_string() })
        }
    }

    fn replaced(&self, range: Range<usize>, written: Vec<Chunk>) -> Result<Change, Error> {
        let (Some(before), Some(old), Some(behind)) =
            (self.chunks.get(..range.start), self.chunks.get(range.clone()), self.chunks.get(range.end..))
        else {
            return Err(Error::NotTiled { detail: format!("no chunks at {range:?}") });
        };
        let removed = old
            .iter()
            .map(|chunk| chunk.id)
            .filter(|id| written.iter().all(|chunk| chunk.id != *id))
            .collect();
        let new = written.iter().cloned().map(Arc::new);
        let chunks = before.iter().cloned().chain(new).chain(behind.iter().cloned()).collect();
        Ok(Change { written, removed, after: ChunkMap::from_sorted(chunks)? })
    }

    /// Splits the chunk `[min, max)` at points strictly inside. The first piece keeps the id; `new_id` names the others.
    /// The pieces get the versions after the collection's, one minor step each.
    ///
    /// # Errors
    /// [`Error::NoSuchChunk`], [`Error::BadSplitPoint`].
    pub fn split(
        &self,
        min: &Bound,
        max: &Bound,
        points: &[Bound],
        new_id: &mut dyn FnMut() -> ObjectId,
    ) -> Result<Change, Error> {
        let range = self.filling(min, max)?;
        let (Some(old), 1) = (self.chunks.get(range.start), range.len()) else {
            return Err(Error::NoSuchChunk { min: min.to_string(), max: max.to_string() });
        };
        let mut written = Vec::with_capacity(points.len() + 1);
        let mut version = self.version;
        let mut start = min;
        for end in points.iter().chain([max]) {
            if end <= start || (end >= max && !std::ptr::eq(end, max)) {
                return Err(Error::BadSplitPoint {
                    min: min.to_string(),
                    max: max.to_string(),
                    point: end.to_string(),
                });
            }
            version = version.next_minor();
            let id = if written.is_empty() { old.id } else { new_id() };
            let piece = Chunk {
                id,
                min: start.clone(),
                max: end.clone(),
                version,
                jumbo: false,
                ..old.as_ref().clone()
            };
            written.push(piece);
            start = end;
        }
        if points.is_empty() {
            return Err(Error::BadSplitPoint {
                min: min.to_string(),
                max: max.to_string(),
                point: "nothing".into(),
            });
        }
        self.replaced(range, written)
    }

    /// Merges the chunks that fill `[min, max)`, all of one shard, into one that keeps the first id.
    ///
    /// # Errors
    /// [`Error::NoSuchChunk`] if no chunks start and end there, [`Error::BadMerge`] for a single chunk or several shards.
    pub fn merge(&self, min: &Bound, max: &Bound, valid_after: Timestamp) -> Result<Change, Error> {
        let range = self.filling(min, max)?;
        let refuse = |reason: &str| Error::BadMerge {
            min: min.to_string(),
            max: max.to_string(),
            reason: reason.to_owned(),
        };
        let old = self.chunks.get(range.clone()).unwrap_or(&[]);
        let Some((first, others)) = old.split_first() else { return Err(refuse("there are none")) };
        if others.is_empty() {
            return Err(refuse("there is only one"));
        }
        if others.iter().any(|chunk| chunk.shard != first.shard) {
            return Err(refuse("they are not all on one shard"));
        }
        // Pieces may have come from different shards at different times, so the joint history starts at the merge.
        let merged = Chunk {
            max: max.clone(),
            version: self.version.next_minor(),
            history: vec![Ownership { valid_after, shard: first.shard.clone() }],
            jumbo: false,
            ..first.as_ref().clone()
        };
        self.replaced(range, vec![merged])
    }

    /// Gives `[min, max)`, all of which one shard owns, to another shard. Borders inside of a chunk split it. The moved range
    /// becomes one chunk at the next major version; if the donor keeps anything, one of its chunks rises to the same major,
    /// so that the versions of both sides show the move.
    ///
    /// # Errors
    /// [`Error::BadMove`] for an empty range, one that several shards own, or one that is there already.
    pub fn move_range(
        &self,
        min: &Bound,
        max: &Bound,
        to: &ShardId,
        valid_after: Timestamp,
        new_id: &mut dyn FnMut() -> ObjectId,
    ) -> Result<Change, Error> {
        let refuse = |reason: &str| Error::BadMove {
            min: min.to_string(),
            max: max.to_string(),
            reason: reason.to_owned(),
        };
        if min >= max {
            return Err(refuse("it is empty"));
        }
        let from = self.chunks.partition_point(|chunk| chunk.max <= *min);
        let end = self.chunks.partition_point(|chunk| chunk.min < *max);
        let old = self.chunks.get(from..end).unwrap_or(&[]);
        let (Some(first), Some(last)) = (old.first(), old.last()) else {
            return Err(refuse("it lies outside of the key space"));
        };
        if *max > last.max {
            return Err(refuse("it lies outside of the key space"));
        }
        let donor = &first.shard;
        if old.iter().any(|chunk| chunk.shard != *donor) {
            return Err(refuse("several shards own parts of it"));
        }
        if donor == to {
            return Err(refuse("that shard owns it already"));
        }
        let moved_version = self.version.next_major();
        let mut version = moved_version;
        let mut written = Vec::with_capacity(3);
        // The id of the first chunk stays with whatever starts where it started.
        if first.min < *min {
            version = version.next_minor();
            written.push(Chunk { max: min.clone(), version, ..first.as_ref().clone() });
        }
        let mut history = vec![Ownership { valid_after, shard: to.clone() }];
        if old.len() == 1 {
            history.extend(first.history.iter().cloned());
        } else {
            // Of several chunks only the time since which the donor had them all is known for the whole.
            let since = old.iter().filter_map(|chunk| chunk.on_current_shard_since()).max();
            history.extend(since.map(|valid_after| Ownership { valid_after, shard: donor.clone() }));
        }
        let id = if written.is_empty() { first.id } else { new_id() };
        let shard = to.clone();
        let (min, max) = (min.clone(), max.clone());
        written.push(Chunk {
            id,
            min,
            max: max.clone(),
            shard,
            version: moved_version,
            history,
            jumbo: false,
        });
        if max < last.max {
            version = version.next_minor();
            written.push(Chunk { id: new_id(), min: max, version, ..last.as_ref().clone() });
        }
        if version == moved_version {
            return self.with_control_chunk(from..end, written, donor, version.next_minor());
        }
        self.replaced(from..end, written)
    }

    /// As [`ChunkMap::replaced`], and raises the version of one further chunk of the donor, if it has one.
    fn with_control_chunk(
        &self,
        range: Range<usize>,
        written: Vec<Chunk>,
        donor: &ShardId,
        version: ChunkVersion,
    ) -> Result<Change, Error> {
        let mut change = self.replaced(range, written)?;
        let at = change.after.chunks.iter().position(|chunk| chunk.shard == *donor);
        if let Some((at, chunk)) = at.and_then(|at| change.after.chunks.get(at).map(|chunk| (at, chunk))) {
            let control = Chunk { version, ..chunk.as_ref().clone() };
            change.after = change.after.replaced(at..at + 1, vec![control.clone()])?.after;
            change.written.push(control);
        }
        Ok(change)
    }

    /// The map with newer chunks laid over it, as a refresh brings them: each takes the place of all that it covers.
    ///
    /// # Errors
    /// [`Error::NotTiled`] if a piece of an old chunk would be left over: then only a full refresh helps.
    pub fn with_newer(&self, newer: impl IntoIterator<Item = Chunk>) -> Result<ChunkMap, Error> {
        let mut newer: Vec<Arc<Chunk>> = newer.into_iter().map(Arc::new).collect();
        newer.sort_by(|left, right| left.min.cmp(&right.min));
        let mut chunks = Vec::with_capacity(self.chunks.len() + newer.len());
        let mut old = self.chunks.iter().peekable();
        for chunk in newer {
            while let Some(kept) = old.next_if(|old| old.max <= chunk.min) {
                chunks.push(Arc::clone(kept));
            }
            while old.next_if(|old| old.min < chunk.max).is_some() {}
            chunks.push(chunk);
        }
        chunks.extend(old.cloned());
        let same_ends = chunks.first().map(|chunk| &chunk.min) == self.chunks.first().map(|chunk| &chunk.min)
            && chunks.last().map(|chunk| &chunk.max) == self.chunks.last().map(|chunk| &chunk.max);
        if !same_ends {
            return Err(Error::NotTiled {
                detail: "newer chunks leave the ends of the key space open".into(),
            });
        }
        ChunkMap::from_sorted(chunks)
    }
}
