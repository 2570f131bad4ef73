//! The first chunks of a collection that is sharded while it is empty.
//! Without hash and zones there is one chunk. A hashed first field is cut evenly in advance. Zones give a chunk each, and so do
//! the gaps between them.

use crate::chunk::{Chunk, ChunkVersion, Ownership};
use crate::shard_key::{Bound, ShardKey};
use crate::zone::Zones;
use crate::{ChunkMap, Error};
use bson::oid::ObjectId;
use bson::{Bson, Document};
use std::collections::BTreeMap;
use types::{ShardId, Timestamp};

/// Chunks for each shard when a hashed collection names no number.
pub const HASHED_CHUNKS_PER_SHARD_DEFAULT: usize = 2;
/// Bound of `numInitialChunks` for each shard, as MongoDB has it.
pub const INITIAL_CHUNKS_PER_SHARD_MAX: usize = 8_192;
/// Bound of `numInitialChunks` in all.
pub const INITIAL_CHUNKS_MAX: usize = 1_000_000;

/// What decides about the first chunks.
#[derive(Debug)]
pub struct Initial<'a> {
    pub key: &'a ShardKey,
    /// All shards that take chunks, not those that are draining.
    pub shards: &'a [ShardId],
    /// The home shard of the database.
    pub primary: &'a ShardId,
    /// Whether the collection has no documents yet. One that has some starts as one chunk where they are.
    pub empty: bool,
    /// `numInitialChunks`.
    pub chunk_count: Option<usize>,
    /// `presplitHashedZones`.
    pub presplit_hashed_zones: bool,
    pub zones: &'a Zones,
    /// The shards of each zone.
    pub zone_shards: &'a BTreeMap<String, Vec<ShardId>>,
    pub valid_after: Timestamp,
}

/// The first chunks, at versions from 1|0 on.
///
/// # Errors
/// [`Error::BadOptions`] for options that do not go with the key or the state, [`Error::NoShards`].
pub fn initial_chunks(
    initial: &Initial<'_>,
    new_id: &mut dyn FnMut() -> ObjectId,
) -> Result<ChunkMap, Error> {
    check(initial)?;
    let pieces = if !initial.empty {
        vec![whole(initial)]
    } else if !initial.zones.is_empty() {
        zoned(initial)?
    } else if initial.key.has_hashed_prefix() {
        hashed(initial)?
    } else {
        vec![whole(initial)]
    };
    let mut version = ChunkVersion::FIRST;
    let chunks = pieces.into_iter().map(|(min, max, shard)| {
        let history = vec![Ownership { valid_after: initial.valid_after, shard: shard.clone() }];
        let chunk = Chunk { id: new_id(), min, max, shard, version, history, jumbo: false };
        version = version.next_minor();
        chunk
    });
    ChunkMap::new(initial.key, chunks)
}

type Piece = (Bound, Bound, ShardId);

fn check(initial: &Initial<'_>) -> Result<(), Error> {
    let refuse = |reason: String| Err(Error::BadOptions(reason));
    if initial.presplit_hashed_zones {
        if initial.key.hashed_field().is_none() {
            return refuse(
                "presplitHashedZones is only supported when the shard key has a hashed field".into(),
            );
        }
        return Err(Error::NotImplemented("presplitHashedZones"));
    }
    let Some(count) = initial.chunk_count else { return Ok(()) };
    if !initial.key.has_hashed_prefix() {
        return refuse(
            "numInitialChunks is only supported when the shard key has a hashed field as its prefix".into(),
        );
    }
    if !initial.empty {
        return refuse("numInitialChunks is only supported when the collection is empty".into());
    }
    if !initial.zones.is_empty() {
        return refuse("numInitialChunks cannot be used with zones that are defined already".into());
    }
    let most = (INITIAL_CHUNKS_PER_SHARD_MAX * initial.shards.len().max(1)).min(INITIAL_CHUNKS_MAX);
    if count == 0 || count > most {
        return refuse(format!("numInitialChunks must be 1 to {most} with {} shards", initial.shards.len()));
    }
    Ok(())
}

fn whole(initial: &Initial<'_>) -> Piece {
    (initial.key.global_min(), initial.key.global_max(), initial.primary.clone())
}

/// Even pieces of the hash space, dealt in runs of neighbours so that a range of hashes meets few shards.
fn hashed(initial: &Initial<'_>) -> Result<Vec<Piece>, Error> {
    let shard_count = initial.shards.len();
    let count = initial.chunk_count.unwrap_or(shard_count * HASHED_CHUNKS_PER_SHARD_DEFAULT);
    let points = hashed_points(initial.key, count)?;
    let ends = points.iter().cloned().chain([initial.key.global_max()]);
    let starts = [initial.key.global_min()].into_iter().chain(points.iter().cloned());
    starts
        .zip(ends)
        .enumerate()
        .map(|(at, (min, max))| {
            let shard = initial.shards.get(at * shard_count / count).ok_or(Error::NoShards)?;
            Ok((min, max, shard.clone()))
        })
        .collect()
}

/// The `count - 1` borders that cut the space of a hashed first field evenly and symmetrically around 0; further fields of
/// the key are MinKey. Four chunks meet at -4611686018427387902, 0 and 4611686018427387902, as users of MongoDB know them.
///
/// # Errors
/// [`Error::NoShards`] for a count of 0.
pub fn hashed_points(key: &ShardKey, count: usize) -> Result<Vec<Bound>, Error> {
    let count = i64::try_from(count).ok().filter(|count| *count > 0).ok_or(Error::NoShards)?;
    let Some(first) = key.fields().first() else { return Ok(Vec::new()) };
    let half_step = i64::MAX / count;
    (1..count)
        .map(|at| {
            let mut border = Document::new();
            border.insert(first.path.as_ref(), Bson::Int64((2 * at - count) * half_step));
            key.bound_from_prefix(&border)
        })
        .collect()
}

/// A chunk for each zone, on its shards in turn, and one for each gap, on all shards in turn.
fn zoned(initial: &Initial<'_>) -> Result<Vec<Piece>, Error> {
    let mut pieces = Vec::new();
    let mut gap_shards = initial.shards.iter().cycle();
    let mut gap = |min: &Bound, max: &Bound, pieces: &mut Vec<Piece>| {
        if min < max {
            let shard = gap_shards.next().ok_or(Error::NoShards)?;
            pieces.push((min.clone(), max.clone(), shard.clone()));
        }
        Ok::<(), Error>(())
    };
    let mut turns: BTreeMap<&str, usize> = BTreeMap::new();
    let mut start = initial.key.global_min();
    for zone in initial.zones.iter() {
        gap(&start, &zone.min, &mut pieces)?;
        let shards = initial.zone_shards.get(&zone.name).filter(|shards| !shards.is_empty());
        let shards = shards.ok_or_else(|| {
            Error::BadOptions(format!(
                "there is no shard in zone {}, which has a range of this collection",
                zone.name
            ))
        })?;
        let turn = turns.entry(&zone.name).or_default();
        let shard = shards.get(*turn % shards.len()).ok_or(Error::NoShards)?;
        *turn += 1;
        pieces.push((zone.min.clone(), zone.max.clone(), shard.clone()));
        start = zone.max.clone();
    }
    gap(&start, &initial.key.global_max(), &mut pieces)?;
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Zone;
    use crate::sample::{ids, key, shard};
    use bson::doc;
    use types::{Code, Namespace};

    struct Case {
        key: ShardKey,
        shards: Vec<ShardId>,
        zones: Zones,
        zone_shards: BTreeMap<String, Vec<ShardId>>,
    }

    impl Case {
        fn new(pattern: Document, shard_count: usize) -> Case {
            let shards = (0..shard_count).map(shard).collect();
            Case { key: key(pattern), shards, zones: Zones::default(), zone_shards: BTreeMap::new() }
        }

        fn zone(mut self, name: &str, min: Document, max: Document, shards: &[usize]) -> Case {
            let zone = Zone::new(Namespace::parse("d.c").unwrap(), name, &self.key, &min, &max).unwrap();
            self.zones = self.zones.with(zone).unwrap();
            self.zone_shards.insert(name.into(), shards.iter().map(|at| shard(*at)).collect());
            self
        }

        fn run(&self, change: impl FnOnce(&mut Initial<'_>)) -> Result<ChunkMap, Error> {
            let mut initial = Initial {
                key: &self.key,
                shards: &self.shards,
                primary: &self.shards[0],
                empty: true,
                chunk_count: None,
                presplit_hashed_zones: false,
                zones: &self.zones,
                zone_shards: &self.zone_shards,
                valid_after: Timestamp::new(1, 0),
            };
            change(&mut initial);
            initial_chunks(&initial, &mut ids())
        }
    }

    fn owners(map: &ChunkMap) -> Vec<&str> {
        map.chunks().iter().map(|chunk| chunk.shard.as_str()).collect()
    }

    fn starts(map: &ChunkMap) -> Vec<i64> {
        map.chunks().iter().skip(1).map(|chunk| chunk.min.document().get_i64("a").unwrap()).collect()
    }

    #[test]
    fn ranged_collections_start_whole() {
        let map = Case::new(doc! {"a": 1}, 3).run(|_| {}).unwrap();
        assert_eq!(owners(&map), ["s0"]);
        assert_eq!(map.version(), ChunkVersion::FIRST);
        let map = Case::new(doc! {"a": 1, "b": "hashed"}, 3).run(|_| {}).unwrap();
        assert_eq!(owners(&map), ["s0"]);
        let map = Case::new(doc! {"a": "hashed"}, 3).run(|initial| initial.empty = false).unwrap();
        assert_eq!(owners(&map), ["s0"]);
    }

    #[test]
    fn hashed_collections_start_dealt() {
        let map = Case::new(doc! {"a": "hashed"}, 2).run(|_| {}).unwrap();
        assert_eq!(starts(&map), [-4611686018427387902, 0, 4611686018427387902]);
        assert_eq!(owners(&map), ["s0", "s0", "s1", "s1"]);
        assert_eq!(map.version(), ChunkVersion { major: 1, minor: 3 });
        let map = Case::new(doc! {"a": "hashed"}, 3).run(|_| {}).unwrap();
        let wanted =
            [-6148914691236517204, -3074457345618258602, 0, 3074457345618258602, 6148914691236517204];
        assert_eq!(starts(&map), wanted);
        assert_eq!(owners(&map), ["s0", "s0", "s1", "s1", "s2", "s2"]);
        let map =
            Case::new(doc! {"a": "hashed", "b": 1}, 2).run(|initial| initial.chunk_count = Some(3)).unwrap();
        assert_eq!(starts(&map), [-3074457345618258602, 3074457345618258602]);
        assert_eq!(map.chunks()[1].min.document().get("b"), Some(&Bson::MinKey));
        for count in [1, 2, 5, 7, 100, 1000] {
            let map =
                Case::new(doc! {"a": "hashed"}, 3).run(|initial| initial.chunk_count = Some(count)).unwrap();
            assert_eq!(map.chunks().len(), count);
            let counts: Vec<_> = map.shards().map(|(_, share)| share.chunk_count).collect();
            assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1, "{counts:?}");
        }
    }

    #[test]
    fn zones_get_their_chunks() {
        let case = Case::new(doc! {"a": 1}, 2).zone("x", doc! {"a": 10i64}, doc! {"a": 20i64}, &[1]).zone(
            "y",
            doc! {"a": 20i64},
            doc! {"a": Bson::MaxKey},
            &[0],
        );
        let map = case.run(|_| {}).unwrap();
        assert_eq!(starts(&map), [10, 20]);
        assert_eq!(owners(&map), ["s0", "s1", "s0"]);
        let mut lonely = Case::new(doc! {"a": 1}, 2).zone("x", doc! {"a": 1}, doc! {"a": 2}, &[]);
        assert_eq!(lonely.run(|_| {}).unwrap_err().fault().code, Code::InvalidOptions);
        lonely.zone_shards.clear();
        assert_eq!(lonely.run(|_| {}).unwrap_err().fault().code, Code::InvalidOptions);
    }

    #[test]
    fn options_are_checked() {
        let check = |case: Case, change: fn(&mut Initial<'_>), wanted: Code| {
            assert_eq!(case.run(change).unwrap_err().fault().code, wanted);
        };
        check(Case::new(doc! {"a": 1}, 2), |initial| initial.chunk_count = Some(4), Code::InvalidOptions);
        check(
            Case::new(doc! {"a": 1, "b": "hashed"}, 2),
            |initial| initial.chunk_count = Some(4),
            Code::InvalidOptions,
        );
        check(
            Case::new(doc! {"a": "hashed"}, 2),
            |initial| initial.chunk_count = Some(0),
            Code::InvalidOptions,
        );
        check(
            Case::new(doc! {"a": "hashed"}, 2),
            |initial| initial.chunk_count = Some(16_385),
            Code::InvalidOptions,
        );
        check(
            Case::new(doc! {"a": 1}, 2),
            |initial| initial.presplit_hashed_zones = true,
            Code::InvalidOptions,
        );
        check(
            Case::new(doc! {"a": "hashed"}, 2),
            |initial| initial.presplit_hashed_zones = true,
            Code::NotImplemented,
        );
    }
}
