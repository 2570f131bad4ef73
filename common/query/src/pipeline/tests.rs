use super::*;
use crate::context::ParseContext;
use crate::sort::Sort;
use bson::{Bson, Document, bson, doc};
use proptest::prelude::*;
use types::{Fault, limits};

const BYTES: usize = limits::BLOCKING_STAGE_BYTES_MAX;

fn raw(document: &Document) -> RawDocumentBuf {
    RawDocumentBuf::try_from(document).unwrap()
}

fn parse(stages: &Bson) -> Result<Pipeline, Fault> {
    let stages: Vec<_> =
        stages.as_array().unwrap().iter().map(|stage| raw(stage.as_document().unwrap())).collect();
    Pipeline::parse(&stages, &ParseContext::at(1_700_000_000_000))
}

fn run(
    pipeline: &Pipeline,
    input: &[RawDocumentBuf],
    bytes_max: usize,
) -> Result<Vec<RawDocumentBuf>, Fault> {
    let mut run = Run::new(pipeline, bytes_max);
    let mut out = Vec::new();
    let mut input = input.iter();
    while run.wants_more() {
        match input.next() {
            Some(document) => run.push(document)?,
            None => break,
        }
        while let Some(document) = run.pop()? {
            out.push(document);
        }
    }
    run.finish()?;
    while let Some(document) = run.pop()? {
        out.push(document);
    }
    Ok(out)
}

fn input() -> Vec<RawDocumentBuf> {
    [
        doc! { "_id": 1, "k": "a", "n": 3, "arr": [1, 2], "o": {"x": 1, "y": 2} },
        doc! { "_id": 2, "k": "b", "n": 1.5, "arr": [], "o": {"x": 2} },
        doc! { "_id": 3, "k": "a", "n": 4i64, "o": {"x": [{"z": 1}, {"z": 2}]} },
        doc! { "_id": 4, "n": 1, "arr": 7, "k": Bson::Null },
        doc! { "_id": 5, "k": "b", "n": "text", "arr": [[1], {"q": 2}] },
    ]
    .iter()
    .map(raw)
    .collect()
}

#[track_caller]
fn check(stages: Bson, expected: Bson) {
    let results = run(&parse(&stages).unwrap(), &input(), BYTES).unwrap();
    let results: Vec<Bson> =
        results.iter().map(|raw| Bson::Document(Document::try_from(&**raw).unwrap())).collect();
    assert_eq!(Bson::Array(results), expected, "{stages}");
}

#[track_caller]
fn refused(stages: Bson, code: i32) {
    match parse(&stages) {
        Ok(pipeline) => panic!("{stages} parsed to {pipeline:?}"),
        Err(fault) => assert_eq!(fault.code.number(), code, "{stages}: {fault}"),
    }
}

#[test]
fn stages() {
    check(bson!([{"$match": {"k": "a"}}, {"$project": {"n": 1, "_id": 0}}]), bson!([{"n": 3}, {"n": 4i64}]));
    check(
        bson!([{"$match": {"_id": {"$lte": 2}}}, {"$project": {"o.x": 1, "s": {"$add": ["$n", 1]}}}]),
        bson!([{"_id": 1, "o": {"x": 1}, "s": 4}, {"_id": 2, "o": {"x": 2}, "s": 2.5}]),
    );
    check(
        bson!([{"$limit": 1}, {"$project": {"arr": 0, "o": {"x": 0}}}]),
        bson!([{"_id": 1, "k": "a", "n": 3, "o": {"y": 2}}]),
    );
    check(
        bson!([{"$limit": 1}, {"$unset": ["arr", "o"]}, {"$addFields": {"n": {"$add": ["$n", 1]}, "new.deep": "$k"}}]),
        bson!([{"_id": 1, "k": "a", "n": 4, "new": {"deep": "a"}}]),
    );
    check(
        bson!([{"$limit": 1}, {"$unset": "k"}, {"$set": {"arr": "$$REMOVE", "o": 1}}]),
        bson!([{"_id": 1, "n": 3, "o": 1}]),
    );
    check(bson!([{"$skip": 3}, {"$limit": 1}, {"$project": {"_id": 1}}]), bson!([{"_id": 4}]));
    check(bson!([{"$count": "c"}]), bson!([{"c": 5}]));
    check(bson!([{"$match": {"_id": 99}}, {"$count": "c"}]), bson!([]));
    check(bson!([{"$limit": 2}, {"$replaceRoot": {"newRoot": "$o"}}]), bson!([{"x": 1, "y": 2}, {"x": 2}]));
    check(bson!([{"$limit": 1}, {"$replaceWith": {"was": "$_id"}}]), bson!([{"was": 1}]));
    check(
        bson!([{"$sort": {"k": -1, "_id": 1}}, {"$project": {"_id": 1}}]),
        bson!([{"_id": 2}, {"_id": 5}, {"_id": 1}, {"_id": 3}, {"_id": 4}]),
    );
    check(
        bson!([{"$sort": {"_id": -1}}, {"$skip": 1}, {"$limit": 2}, {"$project": {"_id": 1}}]),
        bson!([{"_id": 4}, {"_id": 3}]),
    );
    check(
        bson!([{"$sortByCount": "$k"}]),
        bson!([{"_id": "a", "count": 2}, {"_id": "b", "count": 2}, {"_id": Bson::Null, "count": 1}]),
    );
    check(
        bson!([{"$match": {"_id": {"$lt": 5}}}, {"$bucket": {"groupBy": "$n", "boundaries": [0, 2, 4], "default": "more"}}]),
        bson!([{"_id": 0, "count": 2}, {"_id": 2, "count": 1}, {"_id": "more", "count": 1}]),
    );
    check(
        bson!([{"$facet": {"all": [{"$count": "n"}], "first": [{"$limit": 1}, {"$project": {"_id": 1}}], "none": [{"$match": {"_id": 0}}]}}]),
        bson!([{"all": [{"n": 5}], "first": [{"_id": 1}], "none": []}]),
    );
    check(bson!([{"$sample": {"size": 10}}, {"$sort": {"_id": 1}}, {"$count": "n"}]), bson!([{"n": 5}]));
    check(bson!([{"$match": {"_id": 0}}, {"$group": {"_id": Bson::Null, "n": {"$sum": 1}}}]), bson!([]));
}

#[test]
fn unwind() {
    let stages = |spec: Bson| bson!([{"$project": {"arr": 1}}, {"$unwind": spec}]);
    check(
        stages(bson!("$arr")),
        bson!([{"_id": 1, "arr": 1}, {"_id": 1, "arr": 2}, {"_id": 4, "arr": 7}, {"_id": 5, "arr": [1]}, {"_id": 5, "arr": {"q": 2}}]),
    );
    check(
        stages(bson!({"path": "$arr", "preserveNullAndEmptyArrays": true, "includeArrayIndex": "i"})),
        bson!([
            {"_id": 1, "arr": 1, "i": 0i64}, {"_id": 1, "arr": 2, "i": 1i64}, {"_id": 2, "i": Bson::Null},
            {"_id": 3, "i": Bson::Null}, {"_id": 4, "arr": 7, "i": Bson::Null},
            {"_id": 5, "arr": [1], "i": 0i64}, {"_id": 5, "arr": {"q": 2}, "i": 1i64},
        ]),
    );
    check(
        bson!([{"$match": {"_id": 3}}, {"$unwind": {"path": "$o.x", "includeArrayIndex": "o.at"}}]),
        bson!([
            {"_id": 3, "k": "a", "n": 4i64, "o": {"x": {"z": 1}, "at": 0i64}},
            {"_id": 3, "k": "a", "n": 4i64, "o": {"x": {"z": 2}, "at": 1i64}},
        ]),
    );
    refused(bson!([{"$unwind": "arr"}]), 28818);
    refused(bson!([{"$unwind": {"path": "$a", "nope": 1}}]), 28811);
    refused(bson!([{"$unwind": {}}]), 28812);
    refused(bson!([{"$unwind": {"path": "$a", "includeArrayIndex": "$i"}}]), 28822);
}

#[test]
fn group() {
    let by_k = |fields: Document| {
        let mut spec = doc! { "_id": "$k" };
        spec.extend(fields);
        bson!([{"$group": spec}])
    };
    let three = |name: &str, a: Bson, b: Bson, other: Bson| bson!([{"_id": "a", name: a}, {"_id": "b", name: b}, {"_id": Bson::Null, name: other}]);
    for (accumulator, a, b, null) in [
        (bson!({"$sum": 1}), bson!(2), bson!(2), bson!(1)),
        (bson!({"$sum": "$n"}), bson!(7i64), bson!(1.5), bson!(1)),
        (bson!({"$avg": "$n"}), bson!(3.5), bson!(1.5), bson!(1.0)),
        (bson!({"$min": "$n"}), bson!(3), bson!(1.5), bson!(1)),
        (bson!({"$max": "$n"}), bson!(4i64), bson!("text"), bson!(1)),
        (bson!({"$first": "$n"}), bson!(3), bson!(1.5), bson!(1)),
        (bson!({"$last": "$o.x"}), bson!([{"z": 1}, {"z": 2}]), Bson::Null, Bson::Null),
        (bson!({"$push": "$arr"}), bson!([[1, 2]]), bson!([[], [[1], {"q": 2}]]), bson!([7])),
        (bson!({"$addToSet": "$k"}), bson!(["a"]), bson!(["b"]), bson!([Bson::Null])),
        (bson!({"$count": {}}), bson!(2), bson!(2), bson!(1)),
        (bson!({"$stdDevPop": "$n"}), bson!(0.5), bson!(0.0), bson!(0.0)),
        (bson!({"$stdDevSamp": "$n"}), bson!(std::f64::consts::FRAC_1_SQRT_2), Bson::Null, Bson::Null),
        (bson!({"$firstN": {"input": "$_id", "n": 1}}), bson!([1]), bson!([2]), bson!([4])),
        (bson!({"$lastN": {"input": "$_id", "n": 1}}), bson!([3]), bson!([5]), bson!([4])),
        (bson!({"$maxN": {"input": "$_id", "n": 2}}), bson!([3, 1]), bson!([5, 2]), bson!([4])),
        (bson!({"$minN": {"input": "$_id", "n": 1}}), bson!([1]), bson!([2]), bson!([4])),
        (bson!({"$top": {"sortBy": {"_id": -1}, "output": "$_id"}}), bson!(3), bson!(5), bson!(4)),
        (
            bson!({"$bottomN": {"sortBy": {"_id": -1}, "output": "$_id", "n": 2}}),
            bson!([3, 1]),
            bson!([5, 2]),
            bson!([4]),
        ),
    ] {
        check(by_k(doc! { "v": accumulator }), three("v", a, b, null));
    }
    check(
        bson!([{"$group": {"_id": {"k": "$k", "odd": {"$mod": ["$_id", 2]}}}}, {"$match": {"_id.k": "a"}}]),
        bson!([{"_id": {"k": "a", "odd": 1}}]),
    );
    check(
        bson!([{"$limit": 1}, {"$group": {"_id": Bson::Null, "m": {"$mergeObjects": "$o"}}}]),
        bson!([{"_id": Bson::Null, "m": {"x": 1, "y": 2}}]),
    );
    // What mongosh sends for sh.status(): a missing part of the key is left out.
    check(
        bson!([
            {"$group": {"_id": {"msg": "$details.errmsg"}, "count": {"$sum": 1}}},
            {"$project": {"_id": {"$ifNull": ["$_id.msg", "Success"]}, "count": "$count"}}
        ]),
        bson!([{"_id": "Success", "count": 5}]),
    );
    check(
        bson!([
            {"$group": {"_id": "$k", "cnt": {"$sum": 1}}},
            {"$project": {"_id": 0, "shard": "$_id", "nChunks": "$cnt"}},
            {"$sort": {"shard": 1}}
        ]),
        bson!([{"shard": Bson::Null, "nChunks": 1}, {"shard": "a", "nChunks": 2}, {"shard": "b", "nChunks": 2}]),
    );
    refused(bson!([{"$group": {"n": {"$sum": 1}}}]), 15955);
    refused(bson!([{"$group": 1}]), 15947);
    refused(bson!([{"$group": {"_id": 1, "n": 1}}]), 40234);
    refused(bson!([{"$group": {"_id": 1, "n": {"$nope": 1}}}]), 15952);
    refused(bson!([{"$group": {"_id": 1, "a.b": {"$sum": 1}}}]), 40235);
    refused(bson!([{"$group": {"_id": 1, "n": {"$sum": [1, 2]}}}]), 40237);
    refused(bson!([{"$group": {"_id": 1, "n": {"$median": {}}}}]), 238);
}

#[test]
fn equal_numbers_are_one_group() {
    let documents: Vec<_> =
        [doc! {"v": 1.0}, doc! {"v": 1}, doc! {"v": 1i64}, doc! {}, doc! {"v": Bson::Null}]
            .iter()
            .map(raw)
            .collect();
    let pipeline = parse(&bson!([{"$group": {"_id": "$v", "n": {"$sum": 1}}}])).unwrap();
    let expected: Vec<_> =
        [doc! {"_id": 1.0, "n": 3}, doc! {"_id": Bson::Null, "n": 2}].iter().map(raw).collect();
    assert_eq!(run(&pipeline, &documents, BYTES).unwrap(), expected);
}

#[test]
fn wrong_pipelines() {
    refused(bson!([{"$nope": 1}]), 40324);
    refused(bson!([{}]), 40323);
    refused(bson!([{"$match": {}, "$limit": 1}]), 40323);
    refused(bson!([{"$lookup": {}}]), 238);
    refused(bson!([{"$out": "x"}]), 238);
    refused(bson!([{"$limit": 0}]), 15958);
    refused(bson!([{"$limit": -1}]), 5107201);
    refused(bson!([{"$skip": "x"}]), 5107200);
    refused(bson!([{"$match": 1}]), 15959);
    refused(bson!([{"$sort": {}}]), 15976);
    refused(bson!([{"$project": {}}]), 51272);
    refused(bson!([{"$project": {"a": 1, "b": 0}}]), 31254);
    refused(bson!([{"$count": "$x"}]), 40158);
    refused(bson!([{"$replaceRoot": {}}]), 40231);
    refused(bson!([{"$facet": {"a": [{"$facet": {"b": []}}]}}]), 40600);
    refused(bson!([{"$limit": 1}, {"$collStats": {}}]), 40602);
    refused(bson!([{"$sample": {"size": -1}}]), 28747);
    refused(bson!([{"$addFields": {"a": {"$foo": 1}}}]), 168);
    let long: Vec<Bson> = (0..1_001).map(|_| bson!({"$match": {}})).collect();
    refused(Bson::Array(long), 7749501);
    let most: Vec<Bson> = (0..1_000).map(|_| bson!({"$match": {}})).collect();
    assert_eq!(run(&parse(&Bson::Array(most)).unwrap(), &input(), BYTES).unwrap().len(), 5);
}

#[test]
fn sources() {
    let pipeline = parse(&bson!([{"$collStats": {"storageStats": {}}}, {"$group": {"_id": Bson::Null, "value": {"$sum": "$storageStats.size"}}}])).unwrap();
    let source = pipeline.source.as_ref().unwrap();
    assert_eq!((source.kind(), source.name()), (SourceKind::CollStats, "$collStats"));
    assert_eq!(pipeline.stage_names(), ["$collStats", "$group"]);
    let split = split(&pipeline).unwrap();
    assert_eq!(split.shard.len(), 2);
    let listed =
        parse(&bson!([{"$documents": [{"a": 1}, {"a": {"$add": [1, 1]}}]}, {"$match": {"a": 2}}])).unwrap();
    assert_eq!(listed.source.as_ref().unwrap().documents(), [raw(&doc! {"a": 1}), raw(&doc! {"a": 2})]);
    for stage in [
        "$currentOp",
        "$indexStats",
        "$listSessions",
        "$listLocalSessions",
        "$shardedDataDistribution",
        "$listCatalog",
        "$listClusterCatalog",
        "$planCacheStats",
        "$changeStream",
    ] {
        let pipeline = parse(&bson!([{stage: {}}])).unwrap();
        assert_eq!(pipeline.source.unwrap().name(), stage);
        refused(bson!([{stage: 1}]), 9);
    }
}

#[test]
fn memory_and_result_size_are_bounded() {
    let documents: Vec<_> = (0..1_000).map(|id| raw(&doc! {"_id": id, "pad": "x".repeat(200)})).collect();
    for stages in [
        bson!([{"$sort": {"_id": -1}}]),
        bson!([{"$group": {"_id": "$_id"}}]),
        bson!([{"$group": {"_id": 1, "all": {"$push": "$pad"}}}]),
    ] {
        let fault = run(&parse(&stages).unwrap(), &documents, 50_000).unwrap_err();
        assert_eq!(fault.code.number(), 292, "{stages}");
    }
    let top =
        run(&parse(&bson!([{"$sort": {"_id": -1}}, {"$limit": 2}])).unwrap(), &documents, 50_000).unwrap();
    assert_eq!(top.len(), 2);
    let large: Vec<_> = (0..17).map(|id| raw(&doc! {"_id": id, "pad": "x".repeat(1 << 20)})).collect();
    let fault =
        run(&parse(&bson!([{"$group": {"_id": 1, "all": {"$push": "$pad"}}}])).unwrap(), &large, BYTES)
            .unwrap_err();
    assert_eq!(fault.code.number(), 10334);
    // One document at a time: an unwound array does not multiply in memory.
    let wide = raw(&doc! {"pad": "x".repeat(1 << 20), "arr": vec![1; 10_000]});
    let mut unwound = Run::new(&parse(&bson!([{"$unwind": "$arr"}, {"$count": "n"}])).unwrap(), BYTES);
    unwound.push(&wide).unwrap();
    unwound.finish().unwrap();
    assert_eq!(unwound.pop().unwrap(), Some(raw(&doc! {"n": 10_000})));
}

#[test]
fn stages_cannot_nest_without_end() {
    for stage in [
        bson!({"$replaceRoot": {"newRoot": {"a": "$$ROOT"}}}),
        bson!({"$project": {"a.b.c": "$$ROOT"}}),
        bson!({"$group": {"_id": 1, "all": {"$push": "$$ROOT"}}}),
        bson!({"$facet": {"all": []}}),
        bson!({"$unwind": {"path": "$_id", "includeArrayIndex": (vec!["x"; 199].join("."))}}),
    ] {
        let stages = Bson::Array(vec![stage.clone(); 300]);
        match run(&parse(&stages).unwrap(), &input(), BYTES) {
            Err(fault) => assert_eq!(fault.code.number(), 15, "{stage}"),
            // Setting the same index again adds no level.
            Ok(_) => assert!(stage.to_string().contains("$unwind")),
        }
    }
}

#[test]
fn a_scan_takes_the_front() {
    let mut pipeline = parse(
        &bson!([{"$match": {"k": "a"}}, {"$sort": {"n": 1}}, {"$skip": 1}, {"$limit": 2}, {"$count": "n"}]),
    )
    .unwrap();
    assert_eq!(pipeline.leading_match().unwrap().0, &*raw(&doc! {"k": "a"}));
    let prefix = pipeline.take_prefix();
    assert_eq!(prefix.filter, Some(raw(&doc! {"k": "a"})));
    assert_eq!(prefix.sort, Some(raw(&doc! {"n": 1})));
    assert_eq!(prefix.limit, Some(3));
    assert_eq!(pipeline.stage_names(), ["$skip", "$limit", "$count"]);
}

#[test]
fn a_run_stops_asking_when_it_has_enough() {
    let pipeline = parse(&bson!([{"$limit": 2}])).unwrap();
    let mut run = Run::new(&pipeline, BYTES);
    let documents = input();
    let mut pushed = 0;
    while run.wants_more() {
        run.push(&documents[pushed]).unwrap();
        pushed += 1;
        assert!(run.pop().unwrap().is_some());
    }
    assert_eq!(pushed, 2);
}

/// Runs the shard half on each deal, merges as told, runs the router half.
fn run_split(pipeline: &Pipeline, deals: &[Vec<RawDocumentBuf>]) -> Result<Vec<RawDocumentBuf>, Fault> {
    let parts = split(pipeline)?;
    let shard = Pipeline::parse(&parts.shard, &ParseContext::default())?;
    let mut streams = Vec::new();
    for deal in deals {
        streams.push(run(&shard, deal, BYTES)?);
    }
    let mut merged: Vec<RawDocumentBuf> = streams.into_iter().flatten().collect();
    if let Some(sort) = &parts.merge {
        let key = |sort: &Sort, document: &RawDocumentBuf| sort.key(document).unwrap();
        merged.sort_by_cached_key(|document| key(sort, document));
    }
    run(&parts.router, &merged, BYTES)
}

fn some_value() -> impl Strategy<Value = Bson> {
    prop_oneof![
        (-3..4i32).prop_map(Bson::Int32),
        (-3..4i64).prop_map(Bson::Int64),
        Just(Bson::Int32(i32::MAX)),
        // Quarters sum exactly in any order.
        (-8..8i32).prop_map(|n| Bson::Double(f64::from(n) / 4.0)),
        "[ab]{0,2}".prop_map(Bson::String),
        Just(Bson::Null),
        prop::collection::vec((0..3i32).prop_map(Bson::Int32), 0..3).prop_map(Bson::Array),
    ]
}

fn some_document() -> impl Strategy<Value = Document> {
    (prop::option::of(some_value()), prop::option::of(some_value()), 0..4i32).prop_map(|(a, b, k)| {
        let mut document = doc! { "k": k };
        document.extend(a.map(|a| ("a".to_owned(), a)));
        document.extend(b.map(|b| ("b".to_owned(), b)));
        document
    })
}

/// Pipelines, and whether the order of their results is set. Extremes carry the `_id`: of 1 and 1.0 either may be kept.
fn pipelines() -> Vec<(Bson, bool)> {
    vec![
        (bson!([]), false),
        (bson!([{"$match": {"k": {"$gt": 1}}}, {"$project": {"a": 1, "s": {"$type": "$b"}}}]), false),
        (bson!([{"$sort": {"a": 1, "_id": 1}}]), true),
        (
            bson!([{"$sort": {"b": -1, "_id": -1}}, {"$skip": 3}, {"$limit": 4}, {"$project": {"_id": 1, "b": 1}}]),
            true,
        ),
        (
            bson!([{"$sort": {"_id": 1}}, {"$group": {"_id": Bson::Null, "f": {"$first": "$a"}, "l": {"$last": "$a"}, "p": {"$push": "$b"}}}]),
            true,
        ),
        (
            bson!([{"$sort": {"_id": 1}}, {"$limit": 5}, {"$group": {"_id": "$k", "f": {"$first": "$a"}, "n": {"$sum": 1}}}, {"$sort": {"_id": 1}}]),
            true,
        ),
        (
            bson!([{"$group": {
                "_id": "$k", "n": {"$sum": 1}, "s": {"$sum": "$a"}, "avg": {"$avg": "$b"}, "min": {"$min": {"$concatArrays": [["$a"], ["$_id"]]}},
                "max": {"$max": {"$concatArrays": [["$b"], ["$_id"]]}}, "c": {"$count": {}},
                "top": {"$topN": {"n": 3, "sortBy": {"_id": -1}, "output": ["$_id", "$a"]}},
                "least": {"$bottom": {"sortBy": {"_id": -1}, "output": "$_id"}},
                "maxN": {"$maxN": {"n": 2, "input": "$_id"}}, "minN": {"$minN": {"n": 2, "input": "$_id"}},
            }}, {"$sort": {"_id": 1}}, {"$limit": 3}]),
            true,
        ),
        (
            bson!([{"$unwind": "$a"}, {"$group": {"_id": "$a", "n": {"$sum": "$k"}}}, {"$project": {"n": 1, "_id": {"$type": "$_id"}}}, {"$group": {"_id": Bson::Null, "n": {"$sum": "$n"}}}]),
            true,
        ),
        (bson!([{"$match": {"k": 1}}, {"$count": "n"}]), true),
        (bson!([{"$count": "n"}]), true),
        (bson!([{"$skip": 2}, {"$count": "n"}]), true),
        (bson!([{"$limit": 4}, {"$count": "n"}]), true),
        (
            bson!([{"$sortByCount": "$k"}, {"$group": {"_id": "$count", "n": {"$sum": 1}}}, {"$sort": {"_id": 1}}]),
            true,
        ),
        (
            bson!([{"$bucket": {"groupBy": "$k", "boundaries": [0, 2, 4], "output": {"n": {"$sum": 1}, "avg": {"$avg": "$a"}}}}]),
            true,
        ),
        (bson!([{"$facet": {"n": [{"$count": "n"}], "top": [{"$sort": {"_id": -1}}, {"$limit": 2}]}}]), true),
        (
            bson!([{"$addFields": {"z": {"$add": ["$k", 1]}}}, {"$unset": "a"}, {"$replaceRoot": {"newRoot": {"z": "$z", "_id": "$_id"}}}]),
            false,
        ),
    ]
}

/// The standard deviation's parts are rounded, so it is compared by distance.
fn std_dev(results: &[RawDocumentBuf]) -> Vec<f64> {
    results.iter().filter_map(|result| result.get_f64("d").ok()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn split_gives_what_the_whole_gives(
        documents in prop::collection::vec((some_document(), 0..4usize), 0..24),
        shards in 1..4usize,
    ) {
        let mut whole = Vec::new();
        let mut deals = vec![Vec::new(); shards];
        for (id, (document, shard)) in documents.into_iter().enumerate() {
            let mut with_id = doc! { "_id": i32::try_from(id).unwrap() };
            with_id.extend(document);
            let document = raw(&with_id);
            deals[shard % shards].push(document.clone());
            whole.push(document);
        }
        for (stages, ordered) in pipelines() {
            let pipeline = parse(&stages).unwrap();
            let mut expected = run(&pipeline, &whole, BYTES).unwrap();
            let mut found = run_split(&pipeline, &deals).unwrap();
            if !ordered {
                expected.sort_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
                found.sort_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
            }
            prop_assert_eq!(found, expected, "{} over {} shards", stages, shards);
        }
        let pipeline = parse(&bson!([{"$group": {"_id": "$k", "d": {"$stdDevPop": "$a"}}}, {"$sort": {"_id": 1}}])).unwrap();
        let (expected, found) = (std_dev(&run(&pipeline, &whole, BYTES).unwrap()), std_dev(&run_split(&pipeline, &deals).unwrap()));
        prop_assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(&expected) {
            prop_assert!((found - expected).abs() <= 1e-6 * expected.abs().max(1.0));
        }
    }
}
