//! From intervals on the shard key to shards. May name a shard too many, never one too few.
//! The intervals are those of `query::bounds` for the shard key's pattern, in key space: those of a hashed field are over hashes.

use crate::chunk_map::ChunkMap;
use crate::routing_table::CollectionRouting;
use types::ShardId;
use value::interval::{Interval, KeyRange, successor};
use value::key;

/// Ranges that one predicate is opened into; beyond it, the fields that are left count as unbounded. Ours.
const RANGES_COUNT_MAX: usize = 100_000;

/// The shards that a predicate concerns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Targets {
    /// By name, without repetition. Empty if no document can match.
    pub shards: Vec<ShardId>,
    /// The encoded key if the predicate names exactly one.
    pub key: Option<Vec<u8>>,
}

impl Targets {
    /// Whether the predicate names exactly one key, hence one shard for good.
    pub fn is_point(&self) -> bool {
        self.key.is_some()
    }
}

/// The shards that own keys within the bounds: for each field of the shard key its intervals, sorted and disjoint. Fields
/// without an entry are unbounded.
pub fn target(collection: &CollectionRouting, bounds: &[Vec<Interval>]) -> Targets {
    let field_count = collection.key.fields().len();
    let bounds = bounds.get(..field_count.min(bounds.len())).unwrap_or(&[]);
    let points = bounds.len() == field_count
        && bounds.iter().all(|intervals| matches!(intervals.as_slice(), [interval] if interval.is_point()));
    let ranges = key_ranges(bounds);
    if points && let [range] = ranges.as_slice() {
        return Targets {
            shards: vec![collection.owner(&range.start).clone()],
            key: Some(range.start.clone()),
        };
    }
    Targets { shards: owners(&collection.chunks, &ranges), key: None }
}

/// The ranges of encoded keys that bounds describe: leading points are written out, the first wider interval ends a range.
pub fn key_ranges(bounds: &[Vec<Interval>]) -> Vec<KeyRange> {
    let mut done = Vec::new();
    let mut prefixes: Vec<Vec<u8>> = vec![Vec::new()];
    for intervals in bounds {
        if intervals.is_empty() {
            return Vec::new();
        }
        if prefixes.len().saturating_mul(intervals.len()) + done.len() > RANGES_COUNT_MAX {
            break;
        }
        let mut longer = Vec::new();
        for prefix in &prefixes {
            for interval in intervals {
                if interval.is_point() {
                    longer.push(with_value(prefix, &interval.min));
                } else {
                    done.extend(range_under(prefix, interval));
                }
            }
        }
        prefixes = longer;
    }
    done.extend(prefixes.iter().map(|prefix| KeyRange::prefix(prefix)));
    done
}

fn with_value(prefix: &[u8], value: &bson::Bson) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(prefix.len() + 16);
    bytes.extend_from_slice(prefix);
    key::encode_bson(&mut bytes, value, false);
    bytes
}

/// The keys that continue `prefix` with a value of the interval. An end that has no successor is unbounded.
fn range_under(prefix: &[u8], interval: &Interval) -> Option<KeyRange> {
    let min = with_value(prefix, &interval.min);
    let start = if interval.min_inclusive { min } else { successor(&min)? };
    let max = with_value(prefix, &interval.max);
    let end = if interval.max_inclusive { successor(&max) } else { Some(max) };
    let range = KeyRange { start, end };
    (!range.is_empty()).then_some(range)
}

/// The owners of the chunks in the ranges, by name.
pub fn owners(chunks: &ChunkMap, ranges: &[KeyRange]) -> Vec<ShardId> {
    let mut found: Vec<&ShardId> = Vec::new();
    'ranges: for range in ranges {
        for chunk in chunks.in_range(range) {
            // Neighbours are mostly on few shards, so a list beats a set.
            if !found.contains(&&chunk.shard) {
                found.push(&chunk.shard);
                if found.len() == chunks.shards().len() {
                    break 'ranges;
                }
            }
        }
    }
    found.sort();
    found.into_iter().cloned().collect()
}
