//! Rows of predicates with the intervals they give, and the property that no matching document is ever lost.

use super::{KeyPattern, RANGES_MAX, bounds, key_ranges, scan};
use crate::context::ParseContext;
use crate::matcher::Matcher;
use crate::sort::Sort;
use bson::{Bson, Document, RawDocumentBuf, doc};
use proptest::prelude::*;
use value::interval::Interval;

fn raw(doc: Document) -> RawDocumentBuf {
    RawDocumentBuf::try_from(&doc).unwrap()
}

fn matcher(filter: Document) -> Matcher {
    Matcher::parse(&raw(filter), &ParseContext::default()).unwrap()
}

fn pattern(spec: Document) -> KeyPattern {
    KeyPattern::parse(&raw(spec)).unwrap()
}

fn regex(pattern: &str) -> Bson {
    Bson::RegularExpression(bson::Regex {
        pattern: pattern.try_into().unwrap(),
        options: "".try_into().unwrap(),
    })
}

fn show(interval: &Interval) -> String {
    if interval.is_all() {
        return "all".to_owned();
    }
    let open = if interval.min_inclusive { '[' } else { '(' };
    let close = if interval.max_inclusive { ']' } else { ')' };
    format!("{open}{}, {}{close}", interval.min, interval.max)
}

/// `expected`: fields separated by `|`, intervals by space.
#[track_caller]
fn check(filter: Document, spec: Document, multikey: bool, expected: &str, exact: bool) {
    let found = bounds(&matcher(filter.clone()), &pattern(spec.clone()), multikey);
    let shown: Vec<String> = found
        .fields
        .iter()
        .map(|field| field.intervals.iter().map(show).collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(shown.join(" | "), expected, "{filter} on {spec}");
    assert_eq!(found.exact, exact, "{filter} on {spec}: exact");
}

#[test]
fn single_field() {
    let on_a = |filter, expected, exact| check(filter, doc! {"a": 1}, false, expected, exact);
    on_a(doc! {}, "all", true);
    on_a(doc! {"b": 1}, "all", false);
    on_a(doc! {"a": 1}, "[1, 1]", true);
    on_a(doc! {"a": 1, "b": 2}, "[1, 1]", false);
    on_a(doc! {"a": {"$gt": 1, "$lte": 5}}, "(1, 5]", true);
    on_a(doc! {"a": {"$gt": 5, "$lt": 1}}, "", true);
    on_a(doc! {"a": {"$gt": 1}}, "(1, inf]", true);
    on_a(doc! {"a": {"$lt": 1}}, "[-inf, 1)", true);
    on_a(doc! {"a": {"$lt": f64::NAN}}, "", true);
    on_a(doc! {"a": {"$gte": "x"}}, "[\"x\", {})", true);
    on_a(doc! {"a": {"$lt": "x"}}, "[\"\", \"x\")", true);
    on_a(doc! {"a": {"$lt": true}}, "[false, true)", true);
    on_a(doc! {"a": {"$gt": Bson::Null}}, "", true);
    on_a(doc! {"a": {"$gte": Bson::Null}}, "[null, null]", true);
    on_a(doc! {"a": {"$in": [3, 1, 2.0, 1]}}, "[1, 1] [2, 2] [3, 3]", true);
    on_a(doc! {"$or": [{"a": 1}, {"a": {"$gt": 5}}]}, "[1, 1] (5, inf]", true);
    on_a(doc! {"$or": [{"a": 1}, {"b": 5}]}, "all", false);
    on_a(doc! {"$or": [{"a": 1, "b": 1}, {"a": 2}]}, "[1, 1] [2, 2]", false);
    on_a(doc! {"$and": [{"a": {"$gt": 1}}, {"$or": [{"a": 1}, {"a": 2}]}]}, "[2, 2]", true);
    on_a(doc! {"a": regex("^ab")}, "[\"ab\", \"ac\") [/^ab/, /^ab/]", true);
    on_a(doc! {"a": regex("^ab*")}, "[\"a\", \"b\") [/^ab*/, /^ab*/]", false);
    on_a(doc! {"a": regex("ab")}, "[\"\", {}) [/ab/, /ab/]", false);
    on_a(doc! {"a": {"$exists": false}}, "[null, null]", false);
    on_a(doc! {"a": {"$exists": true}}, "all", false);
    on_a(doc! {"a": {"$type": "int"}}, "[NaN, inf]", false);
    on_a(doc! {"a": {"$mod": [2, 0]}}, "[-inf, inf]", false);
    on_a(doc! {"$expr": {"$eq": ["$a", 1]}}, "all", false);
    on_a(doc! {"$alwaysFalse": 1}, "", true);
    on_a(doc! {"a": {"$all": [1]}}, "[1, 1]", true);
    check(doc! {"a.b": 1}, doc! {"a.b": 1}, false, "[1, 1]", true);
    check(doc! {"a": {"b": 1}}, doc! {"a.b": 1}, false, "[1, 1]", false);
}

#[test]
fn negation() {
    let found = |filter| {
        let found = bounds(&matcher(filter), &pattern(doc! {"a": 1}), false);
        (found.fields[0].intervals.len(), found.exact)
    };
    assert_eq!(found(doc! {"a": {"$ne": 1}}), (2, true));
    assert_eq!(found(doc! {"a": {"$nin": [1, 2]}}), (3, true));
    assert_eq!(found(doc! {"a": {"$not": {"$gt": 1}}}), (2, true));
    assert_eq!(found(doc! {"$nor": [{"a": 1}, {"a": 2}, {"b": 1}]}), (3, false));
    assert_eq!(found(doc! {"a": {"$not": {"$type": "int"}}}), (1, false));
    assert_eq!(found(doc! {"a": {"$not": {"$not": {"$eq": 1}}}}), (1, true));
}

#[test]
fn arrays() {
    let on_a = |filter, expected, exact| check(filter, doc! {"a": 1}, true, expected, exact);
    on_a(doc! {"a": 1}, "[1, 1]", true);
    on_a(doc! {"a": {"$gt": 1, "$lt": 3}}, "(1, inf]", false);
    on_a(doc! {"a": {"$gt": 1, "$in": [2, 3]}}, "[2, 2] [3, 3]", false);
    on_a(doc! {"a": {"$elemMatch": {"$gt": 1, "$lt": 3}}}, "(1, 3)", false);
    on_a(doc! {"a": [1, 2]}, "[1, 1] [[1, 2], [1, 2]]", false);
    on_a(doc! {"a": []}, "[undefined, undefined] [[], []]", false);
    on_a(doc! {"a": {"$all": [1, 2]}}, "[1, 1]", false);
    check(doc! {"a.b": 1}, doc! {"a.b": 1}, true, "[1, 1]", false);
    // {a: [{}]} has the key {} and matches, since its element has no field "0"
    check(doc! {"a.0": Bson::Null}, doc! {"a.0": 1}, true, "all", false);
    // one key need not hold both values, unless one element does
    let spec = || doc! {"a.b": 1, "a.c": 1};
    check(doc! {"a.b": 1, "a.c": 2}, spec(), true, "[1, 1] | all", false);
    check(doc! {"a": {"$elemMatch": {"b": 1, "c": 2}}}, spec(), true, "[1, 1] | [2, 2]", false);
    check(doc! {"a": 1, "b": 2}, doc! {"a": 1, "b": 1}, true, "[1, 1] | [2, 2]", true);
}

#[test]
fn compound_and_hashed() {
    let spec = || doc! {"a": 1, "b": -1};
    check(doc! {"a": 1, "b": {"$gt": 2}}, spec(), false, "[1, 1] | (2, inf]", true);
    check(doc! {"b": 2}, spec(), false, "all | [2, 2]", true);
    check(
        doc! {"$or": [{"a": 1, "b": 1}, {"a": 2, "b": 2}]},
        spec(),
        false,
        "[1, 1] [2, 2] | [1, 1] [2, 2]",
        false,
    );
    let hash = value::hash::shard_key_hash(bson::RawBsonRef::Int32(5));
    check(doc! {"a": 5}, doc! {"a": "hashed"}, false, &format!("[{hash}, {hash}]"), false);
    check(doc! {"a": {"$gt": 5}}, doc! {"a": "hashed"}, false, "all", false);
    let two = bounds(&matcher(doc! {"a": {"$in": [1, 2]}}), &pattern(doc! {"a": "hashed"}), false);
    assert_eq!(two.fields[0].intervals.len(), 2);
    assert!(two.fields[0].is_points());
}

#[test]
fn ranges() {
    let count = |filter, spec| {
        let spec = pattern(spec);
        let scan = scan(&bounds(&matcher(filter), &spec, false), &spec);
        assert!(
            scan.ranges.windows(2).all(|pair| pair[0].end.as_ref().is_some_and(|end| *end <= pair[1].start))
        );
        assert!(scan.ranges.iter().all(|range| !range.is_empty()));
        (scan.ranges.len(), scan.exact)
    };
    assert_eq!(count(doc! {}, doc! {"a": 1}), (1, true));
    assert_eq!(count(doc! {"a": 1}, doc! {"a": 1}), (1, true));
    assert_eq!(count(doc! {"a": {"$gt": 5, "$lt": 1}}, doc! {"a": 1}), (0, true));
    assert_eq!(count(doc! {"a": {"$in": [1, 2]}, "b": {"$gt": 1}}, doc! {"a": -1, "b": -1}), (2, true));
    assert_eq!(count(doc! {"a": {"$gt": 1}, "b": 2}, doc! {"a": 1, "b": 1}), (1, false));
    assert_eq!(count(doc! {"a": {"$ne": 1}}, doc! {"a": -1}), (2, true));
    assert_eq!(
        count(doc! {"a": {"$in": [1, 2]}, "b": {"$in": [1, 2, 3]}}, doc! {"a": 1, "b": -1}),
        (6, true)
    );
    let many: Vec<i32> = (0..5_000).collect();
    let both = doc! {"a": {"$in": many.clone()}, "b": {"$in": many}};
    assert_eq!(count(both, doc! {"a": 1, "b": 1}), (5_000, false));
    let more: Vec<i32> = (0..RANGES_MAX as i32 + 1).collect();
    assert_eq!(count(doc! {"a": {"$in": more}}, doc! {"a": 1}), (1, false));
}

fn scalar() -> impl Strategy<Value = Bson> {
    prop_oneof![
        12 => (0..4i32).prop_map(Bson::Int32),
        1 => (0..4i32).prop_map(|value| Bson::Double(f64::from(value) + 0.5)),
        1 => Just(Bson::Double(f64::NAN)),
        1 => Just(Bson::Null),
        2 => "[ab]{0,3}".prop_map(Bson::String),
        1 => any::<bool>().prop_map(Bson::Boolean),
        1 => Just(Bson::MinKey),
        1 => Just(Bson::MaxKey),
    ]
}

fn document(value: impl Strategy<Value = Bson>) -> impl Strategy<Value = Document> {
    prop::collection::vec(("[abc]", value), 0..4).prop_map(|fields| fields.into_iter().collect())
}

fn any_value() -> impl Strategy<Value = Bson> {
    scalar().prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Bson::Array),
            document(inner).prop_map(Bson::Document),
        ]
    })
}

fn path() -> impl Strategy<Value = String> {
    prop_oneof!["[abc]", "[ab]\\.[abc]", "a\\.0", "a\\.b\\.c"]
}

fn operand() -> impl Strategy<Value = Bson> {
    let plain = prop_oneof![4 => scalar(), 1 => any_value()];
    let name = prop::sample::select(vec!["$eq", "$ne", "$gt", "$gte", "$lt", "$lte"]);
    let single = (name, plain.clone()).prop_map(|(name, value)| doc! {name: value});
    let list = prop::collection::vec(plain.clone(), 0..4);
    let listed = (prop::sample::select(vec!["$in", "$nin", "$all"]), list)
        .prop_map(|(name, values)| doc! {name: values});
    let other = prop::sample::select(vec![
        doc! {"$exists": true},
        doc! {"$exists": false},
        doc! {"$type": "number"},
        doc! {"$type": ["string", "object", "null"]},
        doc! {"$size": 1},
        doc! {"$mod": [2, 0]},
        doc! {"$regex": "^a"},
        doc! {"$regex": "^ab.*"},
        doc! {"$regex": "b"},
        doc! {"$bitsAnySet": 1},
    ]);
    let operators = prop_oneof![4 => single, 2 => listed, 1 => other];
    let many = prop::collection::vec(operators, 1..3)
        .prop_map(|list| list.into_iter().flatten().collect::<Document>());
    let nested = prop_oneof![
        6 => many.clone(),
        1 => many.clone().prop_map(|many| doc! {"$not": many}),
        1 => many.clone().prop_map(|many| doc! {"$elemMatch": many}),
        1 => (path(), many).prop_map(|(path, many)| doc! {"$elemMatch": {path: many}}),
    ];
    prop_oneof![3 => nested.prop_map(Bson::Document), 2 => plain]
}

fn filter() -> impl Strategy<Value = Document> {
    let leaf = prop::collection::vec((path(), operand()), 0..3)
        .prop_map(|fields| fields.into_iter().collect::<Document>());
    leaf.prop_recursive(2, 8, 3, |inner| {
        let branches = prop::collection::vec(inner.clone(), 1..4);
        prop_oneof![
            3 => inner,
            1 => (prop::sample::select(vec!["$and", "$or", "$nor"]), branches).prop_map(|(name, list)| doc! {name: list}),
        ]
    })
}

fn spec() -> impl Strategy<Value = Document> {
    prop::sample::select(vec![
        doc! {"a": 1},
        doc! {"a": -1, "b": 1},
        doc! {"a.b": 1, "a.c": -1},
        doc! {"a.b": 1, "b": 1},
        doc! {"b": -1, "a.b.c": 1, "c": 1},
        doc! {"a.0": 1},
    ])
}

fn has_array(value: &Bson) -> bool {
    match value {
        Bson::Array(_) => true,
        Bson::Document(doc) => doc.values().any(has_array),
        _ => false,
    }
}

/// Small documents with arrays of numbers and of documents, which filters often match.
fn dense_document() -> impl Strategy<Value = Document> {
    let number = || (0..4i32).prop_map(Bson::Int32);
    let numbers = || prop_oneof![number(), prop::collection::vec(number(), 0..4).prop_map(Bson::Array)];
    let inner = || (numbers(), numbers()).prop_map(|(b, c)| Bson::Document(doc! {"b": b, "c": c}));
    let a = prop_oneof![numbers(), inner(), prop::collection::vec(inner(), 0..3).prop_map(Bson::Array)];
    (a, number()).prop_map(|(a, b)| doc! {"a": a, "b": b})
}

/// Several comparisons of few paths with few numbers.
fn dense_filter() -> impl Strategy<Value = Document> {
    let compare = (prop::sample::select(vec!["$eq", "$gt", "$gte", "$lt", "$lte", "$ne"]), 0..4i32)
        .prop_map(|(name, value)| doc! {name: value});
    let several = || {
        prop::collection::vec(compare.clone(), 1..3)
            .prop_map(|all| all.into_iter().flatten().collect::<Document>())
    };
    let operand = prop_oneof![
        4 => several(),
        1 => several().prop_map(|operators| doc! {"$not": operators}),
        1 => several().prop_map(|operators| doc! {"$elemMatch": operators}),
        1 => (several(), several()).prop_map(|(b, c)| doc! {"$elemMatch": {"b": b, "c": c}}),
    ];
    let field = (prop::sample::select(vec!["a", "a.b", "a.c", "b"]), operand)
        .prop_map(|(path, operand)| doc! {path: operand});
    field.prop_recursive(2, 8, 3, |inner| {
        (prop::sample::select(vec!["$and", "$or", "$nor"]), prop::collection::vec(inner, 1..4))
            .prop_map(|(name, branches)| doc! {name: branches})
    })
}

/// Every matching document has a key within the ranges, and none but matching ones if they are exact.
fn holds(filter: &Document, doc: &Document, spec: &Document) -> Result<(), TestCaseError> {
    let Ok(matcher) = Matcher::parse(&raw(filter.clone()), &ParseContext::default()) else { return Ok(()) };
    let doc = raw(doc.clone());
    // Two arrays side by side cannot be indexed.
    let Ok(keys) = Sort::parse(&raw(spec.clone())).unwrap().keys(&doc) else { return Ok(()) };
    let matches = matcher.matches(&doc).unwrap();
    let key_pattern = pattern(spec.clone());
    let multikey = has_array(&Bson::Document(Document::try_from(doc).unwrap()));
    for multikey in [multikey, true] {
        let found = bounds(&matcher, &key_pattern, multikey);
        let scan = scan(&found, &key_pattern);
        prop_assert_eq!(&key_ranges(&found, &key_pattern), &scan.ranges);
        let within = keys.iter().any(|key| scan.ranges.iter().any(|range| range.contains(key)));
        prop_assert!(within || !matches, "lost, multikey {}: {:?}", multikey, found);
        prop_assert!(matches || !within || !scan.exact, "not exact, multikey {}: {:?}", multikey, found);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(10_000) })]

    #[test]
    fn no_match_is_lost(filter in filter(), doc in document(any_value()), spec in spec()) {
        holds(&filter, &doc, &spec)?;
    }

    #[test]
    fn no_match_is_lost_in_arrays(filter in dense_filter(), doc in dense_document(), spec in spec()) {
        holds(&filter, &doc, &spec)?;
    }
}
