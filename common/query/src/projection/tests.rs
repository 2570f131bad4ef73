//! One row per behaviour: projection, document, result.

use super::Projection;
use crate::context::ParseContext;
use crate::matcher::Matcher;
use bson::{Bson, Document, RawDocumentBuf, doc};

fn raw(doc: Document) -> RawDocumentBuf {
    RawDocumentBuf::try_from(&doc).unwrap()
}

#[track_caller]
fn check(spec: Document, doc: Document, expected: Document) {
    let projection = Projection::parse(&raw(spec.clone()), &ParseContext::default(), None).unwrap();
    let projected = projection.apply(&raw(doc.clone()), None).unwrap();
    assert_eq!(Document::try_from(projected).unwrap(), expected, "{spec} on {doc}");
}

#[track_caller]
fn check_refused(spec: Document, code: i32) {
    let filter = Matcher::all();
    let fault = Projection::parse(&raw(spec.clone()), &ParseContext::default(), Some(&filter)).unwrap_err();
    assert_eq!(fault.code.number(), code, "{spec}: {fault}");
}

#[track_caller]
fn check_positional(spec: Document, filter: Document, doc: Document, expected: Result<Document, i32>) {
    let ctx = ParseContext::default();
    let filter = Matcher::parse(&raw(filter), &ctx).unwrap();
    let projection = Projection::parse(&raw(spec.clone()), &ctx, Some(&filter)).unwrap();
    assert!(projection.needs_position());
    let position = filter.matches_with_position(&raw(doc.clone())).unwrap();
    let found = projection.apply(&raw(doc.clone()), position);
    let found = found.map(|found| Document::try_from(found).unwrap()).map_err(|fault| fault.code.number());
    assert_eq!(found, expected, "{spec} on {doc}");
}

#[test]
fn inclusion() {
    let doc = || doc! {"_id": 1, "a": 2, "b": {"c": 3, "d": 4}, "e": [{"c": 5, "d": 6}, 7, [{"c": 8}, 9]]};
    check(doc! {}, doc(), doc());
    check(doc! {"a": 1}, doc(), doc! {"_id": 1, "a": 2});
    check(doc! {"a": true, "_id": 0}, doc(), doc! {"a": 2});
    check(doc! {"_id": 1}, doc(), doc! {"_id": 1});
    check(doc! {"b": 1, "a": 1}, doc(), doc! {"_id": 1, "a": 2, "b": {"c": 3, "d": 4}});
    check(doc! {"b.c": 1}, doc(), doc! {"_id": 1, "b": {"c": 3}});
    check(doc! {"b": {"c": 1}}, doc(), doc! {"_id": 1, "b": {"c": 3}});
    check(doc! {"b.x": 1}, doc(), doc! {"_id": 1, "b": {}});
    check(doc! {"a.x": 1}, doc(), doc! {"_id": 1});
    check(doc! {"e.c": 1}, doc(), doc! {"_id": 1, "e": [{"c": 5}, [{"c": 8}]]});
    check(doc! {"e.0": 1}, doc(), doc! {"_id": 1, "e": [{}, [{}]]});
    check(doc! {"nope": 1}, doc(), doc! {"_id": 1});
    check(doc! {"_id.x": 1}, doc! {"_id": {"x": 1, "y": 2}, "a": 1}, doc! {"_id": {"x": 1}});
}

#[test]
fn exclusion() {
    let doc = || doc! {"_id": 1, "a": 2, "b": {"c": 3, "d": 4}, "e": [{"c": 5, "d": 6}, 7]};
    check(doc! {"a": 0, "e": 0}, doc(), doc! {"_id": 1, "b": {"c": 3, "d": 4}});
    check(doc! {"_id": 0}, doc! {"_id": 1, "a": 2}, doc! {"a": 2});
    check(doc! {"_id": 1, "a": 0}, doc! {"_id": 1, "a": 2, "b": 3}, doc! {"_id": 1, "b": 3});
    check(doc! {"b.c": 0, "a": 0, "e.d": 0}, doc(), doc! {"_id": 1, "b": {"d": 4}, "e": [{"c": 5}, 7]});
    check(doc! {"a.x": 0}, doc! {"a": 2}, doc! {"a": 2});
}

#[test]
fn computed() {
    check(doc! {"x": "$a"}, doc! {"_id": 1, "a": 2}, doc! {"_id": 1, "x": 2});
    check(doc! {"x": "text", "a": 1}, doc! {"_id": 1, "a": 2}, doc! {"_id": 1, "a": 2, "x": "text"});
    check(doc! {"x": "$nope"}, doc! {"_id": 1, "a": 2}, doc! {"_id": 1});
    check(doc! {"x.y": {"$literal": 1}}, doc! {"_id": 1}, doc! {"_id": 1, "x": {"y": 1}});
    check(doc! {"x.y": {"$literal": 1}}, doc! {"x": [5, {"z": 1}]}, doc! {"x": [{"y": 1}, {"y": 1}]});
    check(doc! {"x.y": {"$literal": 1}}, doc! {"x": 5, "a": 1}, doc! {"x": {"y": 1}});
    check(doc! {"x": Bson::Null}, doc! {"_id": 1}, doc! {"_id": 1, "x": Bson::Null});
}

#[test]
fn slices() {
    let doc = || doc! {"_id": 1, "a": [1, 2, 3, 4], "b": 5};
    check(doc! {"a": {"$slice": 2}}, doc(), doc! {"_id": 1, "a": [1, 2], "b": 5});
    check(doc! {"a": {"$slice": -1}}, doc(), doc! {"_id": 1, "a": [4], "b": 5});
    check(doc! {"a": {"$slice": 0}}, doc(), doc! {"_id": 1, "a": [], "b": 5});
    check(doc! {"a": {"$slice": [1, 2]}}, doc(), doc! {"_id": 1, "a": [2, 3], "b": 5});
    check(doc! {"a": {"$slice": [-3, 2]}}, doc(), doc! {"_id": 1, "a": [2, 3], "b": 5});
    check(doc! {"a": {"$slice": [-9, 2]}}, doc(), doc! {"_id": 1, "a": [1, 2], "b": 5});
    check(doc! {"a": {"$slice": [9, 2]}}, doc(), doc! {"_id": 1, "a": [], "b": 5});
    check(doc! {"a": {"$slice": i64::MIN}}, doc(), doc());
    check(doc! {"a": {"$slice": 1}, "_id": 1}, doc(), doc! {"_id": 1, "a": [1]});
    check(doc! {"a": {"$slice": 1}, "b": 1}, doc(), doc! {"_id": 1, "a": [1], "b": 5});
    check(doc! {"a": {"$slice": 1}, "b": 0}, doc(), doc! {"_id": 1, "a": [1]});
    check(doc! {"b": {"$slice": 1}}, doc(), doc());
    check(
        doc! {"x.a": {"$slice": 1}},
        doc! {"x": [{"a": [1, 2]}, {"a": [3, 4]}]},
        doc! {"x": [{"a": [1]}, {"a": [3]}]},
    );
}

#[test]
fn elements() {
    let doc = || doc! {"_id": 1, "a": [{"x": 1}, {"x": 2, "y": 1}, {"x": 2}], "b": 5, "c": [1, 8, 9]};
    check(doc! {"a": {"$elemMatch": {"x": 2}}}, doc(), doc! {"_id": 1, "a": [{"x": 2, "y": 1}]});
    check(doc! {"c": {"$elemMatch": {"$gt": 5}}, "b": 1}, doc(), doc! {"_id": 1, "b": 5, "c": [8]});
    check(doc! {"a": {"$elemMatch": {"x": 3}}}, doc(), doc! {"_id": 1});
    check(doc! {"b": {"$elemMatch": {"x": 3}}}, doc(), doc! {"_id": 1});
    check(doc! {"c": {"$elemMatch": {"$gt": 5}}, "_id": 0}, doc(), doc! {"c": [8]});
    check(doc! {"c": {"$elemMatch": {"$gt": 5}}, "a": 0}, doc(), doc! {"_id": 1, "b": 5, "c": [8]});
}

#[test]
fn positional() {
    check_positional(
        doc! {"a.$": 1},
        doc! {"a": 5},
        doc! {"_id": 1, "a": [4, 5], "b": 1},
        Ok(doc! {"_id": 1, "a": [5]}),
    );
    check_positional(
        doc! {"a.b.$": 1, "c": 1},
        doc! {"a.b": {"$gt": 1}},
        doc! {"a": {"b": [1, 2, 3], "x": 1}, "c": 2},
        Ok(doc! {"a": {"b": [2]}, "c": 2}),
    );
    check_positional(
        doc! {"a.b.$": 1},
        doc! {"a.b": 2},
        doc! {"a": [{"b": 1, "c": 1}, {"b": 2, "c": 2}]},
        Ok(doc! {"a": [{"b": 2}]}),
    );
    check_positional(doc! {"a.$": 1}, doc! {"b": 1}, doc! {"a": [4, 5], "b": 1}, Err(51246));
    check_positional(doc! {"a.$": 1}, doc! {"b": 1}, doc! {"a": 4, "b": 1}, Ok(doc! {"a": 4}));
}

#[test]
fn refused() {
    check_refused(doc! {"a": 1, "b": 0}, 31254);
    check_refused(doc! {"a": 0, "b": 1}, 31253);
    check_refused(doc! {"a": 1, "a.b": 1}, 31249);
    check_refused(doc! {"a.b": 1, "a": 1}, 31250);
    check_refused(doc! {"a": {"b": 1}, "a.b": 1}, 31250);
    check_refused(doc! {"a": 0, "b": "$c"}, 31252);
    check_refused(doc! {"a": {}}, 51270);
    check_refused(doc! {"": 1}, 40352);
    check_refused(doc! {"a.": 1}, 40353);
    check_refused(doc! {"a..b": 1}, 15998);
    check_refused(doc! {"$a": 1}, 16410);
    check_refused(doc! {"a": {"$meta": "textScore"}}, 238);
    check_refused(doc! {"a": {"$slice": [1, 0]}}, 28724);
    check_refused(doc! {"a.$": 1, "b.$": 1}, 31276);
    check_refused(doc! {"a.$": 0}, 31395);
    check_refused(doc! {"a.$.b": 1}, 31394);
    check_refused(doc! {"a.$": 1, "b": {"$elemMatch": {"x": 1}}}, 31256);
    check_refused(doc! {"a.b": {"$elemMatch": {"x": 1}}}, 31275);
    check_refused(doc! {"a": {"$elemMatch": 1}}, 31274);
    let fault = Projection::parse(&raw(doc! {"a.$": 1}), &ParseContext::default(), None).unwrap_err();
    assert_eq!(fault.code.number(), 51050);
}

#[test]
fn text_that_is_not_utf8_passes_through() {
    let doc = RawDocumentBuf::from_bytes(b"\x10\0\0\0\x02a\0\x04\0\0\0a\xfe\xfd\0\0".to_vec()).unwrap();
    let projection = Projection::parse(&raw(doc! {"a": 1}), &ParseContext::default(), None).unwrap();
    assert_eq!(projection.apply(&doc, None).unwrap().as_bytes(), doc.as_bytes());
}
