//! Ranges: of values on one field ([`Interval`]), and of encoded bytes ([`KeyRange`]).

use crate::order::compare_bson;
use bson::Bson;
use std::cmp::Ordering;

/// Half-open range `[start, end)` over encoded keys; no end means to the last key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KeyRange {
    pub start: Vec<u8>,
    pub end: Option<Vec<u8>>,
}

impl KeyRange {
    /// Every key.
    pub fn all() -> KeyRange {
        KeyRange { start: Vec::new(), end: None }
    }

    /// The keys that start with `prefix`.
    pub fn prefix(prefix: &[u8]) -> KeyRange {
        KeyRange { start: prefix.to_vec(), end: successor(prefix) }
    }

    /// Exactly one key.
    pub fn point(key: &[u8]) -> KeyRange {
        let mut end = key.to_vec();
        end.push(0);
        KeyRange { start: key.to_vec(), end: Some(end) }
    }

    /// Whether `key` lies within.
    pub fn contains(&self, key: &[u8]) -> bool {
        self.start.as_slice() <= key && self.end.as_deref().is_none_or(|end| key < end)
    }

    /// Whether no key can lie within.
    pub fn is_empty(&self) -> bool {
        self.end.as_ref().is_some_and(|end| *end <= self.start)
    }

    /// What both have in common; `None` if nothing.
    pub fn intersect(&self, other: &KeyRange) -> Option<KeyRange> {
        let start = self.start.as_slice().max(&other.start).to_vec();
        let end = match (&self.end, &other.end) {
            (Some(left), Some(right)) => Some(left.min(right).clone()),
            (left, right) => left.as_ref().or(right.as_ref()).cloned(),
        };
        let both = KeyRange { start, end };
        (!both.is_empty()).then_some(both)
    }
}

/// The keys that start with `prefix`.
pub fn prefix_range(prefix: &[u8]) -> KeyRange {
    KeyRange::prefix(prefix)
}

/// The least byte string above every one that starts with `bytes`; `None` if there is none.
pub fn successor(bytes: &[u8]) -> Option<Vec<u8>> {
    let last = bytes.iter().rposition(|&byte| byte != 0xFF)?;
    let mut next = bytes.get(..=last)?.to_vec();
    if let Some(byte) = next.last_mut() {
        *byte += 1;
    }
    Some(next)
}

/// The values of one field from `min` to `max`, in the order of [`crate::order`].
#[derive(Debug, Clone, PartialEq)]
pub struct Interval {
    pub min: Bson,
    pub min_inclusive: bool,
    pub max: Bson,
    pub max_inclusive: bool,
}

impl Interval {
    /// Between two values.
    pub fn new(min: Bson, min_inclusive: bool, max: Bson, max_inclusive: bool) -> Interval {
        Interval { min, min_inclusive, max, max_inclusive }
    }

    /// Exactly one value.
    pub fn point(value: Bson) -> Interval {
        Interval { min: value.clone(), min_inclusive: true, max: value, max_inclusive: true }
    }

    /// Every value.
    pub fn all() -> Interval {
        Interval { min: Bson::MinKey, min_inclusive: true, max: Bson::MaxKey, max_inclusive: true }
    }

    /// Whether it holds exactly one value.
    pub fn is_point(&self) -> bool {
        self.min_inclusive && self.max_inclusive && compare_bson(&self.min, &self.max).is_eq()
    }

    /// Whether it holds every value.
    pub fn is_all(&self) -> bool {
        self.min == Bson::MinKey && self.max == Bson::MaxKey && self.min_inclusive && self.max_inclusive
    }

    /// Whether it holds no value.
    pub fn is_empty(&self) -> bool {
        match compare_bson(&self.min, &self.max) {
            Ordering::Less => false,
            Ordering::Equal => !(self.min_inclusive && self.max_inclusive),
            Ordering::Greater => true,
        }
    }

    /// Whether `value` lies within.
    pub fn contains(&self, value: &Bson) -> bool {
        let above = match compare_bson(&self.min, value) {
            Ordering::Less => true,
            Ordering::Equal => self.min_inclusive,
            Ordering::Greater => false,
        };
        above
            && match compare_bson(value, &self.max) {
                Ordering::Less => true,
                Ordering::Equal => self.max_inclusive,
                Ordering::Greater => false,
            }
    }

    /// What both have in common; `None` if nothing.
    pub fn intersect(&self, other: &Interval) -> Option<Interval> {
        let (min, min_inclusive) = match compare_min(self, other) {
            Ordering::Less => (&other.min, other.min_inclusive),
            _ => (&self.min, self.min_inclusive),
        };
        let (max, max_inclusive) = match compare_max(self, other) {
            Ordering::Greater => (&other.max, other.max_inclusive),
            _ => (&self.max, self.max_inclusive),
        };
        let both = Interval { min: min.clone(), min_inclusive, max: max.clone(), max_inclusive };
        (!both.is_empty()).then_some(both)
    }
}

/// Which one starts first; an included border starts before an excluded one.
fn compare_min(left: &Interval, right: &Interval) -> Ordering {
    compare_bson(&left.min, &right.min).then_with(|| right.min_inclusive.cmp(&left.min_inclusive))
}

/// Which one ends first; an excluded border ends before an included one.
fn compare_max(left: &Interval, right: &Interval) -> Ordering {
    compare_bson(&left.max, &right.max).then_with(|| left.max_inclusive.cmp(&right.max_inclusive))
}

/// Sorts, drops what is empty, and joins what overlaps or touches.
pub fn normalize(mut list: Vec<Interval>) -> Vec<Interval> {
    list.retain(|interval| !interval.is_empty());
    list.sort_by(compare_min);
    let mut joined: Vec<Interval> = Vec::with_capacity(list.len());
    for next in list {
        match joined.last_mut() {
            Some(last) if touches(last, &next) => {
                if compare_max(last, &next).is_lt() {
                    last.max = next.max;
                    last.max_inclusive = next.max_inclusive;
                }
            }
            _ => joined.push(next),
        }
    }
    joined
}

/// Whether `next`, which starts no earlier, leaves no gap after `last`.
fn touches(last: &Interval, next: &Interval) -> bool {
    match compare_bson(&next.min, &last.max) {
        Ordering::Less => true,
        Ordering::Equal => last.max_inclusive || next.min_inclusive,
        Ordering::Greater => false,
    }
}

/// The values in either list, as a sorted list without overlap.
pub fn union(left: &[Interval], right: &[Interval]) -> Vec<Interval> {
    normalize(left.iter().chain(right).cloned().collect())
}

/// The values in both lists. Both are sorted and without overlap, and so is the result.
pub fn intersect(left: &[Interval], right: &[Interval]) -> Vec<Interval> {
    let (mut left, mut right) = (left.iter().peekable(), right.iter().peekable());
    let mut both = Vec::new();
    while let (Some(l), Some(r)) = (left.peek(), right.peek()) {
        both.extend(l.intersect(r));
        if compare_max(l, r).is_lt() {
            left.next();
        } else {
            right.next();
        }
    }
    both
}

/// The values in no interval of a sorted list without overlap.
pub fn complement(list: &[Interval]) -> Vec<Interval> {
    let mut gaps = Vec::with_capacity(list.len() + 1);
    let mut start = (Bson::MinKey, true);
    for interval in list {
        gaps.push(Interval::new(start.0, start.1, interval.min.clone(), !interval.min_inclusive));
        start = (interval.max.clone(), !interval.max_inclusive);
    }
    gaps.push(Interval::new(start.0, start.1, Bson::MaxKey, true));
    gaps.retain(|gap| !gap.is_empty());
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_interval() -> impl Strategy<Value = Interval> {
        (0i32..8, any::<bool>(), 0i32..8, any::<bool>()).prop_map(|(min, min_in, max, max_in)| {
            Interval::new(Bson::Int32(min), min_in, Bson::Int32(max), max_in)
        })
    }

    fn holds(list: &[Interval], value: f64) -> bool {
        list.iter().any(|interval| interval.contains(&Bson::Double(value)))
    }

    proptest! {
        #[test]
        fn sets_of_values(
            left in prop::collection::vec(any_interval(), 0..5),
            right in prop::collection::vec(any_interval(), 0..5),
        ) {
            let (a, b) = (normalize(left.clone()), normalize(right.clone()));
            let (both, either, none) = (intersect(&a, &b), union(&a, &b), complement(&a));
            for half in -1..17 {
                let value = f64::from(half) / 2.0;
                prop_assert_eq!(holds(&a, value), holds(&left, value), "{}", value);
                prop_assert_eq!(holds(&both, value), holds(&a, value) && holds(&b, value), "{}", value);
                prop_assert_eq!(holds(&either, value), holds(&a, value) || holds(&b, value), "{}", value);
                prop_assert_eq!(holds(&none, value), !holds(&a, value), "{}", value);
            }
            for list in [&a, &both, &either, &none] {
                prop_assert!(list.windows(2).all(|pair| !touches(&pair[0], &pair[1])), "{:?}", list);
            }
        }

        #[test]
        fn key_ranges(prefix in prop::collection::vec(250u8.., 0..3), key in prop::collection::vec(250u8.., 0..4)) {
            prop_assert_eq!(KeyRange::prefix(&prefix).contains(&key), key.starts_with(&prefix));
            prop_assert_eq!(KeyRange::point(&prefix).contains(&key), key == prefix);
        }
    }

    #[test]
    fn points_and_all() {
        assert!(Interval::point(Bson::Int32(1)).is_point());
        assert!(Interval::new(Bson::Int32(1), true, Bson::Double(1.0), true).is_point());
        assert!(!Interval::all().is_point() && Interval::all().is_all());
        let range =
            |start: u8, end: Option<u8>| KeyRange { start: vec![start], end: end.map(|end| vec![end]) };
        assert_eq!(range(1, Some(5)).intersect(&range(3, None)), Some(range(3, Some(5))));
        assert_eq!(range(1, Some(3)).intersect(&range(3, None)), None);
    }
}
