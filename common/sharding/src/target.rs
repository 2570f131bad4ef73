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
    if bounds.iter().any(Vec::is_empty) {
        return Targets { shards: Vec::new(), key: None };
    }
    let ranges = key_ranges(bounds, field_count);
    if points && let [range] = ranges.as_slice() {
        return Targets {
            shards: vec![collection.owner(&range.start).clone()],
            key: Some(range.start.clone()),
        };
    }
    Targets { shards: owners(&collection.chunks, &ranges), key: None }
}

/// The ranges of encoded keys of `field_count` fields that bounds describe: leading points are written out, the first wider
/// interval ends a range.
pub fn key_ranges(bounds: &[Vec<Interval>], field_count: usize) -> Vec<KeyRange> {
    let mut done = Vec::new();
    let mut prefixes: Vec<Vec<u8>> = vec![Vec::new()];
    let mut fields_left = field_count;
    for intervals in bounds {
        if prefixes.len().saturating_mul(intervals.len()) + done.len() > RANGES_COUNT_MAX {
            break;
        }
        fields_left = fields_left.saturating_sub(1);
        let mut longer = Vec::new();
        for prefix in &prefixes {
            for interval in intervals {
                if interval.is_point() {
                    longer.push(with_value(prefix, &interval.min));
                } else {
                    done.extend(range_under(prefix, interval, fields_left));
                }
            }
        }
        prefixes = longer;
    }
    done.extend(
        prefixes.iter().map(|prefix| KeyRange { start: lowest(prefix, fields_left), end: successor(prefix) }),
    );
    done
}

/// The lowest key that starts with `prefix`. A border stands at such a key, so a shorter start would lie in the chunk before it.
fn lowest(prefix: &[u8], fields_left: usize) -> Vec<u8> {
    let mut bytes = prefix.to_vec();
    (0..fields_left).for_each(|_| key::min_key(&mut bytes, false));
    bytes
}

fn with_value(prefix: &[u8], value: &bson::Bson) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(prefix.len() + 16);
    bytes.extend_from_slice(prefix);
    key::encode_bson(&mut bytes, value, false);
    bytes
}

/// The keys that continue `prefix` with a value of the interval. An end that has no successor is unbounded.
fn range_under(prefix: &[u8], interval: &Interval, fields_left: usize) -> Option<KeyRange> {
    let min = with_value(prefix, &interval.min);
    let start = if interval.min_inclusive { lowest(&min, fields_left) } else { successor(&min)? };
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ShardKey;
    use crate::sample::{any_collection, any_document, any_value, key, map, raw, routing, shard};
    use bson::{Bson, Document, bson, doc};
    use proptest::prelude::*;

    fn any_interval() -> impl Strategy<Value = Interval> {
        prop_oneof![
            1 => Just(Interval::all()),
            2 => any_value().prop_map(Interval::point),
            2 => (any_value(), any::<bool>(), any_value(), any::<bool>())
                .prop_map(|(min, min_in, max, max_in)| Interval::new(min, min_in, max, max_in)),
        ]
    }

    fn any_intervals() -> impl Strategy<Value = Vec<Interval>> {
        prop::collection::vec(any_interval(), 0..4).prop_map(value::interval::normalize)
    }

    /// What `query::bounds` gives for a key: intervals over values, for a hashed field over hashes.
    fn in_key_space(key: &ShardKey, values: &[Vec<Interval>]) -> Vec<Vec<Interval>> {
        key.fields()
            .iter()
            .zip(values)
            .map(
                |(field, values)| {
                    if field.hashed { ShardKey::hashed_intervals(values) } else { values.clone() }
                },
            )
            .collect()
    }

    fn matches(key: &ShardKey, values: &[Vec<Interval>], document: &Document) -> bool {
        key.fields().iter().zip(values).all(|(field, intervals)| {
            let value = document.get(&*field.path).unwrap_or(&Bson::Null);
            intervals.iter().any(|interval| interval.contains(value))
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn never_misses_an_owner(
            (key, chunks) in any_collection(),
            values in prop::collection::vec(any_intervals(), 2),
            document in any_document(),
        ) {
            let collection = routing(&key, chunks);
            let targets = target(&collection, &in_key_space(&key, &values));
            if matches(&key, &values, &document) {
                let bytes = key.key_of(&raw(&document)).unwrap();
                let owner = collection.owner(&bytes);
                prop_assert!(targets.shards.contains(owner), "{:?} lacks {}", targets, owner);
                if let Some(point) = &targets.key {
                    prop_assert_eq!(point, &bytes);
                }
            }
            prop_assert!(!targets.is_point() || targets.shards.len() == 1);
        }

        #[test]
        fn a_whole_key_is_a_point((key, chunks) in any_collection(), document in any_document()) {
            let bound = key.bound_of(&raw(&document)).unwrap();
            let points: Vec<_> =
                bound.document().iter().map(|(_, value)| vec![Interval::point(value.clone())]).collect();
            let collection = routing(&key, chunks);
            let targets = target(&collection, &points);
            prop_assert_eq!(targets.key.as_deref(), Some(bound.bytes()));
            prop_assert_eq!(&targets.shards, std::slice::from_ref(collection.owner(bound.bytes())));
        }
    }

    #[test]
    fn names_no_more_than_needed() {
        let key = key(doc! {"a": 1, "b": 1});
        let border = |a: i32| key.bound_from_prefix(&doc! {"a": a}).unwrap();
        let collection = routing(&key, map(&key, &[border(10), border(20), border(30)], &[0, 1, 2, 3]));
        let check = |a: Vec<Interval>, wanted: &[usize]| {
            let shards = target(&collection, std::slice::from_ref(&a)).shards;
            assert_eq!(shards, wanted.iter().map(|at| shard(*at)).collect::<Vec<_>>(), "{a:?}");
        };
        let range =
            |min: i32, min_in, max: i32, max_in| Interval::new(bson!(min), min_in, bson!(max), max_in);
        check(vec![Interval::point(bson!(5))], &[0]);
        check(vec![Interval::point(bson!(10.0))], &[1]);
        check(vec![Interval::point(bson!(5)), Interval::point(bson!(25))], &[0, 2]);
        check(vec![range(10, true, 20, false)], &[1]);
        check(vec![range(10, true, 20, true)], &[1, 2]);
        check(vec![range(5, true, 10, false)], &[0]);
        check(vec![Interval::new(bson!(20), false, bson!(f64::INFINITY), true)], &[2, 3]);
        check(vec![Interval::all()], &[0, 1, 2, 3]);
        check(vec![], &[]);
        assert_eq!(target(&collection, &[]).shards.len(), 4);
        let none = target(&collection, &[vec![Interval::point(bson!(1))], vec![]]);
        assert!(none.shards.is_empty());
    }

    #[test]
    fn the_number_of_ranges_is_bounded() {
        let key = key(doc! {"a": 1, "b": 1});
        let collection = routing(&key, map(&key, &[], &[0]));
        let points: Vec<_> = (0..1000).map(|number| Interval::point(bson!(number))).collect();
        let bounds = [points.clone(), points];
        assert_eq!(key_ranges(&bounds, 2).len(), 1000);
        assert_eq!(target(&collection, &bounds).shards, [shard(0)]);
    }
}
