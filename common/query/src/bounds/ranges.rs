//! From bounds to ranges of encoded keys, in the order of the key. Their number is bounded: where the product of the
//! fields' intervals grows past it, later fields are left out, and at last the range that holds everything is taken.

use super::{FieldBounds, KeyPattern};
use value::interval::{Interval, KeyRange, successor};
use value::key;

/// Ranges of one scan.
pub const RANGES_MAX: usize = 10_000;

/// The part of an index to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    /// In order, disjoint.
    pub ranges: Vec<KeyRange>,
    /// Whether every document found there matches the predicate.
    pub exact: bool,
}

/// The ranges of encoded keys that hold all keys within the bounds.
pub fn key_ranges(bounds: &FieldBounds, pattern: &KeyPattern) -> Vec<KeyRange> {
    scan(bounds, pattern).ranges
}

/// The ranges, and whether the predicate need not be evaluated again.
pub fn scan(bounds: &FieldBounds, pattern: &KeyPattern) -> Scan {
    if bounds.is_empty() {
        return Scan { ranges: Vec::new(), exact: bounds.exact };
    }
    let mut build = Build { bounds, pattern, depth: depth(bounds), ranges: Vec::new(), exact: bounds.exact };
    match build.depth {
        0 => build.widened(),
        _ => build.field(0, &mut Vec::new()),
    }
    Scan { ranges: build.ranges, exact: build.exact }
}

/// How many fields can be told apart within the bound on ranges.
fn depth(bounds: &FieldBounds) -> usize {
    let mut product = 1usize;
    let fits = |field: &&super::FieldBound| {
        product = product.saturating_mul(field.intervals.len());
        product <= RANGES_MAX
    };
    bounds.fields.iter().take_while(fits).count()
}

struct Build<'b> {
    bounds: &'b FieldBounds,
    pattern: &'b KeyPattern,
    depth: usize,
    ranges: Vec<KeyRange>,
    exact: bool,
}

impl Build<'_> {
    /// The ranges of the fields from `at` on, below the encoded values of those before.
    fn field(&mut self, at: usize, prefix: &mut Vec<u8>) {
        if at == self.depth {
            self.exact &= !self.constrained_from(at);
            self.ranges.push(KeyRange::prefix(prefix));
            return;
        }
        let Some(field) = self.bounds.fields.get(at) else { return };
        let descending = self.descending(at);
        let count = field.intervals.len();
        for index in 0..count {
            let interval = &field.intervals[if descending { count - 1 - index } else { index }];
            if interval.is_all() {
                self.exact &= !self.constrained_from(at + 1);
                self.ranges.push(KeyRange::prefix(prefix));
            } else if interval.is_point() {
                let length = prefix.len();
                key::encode_bson(prefix, &interval.min, descending);
                self.field(at + 1, prefix);
                prefix.truncate(length);
            } else {
                self.exact &= !self.constrained_from(at + 1);
                self.ranges.push(range(prefix, interval, descending));
            }
        }
    }

    /// One range from the first to the last interval of the first field.
    fn widened(&mut self) {
        self.exact = false;
        let intervals =
            self.bounds.fields.first().map(|field| field.intervals.as_slice()).unwrap_or_default();
        self.ranges.push(match (intervals.first(), intervals.last()) {
            (Some(first), Some(last)) => {
                let whole = Interval::new(
                    first.min.clone(),
                    first.min_inclusive,
                    last.max.clone(),
                    last.max_inclusive,
                );
                range(&[], &whole, self.descending(0))
            }
            _ => KeyRange::all(),
        });
    }

    fn descending(&self, at: usize) -> bool {
        self.pattern.fields.get(at).is_some_and(|(_, direction)| direction.is_descending())
    }

    fn constrained_from(&self, at: usize) -> bool {
        self.bounds.fields.iter().skip(at).any(|field| field.constrained)
    }
}

/// The keys that start with `prefix` and a value of the interval.
fn range(prefix: &[u8], interval: &Interval, descending: bool) -> KeyRange {
    let (low, low_inclusive, high, high_inclusive) = match descending {
        false => (&interval.min, interval.min_inclusive, &interval.max, interval.max_inclusive),
        true => (&interval.max, interval.max_inclusive, &interval.min, interval.min_inclusive),
    };
    let bytes = |value: &bson::Bson| {
        let mut bytes = prefix.to_vec();
        key::encode_bson(&mut bytes, value, descending);
        bytes
    };
    let (low, high) = (bytes(low), bytes(high));
    KeyRange {
        // No tag is 0xFF, nor is one inverted, so there is a successor.
        start: if low_inclusive { low } else { successor(&low).unwrap_or(low) },
        end: if high_inclusive { successor(&high) } else { Some(high) },
    }
}
