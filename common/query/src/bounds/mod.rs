//! From a predicate to intervals on the fields of a key: which part of an index must be read, which shards must be asked.
//! One code for both. The bounds never lose a matching document; [`FieldBounds::exact`] says whether they also
//! contain nothing else, so that the predicate need not be evaluated again.
//!
//! Intervals hold values as the key has them: where it is under a collation, strings are replaced by what stands for them
//! ([`value::Collator::translate`]). A predicate that compares strings under another collation than the key's says nothing.

mod combine;
mod intervals;
mod pattern;
mod ranges;
#[cfg(test)]
mod tests;

pub use pattern::{Direction, KeyPattern};
pub use ranges::{RANGES_MAX, Scan, key_ranges, scan};

use crate::matcher::Matcher;
use bson::Bson;
use value::Collator;
use value::hash::shard_key_hash;
use value::interval::Interval;

/// What a predicate says about the fields of a key, field by field.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldBounds {
    /// One for each field of the pattern.
    pub fields: Vec<FieldBound>,
    /// Whether every document with a key within all bounds matches.
    pub exact: bool,
}

/// The values that one field may have.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldBound {
    /// Sorted and disjoint; of hashes if the field is hashed. Empty: nothing can match.
    pub intervals: Vec<Interval>,
    /// Whether the predicate says anything about the field.
    pub constrained: bool,
}

impl FieldBound {
    fn unconstrained() -> FieldBound {
        FieldBound { intervals: vec![Interval::all()], constrained: false }
    }

    /// Whether the field has one of finitely many values.
    pub fn is_points(&self) -> bool {
        self.intervals.iter().all(Interval::is_point)
    }
}

impl FieldBounds {
    /// Bounds that hold everything: a full scan.
    pub fn all(pattern: &KeyPattern) -> FieldBounds {
        FieldBounds { fields: vec![FieldBound::unconstrained(); pattern.fields.len()], exact: false }
    }

    /// How many fields from the first on are constrained; 0 means that the key is of no use to the predicate.
    pub fn constrained_prefix(&self) -> usize {
        self.fields.iter().take_while(|field| field.constrained).count()
    }

    /// Whether no document can match.
    pub fn is_empty(&self) -> bool {
        self.fields.iter().any(|field| field.intervals.is_empty())
    }

    /// The intervals alone, field by field, as shard targeting takes them.
    pub fn into_intervals(self) -> Vec<Vec<Interval>> {
        self.fields.into_iter().map(|field| field.intervals).collect()
    }
}

/// What the keys are that bounds are put on.
#[derive(Clone, Copy)]
struct Keys<'a> {
    /// One document may have several.
    multikey: bool,
    collation: Option<&'a Collator>,
}

/// The bounds that `matcher` puts on a key. `multikey`: an array may lie on a path of the pattern, so that one document
/// has several keys; then two predicates on one path may be fulfilled by different keys and are not intersected.
pub fn bounds(matcher: &Matcher, pattern: &KeyPattern, multikey: bool) -> FieldBounds {
    let paths: Vec<Option<&str>> = pattern.fields.iter().map(|(path, _)| Some(path.as_str())).collect();
    let keys = Keys { multikey, collation: pattern.collation.as_ref() };
    let found = combine::node(matcher.root(), &paths, keys);
    let mut exact = found.exact;
    let fields = found.fields.into_iter().zip(&pattern.fields).map(|(intervals, (_, direction))| {
        match (intervals, direction) {
            (None, _) | (Some(_), Direction::Special(_)) => {
                exact &= !matches!(direction, Direction::Special(_));
                FieldBound::unconstrained()
            }
            (Some(intervals), Direction::Hashed) => {
                // Different values may share a hash.
                exact = false;
                hashed(intervals)
            }
            (Some(intervals), _) => FieldBound { constrained: !is_all(&intervals), intervals },
        }
    });
    let fields = fields.collect();
    FieldBounds { fields, exact }
}

fn is_all(intervals: &[Interval]) -> bool {
    matches!(intervals, [interval] if interval.is_all())
}

/// Only points have a hash.
fn hashed(intervals: Vec<Interval>) -> FieldBound {
    if !intervals.iter().all(Interval::is_point) {
        return FieldBound::unconstrained();
    }
    let hash = |interval: &Interval| {
        let value = bson::RawBson::try_from(interval.min.clone()).ok()?;
        Some(Interval::point(Bson::Int64(shard_key_hash(value.as_raw_bson_ref()))))
    };
    match intervals.iter().map(hash).collect::<Option<Vec<_>>>() {
        Some(points) => FieldBound { intervals: value::interval::normalize(points), constrained: true },
        None => FieldBound::unconstrained(),
    }
}
