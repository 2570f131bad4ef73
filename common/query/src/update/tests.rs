//! What updates do, row by row.

use super::*;
use bson::{Bson, Document, doc};
use types::Fault;

const NOW: i64 = 1_700_000_000_123;

fn shared(doc: &Document) -> SharedDoc {
    RawDocumentBuf::try_from(doc).unwrap().into()
}

fn modification(update: &Bson) -> Modification {
    match update {
        Bson::Document(doc) => Modification::Document(shared(doc)),
        Bson::Array(stages) => {
            Modification::Pipeline(stages.iter().map(|stage| shared(stage.as_document().unwrap())).collect())
        }
        other => panic!("no update: {other}"),
    }
}

fn parse(update: impl Into<Bson>, filters: &[Document]) -> Result<Update, Fault> {
    let filters: Vec<SharedDoc> = filters.iter().map(shared).collect();
    Update::parse(UpdateSpec::new(&modification(&update.into()), &filters), &ParseContext::at(NOW))
}

fn run(
    update: impl Into<Bson>,
    filters: &[Document],
    doc: &Document,
    at: Option<usize>,
) -> Result<Outcome, Fault> {
    parse(update, filters)?.apply(&shared(doc), Some(Position { index: at }), false)
}

fn check(update: impl Into<Bson>, doc: Document, expected: Document) {
    check_with(update, &[], doc, None, expected);
}

fn check_with(
    update: impl Into<Bson>,
    filters: &[Document],
    doc: Document,
    at: Option<usize>,
    expected: Document,
) {
    let update = update.into();
    let outcome =
        run(update.clone(), filters, &doc, at).unwrap_or_else(|fault| panic!("{update} on {doc}: {fault}"));
    let new = Document::try_from(&*outcome.doc).unwrap();
    assert_eq!(new.to_string(), expected.to_string(), "{update} on {doc}");
    assert_eq!(new, expected, "{update} on {doc}");
    assert_eq!(
        outcome.modified,
        doc != expected || doc.to_string() != expected.to_string(),
        "{update} on {doc}"
    );
}

fn check_fault(update: impl Into<Bson>, doc: Document, code: i32) {
    check_fault_with(update, &[], doc, code, "");
}

fn check_fault_with(update: impl Into<Bson>, filters: &[Document], doc: Document, code: i32, message: &str) {
    let update = update.into();
    match run(update.clone(), filters, &doc, None) {
        Ok(outcome) => panic!("{update} on {doc} gave {:?}", outcome.doc),
        Err(fault) => {
            assert_eq!(fault.code.number(), code, "{update} on {doc}: {fault}");
            assert!(fault.message.contains(message), "{update} on {doc}: {fault}");
        }
    }
}

#[test]
fn fields_are_set() {
    check(doc! {"$set": {"a": 1}}, doc! {"_id": 1}, doc! {"_id": 1, "a": 1});
    check(doc! {"$set": {"a": 1}}, doc! {"a": 1}, doc! {"a": 1});
    check(doc! {"$set": {"a": 1_i64}}, doc! {"a": 1}, doc! {"a": 1_i64});
    check(doc! {"$set": {"a": 2}}, doc! {"a": 1, "b": 3}, doc! {"a": 2, "b": 3});
    check(doc! {"$set": {"a.b.c": 2}}, doc! {"x": 0}, doc! {"x": 0, "a": {"b": {"c": 2}}});
    check(doc! {"$set": {"a.b": 2}}, doc! {"a": {"c": 1}}, doc! {"a": {"c": 1, "b": 2}});
    check(doc! {"$set": {"a.1": 2}}, doc! {"a": [1, 1, 1]}, doc! {"a": [1, 2, 1]});
    check(doc! {"$set": {"a.3": 2}}, doc! {"a": [1]}, doc! {"a": [1, Bson::Null, Bson::Null, 2]});
    check(doc! {"$set": {"a.0.b": 2}}, doc! {"a": []}, doc! {"a": [{"b": 2}]});
    check(doc! {"$set": {"a.0": 2}}, doc! {}, doc! {"a": {"0": 2}});
    check(doc! {"$set": {}}, doc! {"a": 1}, doc! {"a": 1});
    // New fields come in the order of their names, numbers by value.
    check(
        doc! {"$set": {"z": 1, "b": 1, "10": 1, "9": 1}, "$inc": {"m": 1}},
        doc! {"_id": 0},
        doc! {"_id": 0, "9": 1, "10": 1, "b": 1, "m": 1, "z": 1},
    );
    check(doc! {"$unset": {"a": "", "b.c": 1, "no.way": 1}}, doc! {"a": 1, "b": {"c": 1}}, doc! {"b": {}});
    check(doc! {"$unset": {"a.1": 1}}, doc! {"a": [1, 2, 3]}, doc! {"a": [1, Bson::Null, 3]});
    check(doc! {"$unset": {"a.b": 1}}, doc! {"a": 5}, doc! {"a": 5});
    check(doc! {"$unset": {"a.x": 1}}, doc! {"a": [1]}, doc! {"a": [1]});
    check(doc! {"$setOnInsert": {"a": 1, "b.c": 1}}, doc! {"b": 1}, doc! {"b": 1});
}

#[test]
fn numbers_are_counted() {
    check(doc! {"$inc": {"a": 2}}, doc! {"a": 1}, doc! {"a": 3});
    check(doc! {"$inc": {"a": 2.5}}, doc! {"a": 1}, doc! {"a": 3.5});
    check(doc! {"$inc": {"a": 1}}, doc! {"a": i32::MAX}, doc! {"a": 2_147_483_648_i64});
    check(doc! {"$inc": {"a": 0}}, doc! {"a": 1}, doc! {"a": 1});
    check(doc! {"$inc": {"a": 0_i64}}, doc! {"a": 1}, doc! {"a": 1_i64});
    check(doc! {"$inc": {"a.b": 4}}, doc! {}, doc! {"a": {"b": 4}});
    check(doc! {"$mul": {"a": 3, "b": 2_i64, "c": 2.0}}, doc! {"a": 2}, doc! {"a": 6, "b": 0_i64, "c": 0.0});
    check(doc! {"$min": {"a": 3, "b": 1}}, doc! {"a": 5}, doc! {"a": 3, "b": 1});
    check(doc! {"$min": {"a": 7}}, doc! {"a": 5}, doc! {"a": 5});
    check(doc! {"$max": {"a": "x"}}, doc! {"a": 5}, doc! {"a": "x"});
    check(doc! {"$max": {"a": 5.0}}, doc! {"a": 5}, doc! {"a": 5});
    check(doc! {"$bit": {"a": {"and": 10, "or": 1}}}, doc! {"a": 12}, doc! {"a": 9});
    check(doc! {"$bit": {"a": {"xor": 1_i64}}}, doc! {"a": 3}, doc! {"a": 2_i64});
    check(doc! {"$bit": {"a": {"or": 4}}}, doc! {}, doc! {"a": 4});
    let date = bson::DateTime::from_millis(NOW);
    let stamp = bson::Timestamp { time: 1_700_000_000, increment: 1 };
    check(
        doc! {"$currentDate": {"a": true, "b": {"$type": "date"}, "c": {"$type": "timestamp"}}},
        doc! {},
        doc! {"a": date, "b": date, "c": stamp},
    );
}

#[test]
fn fields_are_renamed() {
    check(doc! {"$rename": {"a": "b"}}, doc! {"a": 1, "c": 2}, doc! {"c": 2, "b": 1});
    check(doc! {"$rename": {"a": "b"}}, doc! {"a": 1, "b": 2}, doc! {"b": 1});
    check(doc! {"$rename": {"a": "x.y"}}, doc! {"a": 1}, doc! {"x": {"y": 1}});
    check(doc! {"$rename": {"x.y": "a"}}, doc! {"x": {"y": 1}}, doc! {"x": {}, "a": 1});
    check(doc! {"$rename": {"a": "b"}}, doc! {"c": 1}, doc! {"c": 1});
    check(doc! {"$rename": {"a": "b.c"}}, doc! {"b": 1}, doc! {"b": 1});
    check_fault(doc! {"$rename": {"a": "b.c"}}, doc! {"a": 1, "b": 1}, 28);
    check_fault(doc! {"$rename": {"a.b": "c"}}, doc! {"a": [{"b": 1}]}, 2);
    check_fault(doc! {"$rename": {"c": "a.0"}}, doc! {"a": [1], "c": 1}, 2);
    check_fault(doc! {"$rename": {"a": "a"}}, doc! {}, 2);
    check_fault(doc! {"$rename": {"a": "a.b"}}, doc! {}, 2);
    check_fault(doc! {"$rename": {"a": 1}}, doc! {}, 2);
    check_fault(doc! {"$rename": {"a": "b", "b": "c"}}, doc! {}, 40);
    check_fault(doc! {"$rename": {"a.$": "b"}}, doc! {}, 2);
}

#[test]
fn arrays_grow() {
    check(doc! {"$push": {"a": 3}}, doc! {"a": [1, 2]}, doc! {"a": [1, 2, 3]});
    check(doc! {"$push": {"a": 3}}, doc! {}, doc! {"a": [3]});
    check(doc! {"$push": {"a": [3]}}, doc! {"a": []}, doc! {"a": [[3]]});
    check(doc! {"$push": {"a": {"$each": [3, 4]}}}, doc! {"a": [1]}, doc! {"a": [1, 3, 4]});
    check(doc! {"$push": {"a": {"$each": []}}}, doc! {"a": [1]}, doc! {"a": [1]});
    check(doc! {"$push": {"a": {"$each": []}}}, doc! {}, doc! {"a": []});
    check(doc! {"$push": {"a": {"$each": [9], "$position": 1}}}, doc! {"a": [1, 2]}, doc! {"a": [1, 9, 2]});
    check(doc! {"$push": {"a": {"$each": [9], "$position": -1}}}, doc! {"a": [1, 2]}, doc! {"a": [1, 9, 2]});
    check(doc! {"$push": {"a": {"$each": [9], "$position": 99}}}, doc! {"a": [1]}, doc! {"a": [1, 9]});
    check(
        doc! {"$push": {"a": {"$each": [2], "$sort": -1, "$slice": 2}}},
        doc! {"a": [1, 3]},
        doc! {"a": [3, 2]},
    );
    check(doc! {"$push": {"a": {"$each": [], "$slice": -2}}}, doc! {"a": [1, 2, 3]}, doc! {"a": [2, 3]});
    check(doc! {"$push": {"a": {"$each": [1], "$slice": 0}}}, doc! {"a": [1]}, doc! {"a": []});
    check(
        doc! {"$push": {"a": {"$each": [{"s": 2}], "$sort": {"s": 1}}}},
        doc! {"a": [{"s": 3}, {"s": 1}]},
        doc! {"a": [{"s": 1}, {"s": 2}, {"s": 3}]},
    );
    let long: Vec<i32> = (0..12).collect();
    let longer: Vec<i32> = (0..13).collect();
    check(doc! {"$push": {"a": 12}}, doc! {"a": long}, doc! {"a": longer});
    check(doc! {"$addToSet": {"a": 2}}, doc! {"a": [1]}, doc! {"a": [1, 2]});
    check(doc! {"$addToSet": {"a": 1.0}}, doc! {"a": [1]}, doc! {"a": [1]});
    check(doc! {"$addToSet": {"a": {"$each": [1, 2, 2, 3]}}}, doc! {"a": [1]}, doc! {"a": [1, 2, 3]});
    check(doc! {"$addToSet": {"a": {"$each": []}}}, doc! {}, doc! {"a": []});
    check(doc! {"$addToSet": {"a": [1]}}, doc! {"a": [1]}, doc! {"a": [1, [1]]});
}

#[test]
fn arrays_shrink() {
    check(doc! {"$pop": {"a": 1}}, doc! {"a": [1, 2, 3]}, doc! {"a": [1, 2]});
    check(doc! {"$pop": {"a": -1}}, doc! {"a": [1, 2, 3]}, doc! {"a": [2, 3]});
    check(doc! {"$pop": {"a": 1, "b": 1}}, doc! {"a": []}, doc! {"a": []});
    check(doc! {"$pull": {"a": 1}}, doc! {"a": [1, 2, 1.0]}, doc! {"a": [2]});
    check(doc! {"$pull": {"a": {"$gte": 2}}}, doc! {"a": [1, 2, 3]}, doc! {"a": [1]});
    check(doc! {"$pull": {"a": {"$gte": 2}}}, doc! {"a": [1, [3]]}, doc! {"a": [1, [3]]});
    check(
        doc! {"$pull": {"a": {"b": 1}}},
        doc! {"a": [{"b": 1, "c": 2}, {"b": 2}, 1]},
        doc! {"a": [{"b": 2}, 1]},
    );
    check(doc! {"$pull": {"a": {"b": {"$lt": 2}}}}, doc! {"a": [{"b": 1}, {"b": 2}]}, doc! {"a": [{"b": 2}]});
    check(doc! {"$pull": {"a": {"$in": [1, "x"]}}}, doc! {"a": [1, 2, "x"]}, doc! {"a": [2]});
    check(doc! {"$pull": {"a": [1]}}, doc! {"a": [1, [1]]}, doc! {"a": [1]});
    let regex = Bson::RegularExpression(bson::Regex {
        pattern: "^x".try_into().unwrap(),
        options: "".try_into().unwrap(),
    });
    check(doc! {"$pull": {"a": regex}}, doc! {"a": ["xy", "y", 1]}, doc! {"a": ["y", 1]});
    check(doc! {"$pullAll": {"a": [1, 3]}}, doc! {"a": [1, 2, 3.0]}, doc! {"a": [2]});
    check(doc! {"$pull": {"no": 1}}, doc! {"a": 1}, doc! {"a": 1});
    check(doc! {"$pull": {"a": 9}}, doc! {"a": [1]}, doc! {"a": [1]});
}

#[test]
fn elements_are_found() {
    let scores = doc! {"a": [1, 5, 9]};
    check_with(doc! {"$set": {"a.$": 0}}, &[], scores.clone(), Some(1), doc! {"a": [1, 0, 9]});
    check_with(doc! {"$inc": {"a.$[]": 1}}, &[], scores.clone(), None, doc! {"a": [2, 6, 10]});
    let filter = [doc! {"e": {"$gte": 5}}];
    check_with(doc! {"$set": {"a.$[e]": 0}}, &filter, scores.clone(), None, doc! {"a": [1, 0, 0]});
    check_with(
        doc! {"$set": {"a.$[e].v": 0}},
        &[doc! {"e.k": "x", "e.n": {"$gt": 1}}],
        doc! {"a": [{"k": "x", "n": 2}, {"k": "x", "n": 1}]},
        None,
        doc! {"a": [{"k": "x", "n": 2, "v": 0}, {"k": "x", "n": 1}]},
    );
    check_with(
        doc! {"$inc": {"a.$[].b.$[e]": 10}},
        &filter,
        doc! {"a": [{"b": [1, 5]}, {"b": [7]}]},
        None,
        doc! {"a": [{"b": [1, 15]}, {"b": [17]}]},
    );
    check_with(
        doc! {"$set": {"a.$.b": 1, "a.1.c": 2}},
        &[],
        doc! {"a": [{}, {}]},
        Some(1),
        doc! {"a": [{}, {"b": 1, "c": 2}]},
    );
    check_fault(doc! {"$set": {"a.$": 0}}, scores.clone(), 2);
    check_fault(doc! {"$set": {"a.$[]": 0}}, doc! {"a": 1}, 2);
    check_fault(doc! {"$set": {"a.$[]": 0}}, doc! {}, 2);
    check_fault(doc! {"$set": {"a.$.b.$": 0}}, doc! {}, 2);
    check_fault(doc! {"$set": {"$.a": 0}}, doc! {}, 2);
    check_fault(doc! {"$set": {"$[].a": 0}}, doc! {}, 2);
    check_fault(doc! {"$set": {"a.$[x]": 0}}, doc! {}, 2);
    let set = doc! {"$set": {"a.$[e]": 0}};
    let x = doc! {"x": 1};
    check_fault_with(doc! {"$set": {"a": 0}}, &filter, doc! {}, 9, "was not used");
    check_fault_with(set.clone(), &[doc! {"e": 1}, doc! {"e": 2}], doc! {}, 9, "multiple array filters");
    check_fault_with(set.clone(), &[doc! {"e": 1, "x": 2}], doc! {}, 9, "single top-level field name");
    check_fault_with(set.clone(), &[doc! {"E": 1}], doc! {}, 2, "lowercase");
    check_fault_with(set.clone(), &[doc! {}], doc! {}, 9, "without a top-level field name");
    check_fault_with(doc! {"b": 1}, &[x], doc! {}, 9, "replacement-style");
    let both = doc! {"$set": {"a.$[e]": 0, "a.$[]": 1}};
    check_fault_with(both, &filter, scores, 40, "");
}

#[test]
fn bad_updates_are_refused() {
    let a = || doc! {"_id": 1, "a": "x"};
    check_fault_with(
        doc! {"$foo": {"a": 1}},
        &[],
        a(),
        9,
        "Unknown modifier: $foo. Expected a valid update modifier",
    );
    check_fault(doc! {"$set": {"a": 1}, "b": 1}, a(), 9);
    check_fault(doc! {"$set": 1}, a(), 9);
    check_fault_with(
        doc! {"$set": {"a": 1, "a.b": 1}},
        &[],
        a(),
        40,
        "Updating the path 'a.b' would create a conflict at 'a'",
    );
    check_fault(doc! {"$set": {"a.b": 1}, "$inc": {"a": 1}}, a(), 40);
    check_fault(doc! {"$set": {"a": 1}, "$inc": {"a": 1}}, a(), 40);
    check_fault(doc! {"$set": {"a.$[]": 1, "a.0": 1}}, a(), 40);
    check_fault(doc! {"$set": {"": 1}}, a(), 56);
    check_fault(doc! {"$set": {"a..b": 1}}, a(), 56);
    check_fault(doc! {"$set": {"a.": 1}}, a(), 56);
    check_fault(doc! {"$set": {"$x": 1}}, a(), 52);
    check_fault(doc! {"$set": {"a.$x": 1}}, a(), 52);
    check_fault(doc! {"$inc": {"a": 1}}, a(), 14);
    check_fault(doc! {"$inc": {"b": "1"}}, a(), 14);
    check_fault(doc! {"$inc": {"n": 1}}, doc! {"n": i64::MAX}, 2);
    check_fault_with(
        doc! {"$set": {"a.b": 1}},
        &[],
        a(),
        28,
        "Cannot create field 'b' in element {a: \"x\"}",
    );
    check_fault(doc! {"$set": {"a.b": 1}}, doc! {"a": [1]}, 28);
    check_fault(doc! {"$set": {"a.b": 1}}, doc! {"a": Bson::Null}, 28);
    check_fault(doc! {"$set": {"_id": 2}}, a(), 66);
    check_fault(doc! {"$unset": {"_id": 1}}, a(), 66);
    check_fault(doc! {"_id": 2}, a(), 66);
    check_fault(doc! {"$set": {"a.9000000": 1}}, doc! {"a": []}, 34);
    check_fault(doc! {"$push": {"a": 1}}, a(), 2);
    check_fault(doc! {"$push": {"b": {"$each": 1}}}, a(), 2);
    check_fault(doc! {"$push": {"b": {"$each": [], "$foo": 1}}}, a(), 2);
    check_fault(doc! {"$push": {"b": {"$each": [], "$sort": 2}}}, a(), 2);
    check_fault(doc! {"$push": {"b": {"$each": [], "$sort": {}}}}, a(), 2);
    check_fault(doc! {"$push": {"b": {"$each": [], "$slice": "x"}}}, a(), 2);
    check_fault(doc! {"$addToSet": {"a": 1}}, a(), 2);
    check_fault(doc! {"$addToSet": {"b": {"$each": 1}}}, a(), 14);
    check_fault(doc! {"$pop": {"a": 1}}, a(), 14);
    check_fault(doc! {"$pop": {"a": 2}}, a(), 9);
    check_fault(doc! {"$pull": {"a": 1}}, a(), 2);
    check_fault(doc! {"$pullAll": {"a": 1}}, a(), 2);
    check_fault(doc! {"$bit": {"a": {"and": 1}}}, a(), 2);
    check_fault(doc! {"$bit": {"b": {"nand": 1}}}, a(), 2);
    check_fault(doc! {"$bit": {"b": {"and": 1.0}}}, a(), 2);
    check_fault(doc! {"$bit": {"b": {}}}, a(), 2);
    check_fault(doc! {"$currentDate": {"b": "now"}}, a(), 2);
    check_fault(doc! {"$currentDate": {"b": {"$type": "year"}}}, a(), 2);
    check_fault(doc! {"b": 1, "$set": {"a": 1}}, a(), 52);
    check_fault(doc! {"$set": {"a.".repeat(200) + "a": 1}}, a(), 15);
    check_fault(doc! {"$set": {"a.".repeat(1_000_000) + "a": 1}}, a(), 15);
    check_fault_with(
        doc! {"$set": {"b.c": 1}},
        &[],
        doc! {"b": "x".repeat(1000)},
        28,
        "in element {b: <string>}",
    );
    let big = "x".repeat(16 * 1024 * 1024);
    check_fault(doc! {"$set": {"b": big}}, a(), 10334);
}

#[test]
fn documents_are_replaced() {
    check(doc! {"b": 2}, doc! {"_id": 1, "a": 1}, doc! {"_id": 1, "b": 2});
    check(doc! {"b": 2, "_id": 1}, doc! {"_id": 1, "a": 1}, doc! {"_id": 1, "b": 2});
    check(doc! {}, doc! {"_id": 1, "a": 1}, doc! {"_id": 1});
    check(doc! {"a": 1}, doc! {"_id": 1, "a": 1}, doc! {"_id": 1, "a": 1});
    assert!(parse(doc! {"a": 1}, &[]).unwrap().is_replacement());
    assert!(parse(doc! {"$set": {"a.$": 1}}, &[]).unwrap().needs_position());
    assert!(!parse(doc! {"$set": {"a": 1}}, &[]).unwrap().needs_position());
}

#[test]
fn stages_change_documents() {
    let stages = |stages: Vec<Document>| Bson::Array(stages.into_iter().map(Bson::Document).collect());
    let doc = || doc! {"_id": 1, "a": 2, "b": 3};
    check(
        stages(vec![doc! {"$set": {"sum": {"$add": ["$a", "$b"]}}}, doc! {"$unset": "a"}]),
        doc(),
        doc! {"_id": 1, "b": 3, "sum": 5},
    );
    check(stages(vec![doc! {"$replaceWith": {"x": "$a"}}]), doc(), doc! {"_id": 1, "x": 2});
    check(stages(vec![]), doc(), doc());
    check_fault(stages(vec![doc! {"$match": {}}]), doc(), 72);
    check_fault(stages(vec![doc! {"$set": {"_id": 5}}]), doc(), 66);
    assert!(parse(stages(vec![]), &[doc! {"e": 1}]).is_err());
}

#[test]
fn upserts_start_from_the_filter() {
    let upsert = |filter: Document, update: Document| {
        let matcher = Matcher::parse(&shared(&filter), &ParseContext::at(NOW)).unwrap();
        let doc = parse(update, &[])?.upsert(&matcher)?;
        Ok::<Document, Fault>(Document::try_from(&*doc).unwrap())
    };
    let rows = [
        (
            doc! {"_id": 5, "a.b": 1, "c": {"$gt": 3}},
            doc! {"$set": {"d": 2}},
            doc! {"_id": 5, "a": {"b": 1}, "d": 2},
        ),
        (doc! {"a": 1, "_id": 5}, doc! {"$inc": {"n": 1}}, doc! {"_id": 5, "a": 1, "n": 1}),
        (doc! {"a": 1}, doc! {"$setOnInsert": {"b": 1}}, doc! {"a": 1, "b": 1}),
        (doc! {"a": {"$eq": 1}}, doc! {"$set": {"_id": 7}}, doc! {"_id": 7, "a": 1}),
        (doc! {"a": {"$in": [4]}}, doc! {"$inc": {"a": 1}}, doc! {"a": 5}),
        (doc! {"_id": 5, "a": 1}, doc! {"b": 1}, doc! {"_id": 5, "b": 1}),
        (doc! {"_id": {"$gt": 5}}, doc! {"b": 1, "_id": 6}, doc! {"_id": 6, "b": 1}),
        (doc! {"$and": [{"x": 1}, {"y": 2}]}, doc! {"$set": {}}, doc! {"x": 1, "y": 2}),
    ];
    for (filter, update, expected) in rows {
        assert_eq!(upsert(filter.clone(), update.clone()).unwrap(), expected, "{filter} {update}");
    }
    let refused = [
        (doc! {"$and": [{"x": 1}, {"x": 2}]}, doc! {"$set": {"a": 1}}, 54),
        (doc! {"x": 1, "x.y": 2}, doc! {"$set": {"a": 1}}, 54),
        (doc! {"_id": 5}, doc! {"$set": {"_id": 6}}, 66),
        (doc! {"_id": 5}, doc! {"_id": 6}, 66),
        (doc! {"_id.a": 5}, doc! {"b": 6}, 111),
        (doc! {"x.".repeat(1_000_000) + "x": 5}, doc! {"$set": {"b": 6}}, 15),
    ];
    for (filter, update, code) in refused {
        assert_eq!(
            upsert(filter.clone(), update.clone()).unwrap_err().code.number(),
            code,
            "{filter} {update}"
        );
    }
}

#[test]
fn bytes_that_are_not_named_stay_as_they_are() {
    // A string that is not UTF-8 beside and below what changes.
    let bad = b"\x10\0\0\0\x02a\0\x04\0\0\0\xff\xfe\xfd\0\0".to_vec();
    let doc = RawDocumentBuf::from_bytes(bad.clone()).unwrap();
    let outcome = parse(doc! {"$set": {"b": 1}}, &[]).unwrap().apply(&doc, None, false).unwrap();
    assert!(outcome.doc.as_bytes().windows(3).any(|bytes| bytes == b"\xff\xfe\xfd"));
    let pushed = parse(doc! {"$push": {"a": 1}}, &[]).unwrap().apply(&doc, None, false);
    assert_eq!(pushed.unwrap_err().code.number(), 2);
}
