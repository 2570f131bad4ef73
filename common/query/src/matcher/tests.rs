//! One row per behaviour: filter, document, whether it matches.

use super::{Matcher, Position};
use crate::context::ParseContext;
use bson::{Bson, Document, RawDocumentBuf, doc};

fn raw(doc: Document) -> RawDocumentBuf {
    RawDocumentBuf::try_from(&doc).unwrap()
}

fn parse(filter: Document) -> Result<Matcher, types::Fault> {
    Matcher::parse(&raw(filter), &ParseContext::default())
}

#[track_caller]
fn check(filter: Document, doc: Document, expected: bool) {
    let matcher = parse(filter.clone()).unwrap();
    assert_eq!(matcher.matches(&raw(doc.clone())).unwrap(), expected, "{filter} on {doc}");
}

#[track_caller]
fn check_refused(filter: Document, code: i32, message: &str) {
    let fault = parse(filter.clone()).unwrap_err();
    assert_eq!(fault.code.number(), code, "{filter}: {fault}");
    assert!(fault.message.contains(message), "{filter}: {fault}");
}

fn regex(pattern: &str, options: &str) -> Bson {
    Bson::RegularExpression(bson::Regex {
        pattern: pattern.try_into().unwrap(),
        options: options.try_into().unwrap(),
    })
}

fn decimal(text: &str) -> Bson {
    Bson::Decimal128(text.parse().unwrap())
}

#[test]
fn equality() {
    check(doc! {}, doc! {"a": 1}, true);
    check(doc! {"a": 1}, doc! {"a": 1}, true);
    check(doc! {"a": 1}, doc! {"a": 2}, false);
    check(doc! {"a": 1}, doc! {"a": 1.0}, true);
    check(doc! {"a": 1i64}, doc! {"a": decimal("1.0")}, true);
    check(doc! {"a": 0.0}, doc! {"a": -0.0}, true);
    check(doc! {"a": f64::NAN}, doc! {"a": f64::NAN}, true);
    check(doc! {"a": f64::NAN}, doc! {"a": decimal("NaN")}, true);
    check(doc! {"a": f64::NAN}, doc! {"a": 1}, false);
    check(doc! {"a": "1"}, doc! {"a": 1}, false);
    check(doc! {"a": "x"}, doc! {"a": Bson::Symbol("x".into())}, true);
    check(doc! {"a": true}, doc! {"a": 1}, false);
    check(doc! {"a": 1}, doc! {"b": 1, "a": 1}, true);
    check(doc! {"": 1}, doc! {"": 1}, true);
    // embedded documents: every field, in order
    check(doc! {"a": {"b": 1, "c": 2}}, doc! {"a": {"b": 1, "c": 2}}, true);
    check(doc! {"a": {"b": 1, "c": 2}}, doc! {"a": {"b": 1.0, "c": 2}}, true);
    check(doc! {"a": {"b": 1, "c": 2}}, doc! {"a": {"c": 2, "b": 1}}, false);
    check(doc! {"a": {"b": 1}}, doc! {"a": {"b": 1, "c": 2}}, false);
    check(doc! {"a": {}}, doc! {"a": {}}, true);
    check(doc! {"a": {"b": 1, "$gt": 1}}, doc! {"a": {"b": 1, "$gt": 1}}, true);
    // a DBRef is a value
    check(doc! {"a": {"$ref": "c", "$id": 1}}, doc! {"a": {"$ref": "c", "$id": 1}}, true);
    // several fields
    check(doc! {"a": 1, "b": 2}, doc! {"a": 1, "b": 2}, true);
    check(doc! {"a": 1, "b": 2}, doc! {"a": 1, "b": 3}, false);
    check(doc! {"a": {"$eq": 1}}, doc! {"a": [0, 1]}, true);
    check_refused(doc! {"a": Bson::Undefined}, 2, "cannot compare to undefined");
}

#[test]
fn null_and_missing() {
    check(doc! {"a": Bson::Null}, doc! {"a": Bson::Null}, true);
    check(doc! {"a": Bson::Null}, doc! {"b": 1}, true);
    check(doc! {"a": Bson::Null}, doc! {"a": 0}, false);
    check(doc! {"a": Bson::Null}, doc! {"a": []}, false);
    check(doc! {"a": Bson::Null}, doc! {"a": [1, Bson::Null]}, true);
    check(doc! {"a": Bson::Null}, doc! {"a": Bson::Undefined}, false);
    check(doc! {"a.b": Bson::Null}, doc! {"a": 5}, true);
    check(doc! {"a.b": Bson::Null}, doc! {"a": {"c": 1}}, true);
    check(doc! {"a.b": Bson::Null}, doc! {"a": []}, false);
    check(doc! {"a.b": Bson::Null}, doc! {"a": [1, 2]}, false);
    check(doc! {"a.b": Bson::Null}, doc! {"a": [{"b": 1}, {"c": 1}]}, true);
    check(doc! {"a.b": Bson::Null}, doc! {"a": [{"b": 1}]}, false);
    check(doc! {"a": {"$ne": Bson::Null}}, doc! {"b": 1}, false);
    check(doc! {"a": {"$ne": Bson::Null}}, doc! {"a": 1}, true);
    check(doc! {"a": {"$gte": Bson::Null}}, doc! {"b": 1}, true);
    check(doc! {"a": {"$lte": Bson::Null}}, doc! {"a": Bson::Null}, true);
    check(doc! {"a": {"$gt": Bson::Null}}, doc! {"a": 1}, false);
    check(doc! {"a": {"$lt": Bson::Null}}, doc! {}, false);
    check(doc! {"a": {"$in": [1, Bson::Null]}}, doc! {}, true);
    check(doc! {"a": {"$nin": [1, Bson::Null]}}, doc! {}, false);
}

#[test]
fn comparison_brackets_by_type() {
    check(doc! {"a": {"$gt": 3}}, doc! {"a": 4}, true);
    check(doc! {"a": {"$gt": 3}}, doc! {"a": [1, 5]}, true);
    check(doc! {"a": {"$gt": 3, "$lt": 2}}, doc! {"a": [1, 5]}, true);
    check(doc! {"a": {"$gt": 3}}, doc! {"a": "4"}, false);
    check(doc! {"a": {"$lt": 3}}, doc! {"a": Bson::Null}, false);
    check(doc! {"a": {"$lt": 3}}, doc! {}, false);
    check(doc! {"a": {"$gte": 3}}, doc! {"a": 3.0}, true);
    check(doc! {"a": {"$lte": "b"}}, doc! {"a": "a"}, true);
    check(doc! {"a": {"$gt": "b"}}, doc! {"a": "a"}, false);
    check(doc! {"a": {"$gt": {"x": 1}}}, doc! {"a": {"x": 2}}, true);
    check(doc! {"a": {"$gt": {"x": 1}}}, doc! {"a": {"x": 0, "y": 1}}, false);
    check(doc! {"a": {"$gt": [1, 2]}}, doc! {"a": [1, 3]}, true);
    check(doc! {"a": {"$gt": [1, 2]}}, doc! {"a": [1]}, false);
    check(doc! {"a": {"$lt": f64::NAN}}, doc! {"a": 1}, false);
    check(doc! {"a": {"$gte": f64::NAN}}, doc! {"a": f64::NAN}, true);
    check(doc! {"a": {"$lt": 5}}, doc! {"a": f64::NAN}, false);
    check(doc! {"a": {"$gt": Bson::MinKey}}, doc! {"a": 1}, true);
    check(doc! {"a": {"$gt": Bson::MinKey}}, doc! {}, true);
    check(doc! {"a": {"$gt": Bson::MinKey}}, doc! {"a": Bson::MinKey}, false);
    check(doc! {"a": {"$gte": Bson::MinKey}}, doc! {"a": Bson::MinKey}, true);
    check(doc! {"a": {"$lt": Bson::MaxKey}}, doc! {"a": []}, true);
    check(doc! {"a": {"$lt": Bson::MinKey}}, doc! {"a": 1}, false);
    check(doc! {"a": {"$lt": true}}, doc! {"a": false}, true);
    check(
        doc! {"a": {"$gt": bson::DateTime::from_millis(5)}},
        doc! {"a": bson::DateTime::from_millis(6)},
        true,
    );
    check(
        doc! {"a": {"$gt": bson::DateTime::from_millis(5)}},
        doc! {"a": bson::Timestamp { time: 6, increment: 1 }},
        false,
    );
    check(doc! {"a": {"$gt": 9007199254740992i64}}, doc! {"a": 9007199254740993i64}, true);
    check_refused(
        doc! {"a": {"$gt": regex("x", "")}},
        2,
        "Can't have RegEx as arg to predicate over field 'a'.",
    );
    check_refused(doc! {"a": {"$ne": regex("x", "")}}, 2, "Can't have regex as arg to $ne");
}

#[test]
fn arrays_and_paths() {
    check(doc! {"a": [1, 2]}, doc! {"a": [1, 2]}, true);
    check(doc! {"a": [1, 2]}, doc! {"a": [[1, 2], 3]}, true);
    check(doc! {"a": [1, 2]}, doc! {"a": [2, 1]}, false);
    check(doc! {"a": 1}, doc! {"a": [[1]]}, false);
    check(doc! {"a": {"$ne": 1}}, doc! {"a": [1, 2]}, false);
    check(doc! {"a.b": 1}, doc! {"a": {"b": 1}}, true);
    check(doc! {"a.b": 1}, doc! {"a": [{"b": 0}, {"b": 1}]}, true);
    check(doc! {"a.b": 1}, doc! {"a": [{"b": [0, 1]}]}, true);
    check(doc! {"a.b": 1}, doc! {"a": [[{"b": 1}]]}, false);
    check(doc! {"a.0": 1}, doc! {"a": [1, 2]}, true);
    check(doc! {"a.1": 1}, doc! {"a": [1, 2]}, false);
    check(doc! {"a.0": 1}, doc! {"a": {"0": 1}}, true);
    check(doc! {"a.0": 1}, doc! {"a": [{"0": 1}]}, true);
    check(doc! {"a.0.b": 1}, doc! {"a": [{"b": 1}]}, true);
    check(doc! {"a.1.b": 1}, doc! {"a": [{"b": 1}]}, false);
    check(doc! {"a.1.b": 4}, doc! {"a": [5, [{"b": 4}], 3]}, true);
    check(doc! {"a.0": 1}, doc! {"a": [[1, 2]]}, false);
    check(doc! {"a.0": [1, 2]}, doc! {"a": [[1, 2]]}, true);
    check(doc! {"a.0.0": 1}, doc! {"a": [[1, 2]]}, true);
    check(doc! {"a.00": 1}, doc! {"a": [1]}, false);
    check(doc! {"a.b.c": 1}, doc! {"a": [{"b": [{"c": 2}, {"c": 1}]}]}, true);
    check(doc! {"a.": 1}, doc! {"a": {"": 1}}, true);
}

#[test]
fn sets() {
    check(doc! {"a": {"$in": [1, 2]}}, doc! {"a": 2.0}, true);
    check(doc! {"a": {"$in": [1, 2]}}, doc! {"a": 3}, false);
    check(doc! {"a": {"$in": [1, 2]}}, doc! {"a": [9, 2]}, true);
    check(doc! {"a": {"$in": [[1, 2]]}}, doc! {"a": [1, 2]}, true);
    check(doc! {"a": {"$in": [[1, 2]]}}, doc! {"a": 1}, false);
    check(doc! {"a": {"$in": []}}, doc! {"a": 1}, false);
    check(doc! {"a": {"$nin": []}}, doc! {"a": 1}, true);
    check(doc! {"a": {"$nin": [1]}}, doc! {}, true);
    check(doc! {"a": {"$nin": [1]}}, doc! {"a": [1, 2]}, false);
    check(doc! {"a": {"$in": [regex("^x", ""), 1]}}, doc! {"a": "xy"}, true);
    check(doc! {"a": {"$in": [regex("^x", ""), 1]}}, doc! {"a": "yx"}, false);
    check(doc! {"a": {"$in": [{"b": 1}]}}, doc! {"a": {"b": 1}}, true);
    check(doc! {"a": {"$in": [f64::NAN]}}, doc! {"a": f64::NAN}, true);
    check_refused(doc! {"a": {"$in": 1}}, 2, "$in needs an array");
    check_refused(doc! {"a": {"$nin": {}}}, 2, "$nin needs an array");
    check_refused(doc! {"a": {"$in": [{"$gt": 1}]}}, 2, "cannot nest $ under $in");
}

#[test]
fn logic() {
    check(doc! {"$and": [{"a": 1}, {"b": 2}]}, doc! {"a": 1, "b": 2}, true);
    check(doc! {"$and": [{"a": 1}, {"b": 2}]}, doc! {"a": 1}, false);
    check(doc! {"$or": [{"a": 1}, {"b": 2}]}, doc! {"b": 2}, true);
    check(doc! {"$or": [{"a": 1}, {"a": 2}, {"b": 2}]}, doc! {"a": 2}, true);
    check(doc! {"$or": [{"a": 1}, {"a": 2}, {"b": 2}]}, doc! {"a": 3}, false);
    check(doc! {"$or": [{"a": 1}, {"a": Bson::Null}]}, doc! {}, true);
    check(doc! {"$nor": [{"a": 1}, {"b": 2}]}, doc! {"a": 2}, true);
    check(doc! {"$nor": [{"a": 1}, {"b": 2}]}, doc! {"b": 2}, false);
    check(doc! {"$nor": [{"a": 1}]}, doc! {"a": 1}, false);
    check(doc! {"a": {"$not": {"$gt": 3}}}, doc! {"a": 1}, true);
    check(doc! {"a": {"$not": {"$gt": 3}}}, doc! {}, true);
    check(doc! {"a": {"$not": {"$gt": 3}}}, doc! {"a": [1, 5]}, false);
    check(doc! {"a": {"$not": {"$gt": 3, "$lt": 9}}}, doc! {"a": 10}, true);
    check(doc! {"a": {"$not": {"$not": {"$gt": 3}}}}, doc! {"a": 4}, true);
    check(doc! {"a": {"$not": regex("^x", "")}}, doc! {"a": "yx"}, true);
    check(doc! {"a": {"$not": {"$regex": "^x"}}}, doc! {"a": "xy"}, false);
    check(doc! {"$comment": "why", "a": 1}, doc! {"a": 1}, true);
    check(doc! {"a": {"$gt": 0, "$comment": "why"}}, doc! {"a": 1}, true);
    check(doc! {"$alwaysTrue": 1}, doc! {}, true);
    check(doc! {"$alwaysFalse": 1}, doc! {}, false);
    check(doc! {"$and": [{}]}, doc! {}, true);
    check(doc! {"$expr": {"$eq": ["$a", "$b"]}}, doc! {"a": 1, "b": 1}, true);
    check(doc! {"$expr": {"$eq": ["$a", "$b"]}}, doc! {"a": 1, "b": 2}, false);
    check_refused(doc! {"$or": []}, 2, "nonempty array");
    check_refused(doc! {"$and": {}}, 2, "$and must be an array");
    check_refused(doc! {"$nor": [1]}, 2, "need to be full objects");
    check_refused(doc! {"a": {"$not": 1}}, 2, "$not needs a regex or a document");
    check_refused(doc! {"a": {"$not": {}}}, 2, "$not cannot be empty");
    check_refused(doc! {"a": {"$not": {"b": 1}}}, 2, "unknown operator: b");
}

#[test]
fn unknown_and_unbuilt_names() {
    check_refused(doc! {"a": {"$foo": 1}}, 2, "unknown operator: $foo");
    check_refused(doc! {"a": {"$gt": 1, "b": 1}}, 2, "unknown operator: b");
    check_refused(doc! {"$foo": 1}, 2, "unknown top level operator: $foo. If you have a field name");
    check_refused(doc! {"$not": {"a": 1}}, 2, "unknown top level operator: $not");
    for name in ["$where", "$text", "$jsonSchema", "$sampleRate"] {
        check_refused(doc! {name: 1}, 238, name);
    }
    for name in ["$near", "$nearSphere", "$geoWithin", "$geoIntersects"] {
        check_refused(doc! {"a": {name: 1}}, 238, name);
    }
}

#[test]
fn element_operators() {
    check(doc! {"a": {"$exists": true}}, doc! {"a": Bson::Null}, true);
    check(doc! {"a": {"$exists": true}}, doc! {}, false);
    check(doc! {"a": {"$exists": false}}, doc! {}, true);
    check(doc! {"a": {"$exists": 0}}, doc! {"a": 1}, false);
    check(doc! {"a": {"$exists": "no"}}, doc! {"a": 1}, true);
    check(doc! {"a": {"$exists": true}}, doc! {"a": []}, true);
    check(doc! {"a.b": {"$exists": true}}, doc! {"a": [{"c": 1}, {"b": 1}]}, true);
    check(doc! {"a.b": {"$exists": false}}, doc! {"a": [{"c": 1}, {"b": 1}]}, false);
    check(doc! {"a.b": {"$exists": false}}, doc! {"a": []}, true);
    check(doc! {"a.0": {"$exists": true}}, doc! {"a": [1]}, true);
    check(doc! {"a.1": {"$exists": true}}, doc! {"a": [1]}, false);
    check(doc! {"a": {"$type": "string"}}, doc! {"a": "x"}, true);
    check(doc! {"a": {"$type": 2}}, doc! {"a": "x"}, true);
    check(doc! {"a": {"$type": 2.0}}, doc! {"a": 1}, false);
    check(doc! {"a": {"$type": "number"}}, doc! {"a": decimal("1")}, true);
    check(doc! {"a": {"$type": ["int", "string"]}}, doc! {"a": 1}, true);
    check(doc! {"a": {"$type": ["int", "string"]}}, doc! {"a": 1.0}, false);
    check(doc! {"a": {"$type": "int"}}, doc! {"a": ["x", 1]}, true);
    check(doc! {"a": {"$type": "array"}}, doc! {"a": []}, true);
    check(doc! {"a": {"$type": "array"}}, doc! {"a": 1}, false);
    check(doc! {"a": {"$type": "null"}}, doc! {}, false);
    check(doc! {"a": {"$type": -1}}, doc! {"a": Bson::MinKey}, true);
    check(doc! {"a": {"$type": "maxKey"}}, doc! {"a": Bson::MaxKey}, true);
    check_refused(doc! {"a": {"$type": "foo"}}, 2, "Unknown type name alias: foo");
    check_refused(doc! {"a": {"$type": 30}}, 2, "Invalid numerical type code: 30");
    check_refused(doc! {"a": {"$type": true}}, 14, "type must be represented as a number or a string");
    check_refused(doc! {"a": {"$type": []}}, 9, "$type must match at least one type");
}

#[test]
fn array_operators() {
    check(doc! {"a": {"$all": [1, 2]}}, doc! {"a": [2, 3, 1]}, true);
    check(doc! {"a": {"$all": [1, 2]}}, doc! {"a": [1]}, false);
    check(doc! {"a": {"$all": [1]}}, doc! {"a": 1}, true);
    check(doc! {"a": {"$all": []}}, doc! {"a": []}, false);
    check(doc! {"a": {"$all": [[1, 2]]}}, doc! {"a": [1, 2]}, true);
    check(doc! {"a": {"$all": [regex("^x", ""), "y"]}}, doc! {"a": ["xy", "y"]}, true);
    check(
        doc! {"a": {"$all": [{"$elemMatch": {"x": 1, "y": 1}}, {"$elemMatch": {"x": 2}}]}},
        doc! {"a": [{"x": 1, "y": 1}, {"x": 2}]},
        true,
    );
    check(
        doc! {"a": {"$all": [{"$elemMatch": {"x": 1, "y": 1}}, {"$elemMatch": {"x": 2}}]}},
        doc! {"a": [{"x": 1}, {"y": 1}, {"x": 2}]},
        false,
    );
    check(doc! {"a": {"$size": 2}}, doc! {"a": [1, 2]}, true);
    check(doc! {"a": {"$size": 2.0}}, doc! {"a": [1]}, false);
    check(doc! {"a": {"$size": 0}}, doc! {"a": []}, true);
    check(doc! {"a": {"$size": 0}}, doc! {}, false);
    check(doc! {"a": {"$size": 1}}, doc! {"a": [[1, 2]]}, true);
    check(doc! {"a": {"$size": 2}}, doc! {"a": [[1, 2]]}, false);
    check(doc! {"a": {"$elemMatch": {"$gt": 3, "$lt": 5}}}, doc! {"a": [1, 9]}, false);
    check(doc! {"a": {"$elemMatch": {"$gt": 3, "$lt": 5}}}, doc! {"a": [1, 4]}, true);
    check(doc! {"a": {"$elemMatch": {"$gt": 3}}}, doc! {"a": 4}, false);
    check(doc! {"a": {"$elemMatch": {"$ne": 3}}}, doc! {"a": [3, 4]}, true);
    check(doc! {"a": {"$elemMatch": {"$ne": 3}}}, doc! {"a": [3]}, false);
    check(doc! {"a": {"$elemMatch": {"$not": {"$gt": 3}}}}, doc! {"a": [4, 5]}, false);
    check(doc! {"a": {"$elemMatch": {"$in": [1]}}}, doc! {"a": [[1]]}, false);
    check(doc! {"a": {"$elemMatch": {"$elemMatch": {"$gt": 1}}}}, doc! {"a": [[1], [2]]}, true);
    check(doc! {"a": {"$elemMatch": {"b": 1, "c": 2}}}, doc! {"a": [{"b": 1}, {"c": 2}]}, false);
    check(doc! {"a": {"$elemMatch": {"b": 1, "c": 2}}}, doc! {"a": [{"b": 1, "c": 2}]}, true);
    check(doc! {"a": {"$elemMatch": {"$or": [{"b": 1}, {"c": 2}]}}}, doc! {"a": [{"c": 2}]}, true);
    check(doc! {"a": {"$elemMatch": {}}}, doc! {"a": [1]}, false);
    check(doc! {"a": {"$elemMatch": {}}}, doc! {"a": [{}]}, true);
    check(doc! {"a": {"$elemMatch": {"0": 1}}}, doc! {"a": [[1, 2]]}, true);
    check(doc! {"a.b": {"$elemMatch": {"$gt": 1}}}, doc! {"a": [{"b": [2]}]}, true);
    check(doc! {"a": {"$not": {"$elemMatch": {"b": 1}}}}, doc! {"a": [{"b": 2}]}, true);
    check_refused(doc! {"a": {"$all": 1}}, 2, "$all needs an array");
    check_refused(doc! {"a": {"$all": [{"$gt": 1}]}}, 2, "no $ expressions in $all");
    check_refused(doc! {"a": {"$all": [1, {"$elemMatch": {}}]}}, 2, "no $ expressions in $all");
    check_refused(doc! {"a": {"$size": -1}}, 2, "Expected a non-negative number");
    check_refused(doc! {"a": {"$size": 1.5}}, 2, "Expected an integer");
    check_refused(doc! {"a": {"$size": "1"}}, 2, "Expected a number");
    check_refused(doc! {"a": {"$elemMatch": 1}}, 2, "$elemMatch needs an Object");
}

#[test]
fn remainders_and_bits() {
    check(doc! {"a": {"$mod": [4, 1]}}, doc! {"a": 9}, true);
    check(doc! {"a": {"$mod": [4, 1]}}, doc! {"a": 9.7}, true);
    check(doc! {"a": {"$mod": [4, 1]}}, doc! {"a": "9"}, false);
    check(doc! {"a": {"$mod": [4, -1]}}, doc! {"a": -9}, true);
    check(doc! {"a": {"$mod": [4, 0]}}, doc! {"a": f64::NAN}, false);
    check(doc! {"a": {"$mod": [4, 0]}}, doc! {"a": f64::INFINITY}, false);
    check(doc! {"a": {"$mod": [-1, 0]}}, doc! {"a": i64::MIN}, true);
    check(doc! {"a": {"$mod": [4.9, 1]}}, doc! {"a": 5}, true);
    check_refused(doc! {"a": {"$mod": [0, 1]}}, 2, "divisor cannot be 0");
    check_refused(doc! {"a": {"$mod": [1]}}, 2, "not enough elements");
    check_refused(doc! {"a": {"$mod": [1, 2, 3]}}, 2, "too many elements");
    check_refused(doc! {"a": {"$mod": 1}}, 2, "needs to be an array");
    check_refused(doc! {"a": {"$mod": ["a", 2]}}, 2, "divisor not a number");
    let bytes =
        |bytes: &[u8]| bson::Binary { subtype: bson::spec::BinarySubtype::Generic, bytes: bytes.to_vec() };
    check(doc! {"a": {"$bitsAllSet": 5}}, doc! {"a": 7}, true);
    check(doc! {"a": {"$bitsAllSet": 5}}, doc! {"a": 4}, false);
    check(doc! {"a": {"$bitsAnySet": 5}}, doc! {"a": 4}, true);
    check(doc! {"a": {"$bitsAllClear": [0, 2]}}, doc! {"a": 2}, true);
    check(doc! {"a": {"$bitsAnyClear": [0, 1]}}, doc! {"a": 3}, false);
    check(doc! {"a": {"$bitsAllSet": [70]}}, doc! {"a": -1}, true);
    check(doc! {"a": {"$bitsAllSet": [70]}}, doc! {"a": 1}, false);
    check(doc! {"a": {"$bitsAllSet": [9]}}, doc! {"a": bytes(&[0, 2])}, true);
    check(doc! {"a": {"$bitsAllClear": [900]}}, doc! {"a": bytes(&[0, 2])}, true);
    check(doc! {"a": {"$bitsAllSet": bytes(&[0, 2])}}, doc! {"a": 512}, true);
    check(doc! {"a": {"$bitsAllSet": 1}}, doc! {"a": 1.5}, false);
    check(doc! {"a": {"$bitsAllSet": 1}}, doc! {"a": "x"}, false);
    check_refused(doc! {"a": {"$bitsAllSet": -1}}, 9, "non-negative");
    check_refused(doc! {"a": {"$bitsAllSet": 1.5}}, 9, "an integer");
    check_refused(doc! {"a": {"$bitsAllSet": "x"}}, 2, "takes an Array, a number, or a BinData");
    check_refused(doc! {"a": {"$bitsAllSet": [-1]}}, 9, "non-negative");
}

#[test]
fn regular_expressions() {
    check(doc! {"a": regex("^ab", "")}, doc! {"a": "abc"}, true);
    check(doc! {"a": regex("^AB", "i")}, doc! {"a": ["x", "abc"]}, true);
    check(doc! {"a": regex("ab", "")}, doc! {"a": 1}, false);
    check(doc! {"a": regex("ab", "")}, doc! {"a": regex("ab", "")}, true);
    check(doc! {"a": regex("ab", "")}, doc! {"a": regex("ab", "i")}, false);
    check(doc! {"a": {"$eq": regex("ab", "")}}, doc! {"a": "ab"}, false);
    check(doc! {"a": {"$eq": regex("ab", "")}}, doc! {"a": regex("ab", "")}, true);
    check(doc! {"a": {"$regex": "A", "$options": "i"}}, doc! {"a": "a"}, true);
    check(doc! {"a": {"$options": "i", "$regex": "A"}}, doc! {"a": "a"}, true);
    check(doc! {"a": {"$regex": regex("A", "i")}}, doc! {"a": "a"}, true);
    check(doc! {"a": {"$regex": regex("A", ""), "$options": "i"}}, doc! {"a": "a"}, true);
    check(doc! {"a": {"$regex": "a b", "$options": "x"}}, doc! {"a": "ab"}, true);
    check(doc! {"a": {"$regex": "a.b", "$options": "s"}}, doc! {"a": "a\nb"}, true);
    check(doc! {"a": {"$regex": "a.b"}}, doc! {"a": "a\nb"}, false);
    check(doc! {"a": {"$regex": "^b", "$options": "m"}}, doc! {"a": "a\nb"}, true);
    check(doc! {"a": {"$regex": "b$"}}, doc! {"a": "b\n"}, true);
    check(doc! {"a": {"$regex": "b$"}}, doc! {"a": "b\nc"}, false);
    check(doc! {"a": {"$regex": "b$", "$options": "m"}}, doc! {"a": "b\nc"}, true);
    check(doc! {"a": {"$regex": "^(a+)+$"}}, doc! {"a": format!("{}b", "a".repeat(5_000))}, false);
    // where PCRE and the regex crate differ
    check(doc! {"a": {"$regex": "^\\d$"}}, doc! {"a": "٣"}, false);
    check(doc! {"a": {"$regex": "^\\w+$"}}, doc! {"a": "a_9"}, true);
    check(doc! {"a": {"$regex": "^[\\w-]+$"}}, doc! {"a": "a-b"}, true);
    check(doc! {"a": {"$regex": "^[a[b]+$"}}, doc! {"a": "a[b"}, true);
    check(doc! {"a": {"$regex": "^[]a]+$"}}, doc! {"a": "]a"}, true);
    check(doc! {"a": {"$regex": "^[^]]$"}}, doc! {"a": "]"}, false);
    check(doc! {"a": {"$regex": "^[[:alpha:]&&]+$"}}, doc! {"a": "a&"}, true);
    check(doc! {"a": {"$regex": "a{,2}"}}, doc! {"a": "a{,2}"}, true);
    check(doc! {"a": {"$regex": "a{x}"}}, doc! {"a": "a{x}"}, true);
    check(doc! {"a": {"$regex": "^a{2}$"}}, doc! {"a": "aa"}, true);
    check(doc! {"a": {"$regex": "\\<b\\>"}}, doc! {"a": "<b>"}, true);
    check(doc! {"a": {"$regex": "\\bfoo\\b"}}, doc! {"a": "a foo b"}, true);
    check(doc! {"a": {"$regex": "^\\Qa.b\\E$"}}, doc! {"a": "a.b"}, true);
    check(doc! {"a": {"$regex": "^\\Qa.b\\E$"}}, doc! {"a": "axb"}, false);
    check(doc! {"a": {"$regex": "a(?#comment)b"}}, doc! {"a": "ab"}, true);
    check(doc! {"a": {"$regex": "^[a b]+$", "$options": "x"}}, doc! {"a": "a b"}, true);
    check(doc! {"a": {"$regex": "\\/x\\/"}}, doc! {"a": "/x/"}, true);
    check(doc! {"a": {"$regex": "^\\x41\\t$"}}, doc! {"a": "A\t"}, true);
    check(doc! {"a": {"$regex": "(?i)ABC"}}, doc! {"a": "abc"}, true);
    for pattern in
        ["(?=x)", "(?!x)", "(?<=x)a", "(?<!x)a", "(a)\\1", "a++", "(?>a)", "(?R)", "\\k<n>", "(", "[a", "*a"]
    {
        check_refused(doc! {"a": {"$regex": pattern}}, 51091, "Regular expression is invalid");
    }
    check_refused(doc! {"a": {"$regex": "a".repeat(40_000)}}, 51091, "too large");
    check_refused(doc! {"a": {"$regex": "((a{1000}){1000}){1000}"}}, 51091, "too large");
    check_refused(doc! {"a": {"$regex": "a", "$options": "g"}}, 51108, "invalid flag in regex options: g");
    check_refused(doc! {"a": {"$options": "i"}}, 2, "$options needs a $regex");
    check_refused(doc! {"a": {"$regex": 1}}, 2, "$regex has to be a string");
    check_refused(doc! {"a": {"$regex": "a", "$options": 1}}, 2, "$options has to be a string");
    check_refused(doc! {"a": {"$regex": regex("a", "i"), "$options": "m"}}, 51075, "options set in both");
}

#[test]
fn text_that_is_not_utf8() {
    let doc = RawDocumentBuf::from_bytes(b"\x10\0\0\0\x02a\0\x04\0\0\0a\xfe\xfd\0\0".to_vec()).unwrap();
    let matches = |filter| parse(filter).unwrap().matches(&doc);
    assert!(matches(doc! {"a": {"$exists": true}}).unwrap());
    assert!(matches(doc! {"a": {"$type": "string"}}).unwrap());
    assert!(matches(doc! {"a": regex("^a", "")}).unwrap());
    assert!(!matches(doc! {"a": 1}).unwrap());
    assert_eq!(matches(doc! {"a": "x"}).unwrap_err().code, types::Code::InvalidBSON);
}

#[track_caller]
fn check_position(filter: Document, doc: Document, expected: Option<Option<usize>>) {
    let found = parse(filter.clone()).unwrap().matches_with_position(&raw(doc.clone())).unwrap();
    assert_eq!(found, expected.map(|index| Position { index }), "{filter} on {doc}");
}

#[test]
fn positions() {
    check_position(doc! {"a": 5}, doc! {"a": [1, 5]}, Some(Some(1)));
    check_position(doc! {"a": 5}, doc! {"a": 5}, Some(None));
    check_position(doc! {"a": 6}, doc! {"a": [1, 5]}, None);
    check_position(doc! {"a.b": 5}, doc! {"a": [{"b": 1}, {"b": [4, 5]}]}, Some(Some(1)));
    check_position(doc! {"a": {"$elemMatch": {"b": 2}}}, doc! {"a": [{"b": 1}, {"b": 2}]}, Some(Some(1)));
    check_position(doc! {"a": {"$elemMatch": {"$gt": 2}}}, doc! {"a": [1, 2, 3]}, Some(Some(2)));
    check_position(doc! {"a": {"$gt": 1}, "b": 7}, doc! {"a": [1, 2], "b": [7]}, Some(Some(0)));
    check_position(doc! {"a": [1, 5]}, doc! {"a": [1, 5]}, Some(None));
    check_position(doc! {"a.1": 5}, doc! {"a": [1, 5]}, Some(None));
    check_position(doc! {"$or": [{"a": 9}, {"a": 5}]}, doc! {"a": [1, 5]}, Some(Some(1)));
}

#[test]
fn equalities_for_upserts() {
    let found = |filter| {
        let list = parse(filter).unwrap().equalities();
        list.into_iter().map(|(path, value)| (path, Bson::try_from(value).unwrap())).collect::<Document>()
    };
    assert_eq!(
        found(
            doc! {"a": 1, "b.c": {"$eq": "x"}, "$and": [{"d": {"$in": [3]}}], "e": {"$gt": 1}, "$or": [{"f": 1}, {"g": 1}]}
        ),
        doc! {"a": 1, "b.c": "x", "d": 3}
    );
    assert_eq!(found(doc! {"$or": [{"f": 1}], "g": {"$all": [2]}}), doc! {"f": 1, "g": 2});
    assert_eq!(found(doc! {"a": {"$not": {"$eq": 1}}, "b": regex("a", "")}), doc! {});
}

#[test]
fn large_filters_are_fast() {
    let branches: Vec<Document> = (0..100_000).map(|i| doc! {"a": i}).collect();
    let values: Vec<i32> = (0..1_000_000).rev().collect();
    for matcher in [parse(doc! {"$or": branches}).unwrap(), parse(doc! {"a": {"$in": values}}).unwrap()] {
        assert!(matcher.matches(&raw(doc! {"a": 99_999})).unwrap());
        for value in 0..1_000 {
            assert!(!matcher.matches(&raw(doc! {"a": -1 - value})).unwrap());
        }
    }
    let mut deep = doc! {"a": 1};
    for _ in 0..99 {
        deep = doc! {"$or": [deep, {"b": 1}]};
    }
    assert!(parse(deep.clone()).is_ok());
    check_refused(doc! {"$and": [deep]}, 2, "depth");
}
