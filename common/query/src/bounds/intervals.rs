//! The intervals of one test: which values of a key it lets through, type bracket by type bracket.

use super::Keys;
use crate::matcher::{Bracket, Comparison, Kinds, Leaf, Node, Operand, Pattern, Set, Test, is_nan};
use bson::spec::{BinarySubtype, ElementType};
use bson::{Binary, Bson, DateTime, JavaScriptCodeWithScope, RawBsonRef, Timestamp, doc, oid::ObjectId};
use value::Collator;
use value::collation::is_collatable;
use value::interval::{Interval, complement, intersect, normalize};

/// More values of an `$in` than this are widened to the range that holds them all.
const POINTS_MAX: usize = 10_000;

/// Intervals of one field.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) intervals: Vec<Interval>,
    /// Whether every value within passes the test.
    pub(super) exact: bool,
}

impl Found {
    fn exact(intervals: Vec<Interval>) -> Option<Found> {
        Some(Found { intervals, exact: true })
    }

    fn inexact(intervals: Vec<Interval>) -> Option<Found> {
        Some(Found { intervals, exact: false })
    }
}

/// The intervals of a leaf on its own path.
pub(super) fn of(leaf: &Leaf, keys: Keys<'_>) -> Option<Found> {
    let mut found = of_test(&leaf.test, keys)?;
    // A key below an array may stand for an element that the path does not enter, or for no element at all.
    found.exact &= !(keys.multikey && leaf.path.len() > 1);
    Some(found)
}

/// The intervals of the opposite of a leaf, given its own.
pub(super) fn opposite(leaf: &Leaf, found: Option<Found>, keys: Keys<'_>) -> Option<Found> {
    if matches!(leaf.test, Test::Exists) {
        // What is missing has the key null; below an array without elements, undefined.
        let min = if keys.multikey { Bson::Undefined } else { Bson::Null };
        return Found::inexact(vec![Interval::new(min, true, Bson::Null, true)]);
    }
    let found = found.filter(|found| found.exact)?;
    // With several keys, one outside says nothing about the others.
    Some(Found { intervals: complement(&found.intervals), exact: !keys.multikey })
}

fn of_test(test: &Test, keys: Keys<'_>) -> Option<Found> {
    match test {
        Test::Compare(Comparison::Eq, operand) => equal(operand.value(), operand.collation(), keys),
        Test::Compare(comparison, operand) => compare(*comparison, operand, keys),
        Test::In(set) => of_set(set, keys),
        Test::Type(kinds) => of_kinds(*kinds),
        Test::Mod { .. } => Found::inexact(vec![numbers()]),
        Test::Bits(_) => Found::inexact(vec![numbers(), bracket(Bracket::Binary)?]),
        Test::Regex(pattern) => of_pattern(pattern, keys),
        Test::ElemMatchValue(node) => Some(Found { exact: false, ..of_element(node, keys, false)? }),
        Test::Exists | Test::Size(_) | Test::ElemMatchObject(_) => None,
    }
}

/// What the value form of `$elemMatch` asks of one element, which is one key.
fn of_element(node: &Node, keys: Keys<'_>, negated: bool) -> Option<Found> {
    match (node, negated) {
        (Node::Not(inner), _) => of_element(inner, keys, !negated),
        (Node::And(nodes), false) | (Node::Or(nodes), true) => {
            let mut all: Option<Found> = None;
            let mut exact = true;
            for node in nodes {
                let Some(more) = of_element(node, keys, negated) else {
                    exact = false;
                    continue;
                };
                exact &= more.exact;
                all = Some(match all {
                    Some(all) => Found { intervals: intersect(&all.intervals, &more.intervals), exact },
                    None => more,
                });
            }
            all.map(|all| Found { exact, ..all })
        }
        (Node::Or(nodes), false) | (Node::And(nodes), true) => {
            let mut any = Found { intervals: Vec::new(), exact: true };
            for node in nodes {
                let more = of_element(node, keys, negated)?;
                any.exact &= more.exact;
                any.intervals.extend(more.intervals);
            }
            any.intervals = normalize(any.intervals);
            Some(any)
        }
        (Node::Leaf(leaf), false) => of_test(&leaf.test, keys),
        (Node::Leaf(leaf), true) => {
            let found = of_test(&leaf.test, keys).filter(|found| found.exact)?;
            Found::exact(complement(&found.intervals))
        }
        (Node::Never, false) => Found::exact(Vec::new()),
        (Node::Never, true) | (Node::Expr(_), _) => None,
    }
}

/// A constant as the keys have it; `None` if they order its strings otherwise than the predicate does.
fn as_key(value: RawBsonRef<'_>, collation: Option<&Collator>, keys: Keys<'_>) -> Option<Bson> {
    let owned = Bson::try_from(value).ok()?;
    if (collation.is_none() && keys.collation.is_none()) || !is_collatable(value) {
        return Some(owned);
    }
    let same = keys.collation.filter(|ours| collation == Some(*ours))?;
    Some(same.translate(&owned))
}

fn equal(value: RawBsonRef<'_>, collation: Option<&Collator>, keys: Keys<'_>) -> Option<Found> {
    let owned = as_key(value, collation, keys)?;
    let Bson::Array(elements) = &owned else { return Found::exact(vec![Interval::point(owned)]) };
    // A field that is this array has its elements for keys; one that contains it has it for a key.
    let first = elements.first().cloned().unwrap_or(Bson::Undefined);
    Found::inexact(normalize(vec![Interval::point(first), Interval::point(owned)]))
}

/// The points of a field inside of a document that is matched as a whole.
pub(super) fn of_embedded(operand: &Operand, path: &str, keys: Keys<'_>) -> Option<Vec<Interval>> {
    let RawBsonRef::Document(doc) = operand.value() else { return None };
    equal(value::path::get(doc, path)?, operand.collation(), keys).map(|found| found.intervals)
}

fn compare(comparison: Comparison, operand: &Operand, keys: Keys<'_>) -> Option<Found> {
    let value = operand.value();
    let class = Bracket::of(value.element_type());
    let (or_equal, up) = match comparison {
        Comparison::Eq => return equal(value, operand.collation(), keys),
        Comparison::Gt => (false, true),
        Comparison::Gte => (true, true),
        Comparison::Lt => (false, false),
        Comparison::Lte => (true, false),
    };
    match class {
        // Arrays are not keys themselves, and pointers have no greatest one.
        Bracket::Array | Bracket::DbPointer | Bracket::Undefined | Bracket::Regex => return None,
        Bracket::Null if !or_equal => return Found::exact(Vec::new()),
        Bracket::Number if is_nan(value) && !or_equal => return Found::exact(Vec::new()),
        Bracket::Null => return equal(value, None, keys),
        Bracket::Number if is_nan(value) => return equal(value, None, keys),
        _ => {}
    }
    let owned = as_key(value, operand.collation(), keys)?;
    let within = match class {
        // They compare with everything.
        Bracket::MinKey | Bracket::MaxKey => Interval::all(),
        Bracket::Number => numbers(),
        other => bracket(other)?,
    };
    let interval = match up {
        true => Interval { min: owned, min_inclusive: or_equal, ..within },
        false => Interval { max: owned, max_inclusive: or_equal, ..within },
    };
    Found::exact(normalize(vec![interval]))
}

fn of_set(set: &Set, keys: Keys<'_>) -> Option<Found> {
    let mut found = Found { intervals: Vec::new(), exact: true };
    if set.len() > POINTS_MAX {
        let (mut first, mut last) = (None, None);
        for value in set.values() {
            let value = value.ok()?;
            if matches!(value, RawBsonRef::Array(_)) {
                return None;
            }
            first.get_or_insert(value);
            last = Some(value);
        }
        found.exact = false;
        let end = |value| as_key(value, set.collation(), keys);
        let (min, max) = (end(first?)?, end(last?)?);
        found.intervals.push(Interval::new(min, true, max, true));
    } else {
        for value in set.values() {
            let more = equal(value.ok()?, set.collation(), keys)?;
            found.exact &= more.exact;
            found.intervals.extend(more.intervals);
        }
    }
    for pattern in set.patterns() {
        let more = of_pattern(pattern, keys)?;
        found.exact &= more.exact;
        found.intervals.extend(more.intervals);
    }
    found.intervals = normalize(found.intervals);
    Some(found)
}

fn of_pattern(pattern: &Pattern, keys: Keys<'_>) -> Option<Found> {
    let itself = Interval::point(Bson::RegularExpression(bson::Regex {
        pattern: pattern.source().try_into().ok()?,
        options: pattern.options().try_into().ok()?,
    }));
    // A pattern looks at the text itself, which keys under a collation do not have.
    let (texts, exact) = match pattern.prefix().filter(|_| keys.collation.is_none()) {
        Some((prefix, exact)) => match after(&prefix) {
            Some(next) => (Interval::new(Bson::String(prefix), true, Bson::String(next), false), exact),
            None => (Interval { min: Bson::String(prefix), ..bracket(Bracket::String)? }, exact),
        },
        None => (bracket(Bracket::String)?, false),
    };
    Some(Found { intervals: normalize(vec![texts, itself]), exact })
}

/// The least text above all that begin with `prefix`.
fn after(prefix: &str) -> Option<String> {
    let mut chars: Vec<char> = prefix.chars().collect();
    while let Some(last) = chars.pop() {
        let next = match last {
            char::MAX => continue,
            // The code points in between are no characters.
            '\u{d7ff}' => Some('\u{e000}'),
            last => char::from_u32(last as u32 + 1),
        };
        chars.push(next?);
        return Some(chars.into_iter().collect());
    }
    None
}

fn of_kinds(kinds: Kinds) -> Option<Found> {
    if kinds.contains(ElementType::Array) || kinds.contains(ElementType::DbPointer) {
        return None;
    }
    let all = (0..=255).filter_map(ElementType::from).filter(|kind| kinds.contains(*kind));
    let intervals = all.map(|kind| bracket(Bracket::of(kind))).collect::<Option<Vec<_>>>()?;
    Found::inexact(normalize(intervals))
}

/// The numbers that compare: NaN equals only itself.
fn numbers() -> Interval {
    Interval::new(Bson::Double(f64::NEG_INFINITY), true, Bson::Double(f64::INFINITY), true)
}

/// All values of a bracket; `None` for those without a least or greatest value that can be written down.
fn bracket(bracket: Bracket) -> Option<Interval> {
    let closed = |min: Bson, max: Bson| Some(Interval::new(min, true, max, true));
    let below = |min: Bson, next: Bson| Some(Interval::new(min, true, next, false));
    let object_id = |byte| Bson::ObjectId(ObjectId::from_bytes([byte; 12]));
    let no_bytes = || Bson::Binary(Binary { subtype: BinarySubtype::Generic, bytes: Vec::new() });
    let no_code =
        || Bson::JavaScriptCodeWithScope(JavaScriptCodeWithScope { code: String::new(), scope: doc! {} });
    match bracket {
        Bracket::MinKey => closed(Bson::MinKey, Bson::MinKey),
        Bracket::Undefined => closed(Bson::Undefined, Bson::Undefined),
        Bracket::Null => closed(Bson::Null, Bson::Null),
        Bracket::Number => closed(Bson::Double(f64::NAN), Bson::Double(f64::INFINITY)),
        Bracket::String => below(Bson::String(String::new()), Bson::Document(doc! {})),
        Bracket::Object => below(Bson::Document(doc! {}), Bson::Array(Vec::new())),
        Bracket::Array => below(Bson::Array(Vec::new()), no_bytes()),
        Bracket::Binary => below(no_bytes(), object_id(0)),
        Bracket::ObjectId => closed(object_id(0), object_id(0xFF)),
        Bracket::Boolean => closed(Bson::Boolean(false), Bson::Boolean(true)),
        Bracket::Date => closed(
            Bson::DateTime(DateTime::from_millis(i64::MIN)),
            Bson::DateTime(DateTime::from_millis(i64::MAX)),
        ),
        Bracket::Timestamp => closed(
            Bson::Timestamp(Timestamp { time: 0, increment: 0 }),
            Bson::Timestamp(Timestamp { time: u32::MAX, increment: u32::MAX }),
        ),
        // Between the last timestamp and the first code; no pointer and no pattern can be the greatest.
        Bracket::Regex | Bracket::DbPointer => Some(Interval::new(
            Bson::Timestamp(Timestamp { time: u32::MAX, increment: u32::MAX }),
            false,
            Bson::JavaScriptCode(String::new()),
            false,
        )),
        Bracket::Code => below(Bson::JavaScriptCode(String::new()), no_code()),
        Bracket::CodeWithScope => below(no_code(), Bson::MaxKey),
        Bracket::MaxKey => closed(Bson::MaxKey, Bson::MaxKey),
    }
}
