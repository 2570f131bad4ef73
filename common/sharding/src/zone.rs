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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{key, map};
    use bson::{Bson, Document, doc};
    use types::Code;

    #[test]
    fn ranges_and_chunks() {
        let key = key(doc! {"a": 1, "b": 1});
        let zone = |name: &str, min: Document, max: Document| {
            Zone::new(Namespace::parse("d.c").unwrap(), name, &key, &min, &max)
        };
        let zones = Zones::default();
        let zones = zones.with(zone("x", doc! {"a": 10}, doc! {"a": 20}).unwrap()).unwrap();
        let zones = zones.with(zone("y", doc! {"a": 20}, doc! {"a": Bson::MaxKey}).unwrap()).unwrap();
        // The same once more is no overlap; a different name is.
        assert_eq!(zones.with(zone("x", doc! {"a": 10}, doc! {"a": 20}).unwrap()).unwrap().iter().count(), 2);
        for (min, max) in [(10, 20), (5, 11), (19, 21), (12, 13)] {
            let error = zones.with(zone("z", doc! {"a": min}, doc! {"a": max}).unwrap()).unwrap_err();
            assert_eq!(error.fault().code, Code::RangeOverlapConflict, "{min} {max}");
        }
        assert!(
            zone("z", doc! {"a": 2}, doc! {"a": 1}).is_err()
                && zone("z", doc! {"b": 2}, doc! {"a": 1}).is_err()
        );
        let border = |a: i32| key.bound_from_prefix(&doc! {"a": a}).unwrap();
        let names = |zone: Option<&Zone>| zone.map(|zone| zone.name.clone());
        assert_eq!(names(zones.of_key(border(9).bytes())), None);
        assert_eq!(names(zones.of_key(border(10).bytes())), Some("x".into()));
        assert_eq!(names(zones.of_key(border(20).bytes())), Some("y".into()));
        let chunks = map(&key, &[border(15), border(20)], &[0]);
        let of_chunks: Vec<_> = chunks.chunks().iter().map(|chunk| names(zones.of_chunk(chunk))).collect();
        assert_eq!(of_chunks, [None, Some("x".into()), Some("y".into())]);
        assert_eq!(zones.borders_inside(&chunks.chunks()[0]), [border(10)]);
        assert_eq!(zones.borders_inside(&map(&key, &[], &[0]).chunks()[0]), [border(10), border(20)]);
        assert_eq!(zones.without(&border(10), &border(20)).iter().count(), 1);
    }
}
