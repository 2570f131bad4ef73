//! Zones: ranges of the key space that are pinned to the shards of a name. Ranges of one collection do not overlap; what no
//! zone covers may be anywhere.

use crate::Error;
use crate::chunk::Chunk;
use crate::shard_key::{Bound, ShardKey};
use types::Namespace;

/// One range of `config.tags`.
#[derive(Debug, Clone, PartialEq)]
pub struct Zone {
    pub ns: Namespace,
    pub name: String,
    pub min: Bound,
    pub max: Bound,
}

impl Zone {
    /// From the borders of `updateZoneKeyRange`, which may name only the first fields of the key.
    ///
    /// # Errors
    /// [`Error::BadBound`] if a border does not fit the key or the range is empty.
    pub fn new(
        ns: Namespace,
        name: &str,
        key: &ShardKey,
        min: &bson::Document,
        max: &bson::Document,
    ) -> Result<Zone, Error> {
        let (min, max) = (key.bound_from_prefix(min)?, key.bound_from_prefix(max)?);
        if min >= max {
            return Err(Error::BadOptions(format!("zone range from {min} to {max} is empty")));
        }
        Ok(Zone { ns, name: name.to_owned(), min, max })
    }

    fn overlaps(&self, min: &Bound, max: &Bound) -> bool {
        self.min < *max && *min < self.max
    }
}

/// The zones of one collection, in order.
#[derive(Debug, Clone, Default)]
pub struct Zones {
    zones: Vec<Zone>,
}

impl Zones {
    /// From zones in any order.
    ///
    /// # Errors
    /// [`Error::ZoneOverlap`].
    pub fn new(mut zones: Vec<Zone>) -> Result<Zones, Error> {
        zones.sort_by(|left, right| left.min.cmp(&right.min));
        for pair in zones.windows(2) {
            if let [left, right] = pair
                && right.min < left.max
            {
                return Err(Error::ZoneOverlap {
                    zone: right.name.clone(),
                    min: right.min.to_string(),
                    max: right.max.to_string(),
                    other: format!("{} [{}, {})", left.name, left.min, left.max),
                });
            }
        }
        Ok(Zones { zones })
    }

    /// The zones in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Zone> {
        self.zones.iter()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.zones.is_empty()
    }

    /// The zone of an encoded key.
    pub fn of_key(&self, key: &[u8]) -> Option<&Zone> {
        let at = self.zones.partition_point(|zone| zone.min.bytes() <= key);
        self.zones.get(at.checked_sub(1)?).filter(|zone| key < zone.max.bytes())
    }

    /// The zone that covers a whole chunk. A chunk that crosses a border belongs to none until it is split.
    pub fn of_chunk(&self, chunk: &Chunk) -> Option<&Zone> {
        self.of_key(chunk.min.bytes()).filter(|zone| chunk.max <= zone.max)
    }

    /// The zone borders strictly inside of a chunk, in order: where it must be split.
    pub fn borders_inside(&self, chunk: &Chunk) -> Vec<Bound> {
        let mut borders: Vec<Bound> = self
            .zones
            .iter()
            .filter(|zone| zone.overlaps(&chunk.min, &chunk.max))
            .flat_map(|zone| [&zone.min, &zone.max])
            .filter(|border| **border > chunk.min && **border < chunk.max)
            .cloned()
            .collect();
        borders.dedup();
        borders
    }

    /// With a range more. The same range and name once more changes nothing.
    ///
    /// # Errors
    /// [`Error::ZoneOverlap`].
    pub fn with(&self, zone: Zone) -> Result<Zones, Error> {
        if self.zones.contains(&zone) {
            return Ok(self.clone());
        }
        Zones::new(self.zones.iter().cloned().chain([zone]).collect())
    }

    /// Without the range of exactly these borders.
    #[must_use]
    pub fn without(&self, min: &Bound, max: &Bound) -> Zones {
        let keep = |zone: &&Zone| zone.min != *min || zone.max != *max;
        Zones { zones: self.zones.iter().filter(keep).cloned().collect() }
    }
}
