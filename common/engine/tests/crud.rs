//! Inserts, finds, updates, deletes, counts: what clients see of one member.

mod host;

use bson::{Bson, Document, bson, doc};
use host::{Host, ids};

async fn check_find(host: &std::sync::Arc<Host>, find: Document, expected: Bson) {
    let text = find.to_string();
    let found = host.all(find).await;
    assert_eq!(Bson::Array(ids(&found)), expected, "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn finds() {
    let host = Host::new();
    host.fill((0..30).map(|n| doc! {"_id": n, "a": n % 3, "b": -n, "s": format!("x{n}"), "l": [n, n + 100]}))
        .await;
    for indexed in [false, true] {
        if indexed {
            let indexes = bson!([
                {"key": {"a": 1, "b": 1}, "name": "ab"}, {"key": {"l": 1}, "name": "l"},
                {"key": {"s": -1}, "name": "s", "unique": true},
            ]);
            host.run(doc! {"createIndexes": "c", "indexes": indexes}).await;
        }
        let rows = [
            (doc! {"find": "c", "filter": {"_id": 7}}, bson!([7])),
            (doc! {"find": "c", "filter": {"_id": 7.0}}, bson!([7])),
            (doc! {"find": "c", "filter": {"_id": 77}}, bson!([])),
            (doc! {"find": "c", "filter": {"_id": {"$gt": 26}}}, bson!([27, 28, 29])),
            (doc! {"find": "c", "filter": {"_id": {"$in": [3, 99, 1]}}}, bson!([1, 3])),
            (doc! {"find": "c", "filter": {"_id": {"$lt": 3}}, "sort": {"_id": -1}}, bson!([2, 1, 0])),
            (doc! {"find": "c", "sort": {"_id": -1}, "skip": 1, "limit": 2}, bson!([28, 27])),
            (doc! {"find": "c", "sort": {"$natural": -1}, "limit": 2}, bson!([29, 28])),
            (doc! {"find": "c", "filter": {"a": 2}, "sort": {"b": 1}, "limit": 3}, bson!([29, 26, 23])),
            (doc! {"find": "c", "filter": {"a": 2}, "sort": {"b": -1}, "limit": 3}, bson!([2, 5, 8])),
            (doc! {"find": "c", "filter": {"a": 1, "b": {"$gte": -4}}, "sort": {"_id": 1}}, bson!([1, 4])),
            (doc! {"find": "c", "filter": {"l": {"$gt": 127}}, "sort": {"_id": 1}}, bson!([28, 29])),
            (doc! {"find": "c", "filter": {"l": {"$in": [3, 103]}}}, bson!([3])),
            (
                doc! {"find": "c", "filter": {"l": {"$gt": 50, "$lt": 60}}, "sort": {"_id": 1}, "limit": 2},
                bson!([0, 1]),
            ),
            (
                doc! {"find": "c", "filter": {"l": {"$elemMatch": {"$gt": 27, "$lt": 101}}}, "sort": {"_id": 1}},
                bson!([0, 28, 29]),
            ),
            (doc! {"find": "c", "filter": {"s": "x5"}}, bson!([5])),
            (doc! {"find": "c", "filter": {"$or": [{"s": "x5"}, {"a": 7}]}}, bson!([5])),
            (doc! {"find": "c", "filter": {"zz": 1}}, bson!([])),
            (doc! {"find": "nope", "filter": {"zz": 1}}, bson!([])),
            (doc! {"find": "c", "sort": {"b": 1}, "skip": 28}, bson!([1, 0])),
            (
                doc! {"find": "c", "batchSize": 4, "singleBatch": true, "sort": {"_id": 1}},
                bson!([0, 1, 2, 3]),
            ),
        ];
        for (find, expected) in rows {
            check_find(&host, find, expected).await;
        }
        for size in [0, 1, 3, 29, 30, 31] {
            let found = host.all(doc! {"find": "c", "batchSize": size}).await;
            assert_eq!(found.len(), 30, "{size}");
            let found = host.all(doc! {"find": "c", "filter": {"l": {"$gte": 0}}, "batchSize": size}).await;
            assert_eq!(found.len(), 30, "{size}");
            let found = host.all(doc! {"find": "c", "sort": {"b": 1}, "batchSize": size}).await;
            assert_eq!(found.first().unwrap().get_i32("_id").unwrap(), 29);
        }
    }
    let projected =
        host.all(doc! {"find": "c", "filter": {"_id": 1}, "projection": {"a": 1, "_id": 0}}).await;
    assert_eq!(projected, [doc! {"a": 1}]);
    let projected =
        host.all(doc! {"find": "c", "filter": {"l": 104}, "projection": {"l.$": 1, "_id": 0}}).await;
    assert_eq!(projected, [doc! {"l": [104]}]);
    for (find, code) in [
        (doc! {"find": "c", "hint": "nope"}, 2),
        (doc! {"find": "c", "hint": {"zz": 1}}, 2),
        (doc! {"find": "c", "filter": {"a": {"$nope": 1}}}, 2),
        (doc! {"find": "c", "sort": {"a": 2}}, 15975),
        (doc! {"find": "c", "tailable": true}, 2),
        (doc! {"getMore": 123_i64, "collection": "c"}, 43),
    ] {
        let text = find.to_string();
        assert_eq!(host.code(find).await, code, "{text}");
    }
    assert_eq!(host.all(doc! {"find": "c", "hint": "ab", "filter": {"a": 0}}).await.len(), 10);
    assert_eq!(
        host.all(doc! {"find": "c", "hint": {"$natural": -1}, "limit": 1}).await[0].get_i32("_id").unwrap(),
        29
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn cursors_end() {
    let host = Host::new();
    host.fill((0..300).map(|n| doc! {"_id": n})).await;
    let first = host.run(doc! {"find": "c"}).await;
    let cursor = first.get_document("cursor").unwrap();
    assert_eq!(cursor.get_array("firstBatch").unwrap().len(), 101);
    let id = cursor.get_i64("id").unwrap();
    assert_eq!(host.code(doc! {"getMore": id, "collection": "other"}).await, 13);
    let killed = host.run(doc! {"killCursors": "c", "cursors": [id, 5_i64]}).await;
    assert_eq!(
        killed,
        doc! {"cursorsKilled": [id], "cursorsNotFound": [5_i64], "cursorsAlive": [], "cursorsUnknown": []}
    );
    assert_eq!(host.code(doc! {"getMore": id, "collection": "c"}).await, 43);
    let second = host.run(doc! {"find": "c", "batchSize": 2}).await;
    let id = second.get_document("cursor").unwrap().get_i64("id").unwrap();
    host.run(doc! {"drop": "c"}).await;
    assert_eq!(host.code(doc! {"getMore": id, "collection": "c"}).await, 175);
}

#[tokio::test(flavor = "multi_thread")]
async fn inserts() {
    let host = Host::new();
    let reply =
        host.run(doc! {"insert": "c", "documents": [{"_id": 1}, {"_id": 2}, {"_id": 1}, {"_id": 3}]}).await;
    assert_eq!(reply.get_i32("n").unwrap(), 2);
    let errors = reply.get_array("writeErrors").unwrap();
    assert_eq!(errors.len(), 1);
    let error = errors[0].as_document().unwrap();
    assert_eq!((error.get_i32("index").unwrap(), error.get_i32("code").unwrap()), (2, 11000));
    assert_eq!(error.get_document("keyPattern").unwrap(), &doc! {"_id": 1});
    assert_eq!(error.get_document("keyValue").unwrap(), &doc! {"_id": 1});
    assert_eq!(
        error.get_str("errmsg").unwrap(),
        "E11000 duplicate key error collection: d.c index: _id_ dup key: { _id: 1 }"
    );
    let documents = bson!([{"_id": 1}, {"_id": [1]}, {"_id": 4}, {"_id": {"$x": 1}}, {"_id": 5}]);
    let reply = host.run(doc! {"insert": "c", "ordered": false, "documents": documents}).await;
    assert_eq!(reply.get_i32("n").unwrap(), 2);
    let errors: Vec<(i32, i32)> = reply
        .get_array("writeErrors")
        .unwrap()
        .iter()
        .map(|error| error.as_document().unwrap())
        .map(|error| (error.get_i32("index").unwrap(), error.get_i32("code").unwrap()))
        .collect();
    assert_eq!(errors, [(0, 11000), (1, 53), (3, 52)]);
    let many: Vec<Document> = (100..1300).map(|n| doc! {"_id": if n == 1250 { 100 } else { n }}).collect();
    let reply = host.run(doc! {"insert": "c", "documents": many}).await;
    assert_eq!(reply.get_i32("n").unwrap(), 1150);
    assert_eq!(
        reply.get_array("writeErrors").unwrap()[0].as_document().unwrap().get_i32("index").unwrap(),
        1150
    );
    assert_eq!(host.run(doc! {"count": "c"}).await, doc! {"n": 2 + 2 + 1150});
    assert_eq!(host.code(doc! {"insert": "system.x", "documents": [{}]}).await, 73);
    let weak = host
        .run(doc! {"insert": "c", "documents": [{"_id": "w"}], "writeConcern": {"w": 2, "wtimeout": 10}})
        .await;
    assert_eq!(weak.get_i32("n").unwrap(), 1);
    assert_eq!(weak.get_document("writeConcernError").unwrap().get_i32("code").unwrap(), 100);
    assert_eq!(host.all(doc! {"find": "c", "filter": {"_id": "w"}}).await.len(), 1);
    let durable = doc! {"insert": "c", "documents": [{"_id": "j"}], "writeConcern": {"w": 1, "j": true}};
    assert_eq!(host.run(durable).await, doc! {"n": 1});
}

#[tokio::test(flavor = "multi_thread")]
async fn updates() {
    let host = Host::new();
    host.fill((0..1200).map(|n| doc! {"_id": n, "a": n % 4, "n": 0})).await;
    let update = |statement: Document| doc! {"update": "c", "updates": [statement]};
    let rows = [
        (doc! {"q": {"_id": 1}, "u": {"$inc": {"n": 1}}}, doc! {"n": 1, "nModified": 1}),
        (doc! {"q": {"_id": 1}, "u": {"$set": {"n": 1}}}, doc! {"n": 1, "nModified": 0}),
        (doc! {"q": {"_id": -1}, "u": {"$set": {"n": 1}}}, doc! {"n": 0, "nModified": 0}),
        (doc! {"q": {"a": 2}, "u": {"$set": {"n": 5}}, "multi": true}, doc! {"n": 300, "nModified": 300}),
        (doc! {"q": {"a": 2}, "u": {"$set": {"n": 5}}}, doc! {"n": 1, "nModified": 0}),
        (doc! {"q": {"n": 5}, "u": {"$set": {"n": 6}}, "multi": true}, doc! {"n": 300, "nModified": 300}),
        (doc! {"q": {"a": 3}, "u": {"x": 1}}, doc! {"n": 1, "nModified": 1}),
        (
            doc! {"q": {"_id": "new", "k": 3}, "u": {"$set": {"z": 1}}, "upsert": true},
            doc! {"n": 1, "nModified": 0, "upserted": [{"index": 0, "_id": "new"}]},
        ),
        (doc! {"q": {"_id": "new"}, "u": {"$set": {"z": 1}}, "upsert": true}, doc! {"n": 1, "nModified": 0}),
        (
            doc! {"q": {"_id": "many"}, "u": {"$set": {"z": 1}}, "upsert": true, "multi": true},
            doc! {"n": 1, "nModified": 0, "upserted": [{"index": 0, "_id": "many"}]},
        ),
        (
            doc! {"q": {"_id": "pipe"}, "u": [{"$set": {"z": {"$add": [1, 2]}}}], "upsert": true},
            doc! {"n": 1, "nModified": 0, "upserted": [{"index": 0, "_id": "pipe"}]},
        ),
    ];
    for (statement, expected) in rows {
        let text = statement.to_string();
        assert_eq!(host.run(update(statement)).await, expected, "{text}");
    }
    assert_eq!(
        host.all(doc! {"find": "c", "filter": {"_id": "new"}}).await,
        [doc! {"_id": "new", "k": 3, "z": 1}]
    );
    assert_eq!(host.all(doc! {"find": "c", "filter": {"_id": "pipe"}}).await, [doc! {"_id": "pipe", "z": 3}]);
    for (statement, code) in [
        (doc! {"q": {"_id": 1}, "u": {"$set": {"_id": 2}}}, 66),
        (doc! {"q": {"_id": 1}, "u": {"$nope": {"a": 2}}}, 9),
        (doc! {"q": {"a": 1}, "u": {"b": 1}, "multi": true}, 9),
        (doc! {"q": {"a": {"$nope": 1}}, "u": {"$set": {"b": 1}}}, 2),
    ] {
        let text = statement.to_string();
        let reply = host.run(update(statement)).await;
        let error = reply.get_array("writeErrors").unwrap_or_else(|_| panic!("{text}: {reply}"))[0].clone();
        assert_eq!(error.as_document().unwrap().get_i32("code").unwrap(), code, "{text}");
    }
    let mixed = bson!([
        {"q": {"_id": 1}, "u": {"$set": {"m": 1}}}, {"q": {"_id": 1}, "u": {"$set": {"_id": 9}}},
        {"q": {"_id": 2}, "u": {"$set": {"m": 1}}},
    ]);
    let reply = host.run(doc! {"update": "c", "updates": mixed.clone()}).await;
    assert_eq!(reply.get_i32("n").unwrap(), 1);
    let reply = host.run(doc! {"update": "c", "ordered": false, "updates": mixed}).await;
    assert_eq!(reply.get_i32("n").unwrap(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_that_moves_entries_meets_each_document_once() {
    let host = Host::new();
    host.fill((0..700).map(|n| doc! {"_id": n, "a": n})).await;
    host.run(doc! {"createIndexes": "c", "indexes": [{"key": {"a": 1}, "name": "a"}]}).await;
    let statement = doc! {"q": {"a": {"$gte": 0}}, "u": {"$inc": {"a": 100}}, "multi": true};
    let reply = host.run(doc! {"update": "c", "updates": [statement]}).await;
    assert_eq!(reply, doc! {"n": 700, "nModified": 700});
    let sum = host.all(
        doc! {"aggregate": "c", "pipeline": [{"$group": {"_id": 1, "s": {"$sum": "$a"}}}], "cursor": {}},
    );
    assert_eq!(sum.await, [doc! {"_id": 1, "s": 700 * 699 / 2 + 70_000}]);
    let valid = host.run(doc! {"validate": "c"}).await;
    assert_eq!((valid.get_bool("valid").unwrap(), valid.get_i64("nrecords").unwrap()), (true, 700));
}

#[tokio::test(flavor = "multi_thread")]
async fn deletes() {
    let host = Host::new();
    host.fill((0..1200).map(|n| doc! {"_id": n, "a": n % 4})).await;
    let delete = |statements: Bson| doc! {"delete": "c", "deletes": statements};
    let rows = [
        (bson!([{"q": {"_id": 1}, "limit": 1}]), 1),
        (bson!([{"q": {"_id": 1}, "limit": 1}]), 0),
        (bson!([{"q": {"a": 2}, "limit": 1}, {"q": {"a": 2}, "limit": 0}]), 300),
        (bson!([{"q": {}, "limit": 0}]), 899),
    ];
    for (statements, expected) in rows {
        assert_eq!(host.run(delete(statements)).await, doc! {"n": expected});
    }
    assert_eq!(host.run(doc! {"count": "c"}).await, doc! {"n": 0});
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_and_distinct_values() {
    let host = Host::new();
    host.fill((0..100).map(|n| doc! {"_id": n, "a": n % 7, "l": [n % 2, {"x": n % 3}]})).await;
    for indexed in [false, true] {
        if indexed {
            host.run(doc! {"createIndexes": "c", "indexes": [{"key": {"a": 1}, "name": "a"}]}).await;
        }
        for (count, n) in [
            (doc! {"count": "c"}, 100),
            (doc! {"count": "nope"}, 0),
            (doc! {"count": "c", "query": {"a": 3}}, 14),
            (doc! {"count": "c", "query": {"a": {"$gte": 3}}, "limit": 20}, 20),
            (doc! {"count": "c", "query": {"a": 3}, "skip": 10}, 4),
            (doc! {"count": "c", "skip": 95}, 5),
            (doc! {"count": "c", "query": {"_id": {"$lt": 9}}}, 9),
        ] {
            let text = count.to_string();
            assert_eq!(host.run(count).await, doc! {"n": n}, "{text}");
        }
    }
    assert_eq!(host.run(doc! {"distinct": "c", "key": "a"}).await, doc! {"values": [0, 1, 2, 3, 4, 5, 6]});
    assert_eq!(host.run(doc! {"distinct": "c", "key": "l.x"}).await, doc! {"values": [0, 1, 2]});
    let some = doc! {"distinct": "c", "key": "a", "query": {"_id": {"$lt": 2}}};
    assert_eq!(host.run(some).await, doc! {"values": [0, 1]});
}

#[tokio::test(flavor = "multi_thread")]
async fn find_and_modify() {
    let host = Host::new();
    host.fill((0..5).map(|n| doc! {"_id": n, "a": 10 - n})).await;
    let rows = [
        (
            doc! {"findAndModify": "c", "query": {"_id": 1}, "update": {"$inc": {"a": 1}}},
            doc! {"lastErrorObject": {"n": 1, "updatedExisting": true}, "value": {"_id": 1, "a": 9}},
        ),
        (
            doc! {"findAndModify": "c", "query": {"_id": 1}, "update": {"$inc": {"a": 1}}, "new": true, "fields": {"_id": 0}},
            doc! {"lastErrorObject": {"n": 1, "updatedExisting": true}, "value": {"a": 11}},
        ),
        (
            doc! {"findAndModify": "c", "sort": {"a": 1}, "remove": true},
            doc! {"lastErrorObject": {"n": 1}, "value": {"_id": 4, "a": 6}},
        ),
        (
            doc! {"findandmodify": "c", "query": {"_id": 99}, "remove": true},
            doc! {"lastErrorObject": {"n": 0}, "value": null},
        ),
        (
            doc! {"findAndModify": "c", "query": {"_id": 99}, "update": {"$set": {"a": 1}}},
            doc! {"lastErrorObject": {"n": 0, "updatedExisting": false}, "value": null},
        ),
        (
            doc! {"findAndModify": "c", "query": {"_id": 99}, "update": {"$set": {"a": 1}}, "upsert": true},
            doc! {"lastErrorObject": {"n": 1, "updatedExisting": false, "upserted": 99}, "value": null},
        ),
        (
            doc! {"findAndModify": "c", "query": {"_id": 98}, "update": {"a": 1}, "upsert": true, "new": true},
            doc! {"lastErrorObject": {"n": 1, "updatedExisting": false, "upserted": 98}, "value": {"_id": 98, "a": 1}},
        ),
    ];
    for (command, expected) in rows {
        let text = command.to_string();
        assert_eq!(host.run(command).await, expected, "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelines() {
    let host = Host::new();
    host.fill((0..500).map(|n| doc! {"_id": n, "a": n % 5, "b": n})).await;
    host.run(doc! {"createIndexes": "c", "indexes": [{"key": {"b": 1}, "name": "b"}]}).await;
    let aggregate =
        |pipeline: Bson| doc! {"aggregate": "c", "pipeline": pipeline, "cursor": {"batchSize": 3}};
    let rows = [
        (
            bson!([{"$match": {"b": {"$gte": 498}}}, {"$project": {"b": 1, "_id": 0}}]),
            bson!([{"b": 498}, {"b": 499}]),
        ),
        (bson!([{"$match": {"a": 9}}]), bson!([])),
        (
            bson!([{"$sort": {"b": -1}}, {"$skip": 1}, {"$limit": 1}, {"$project": {"b": 1}}]),
            bson!([{"_id": 498, "b": 498}]),
        ),
        (bson!([{"$match": {"a": 1}}, {"$count": "n"}]), bson!([{"n": 100}])),
        (
            bson!([{"$group": {"_id": "$a", "n": {"$sum": 1}}}, {"$sort": {"_id": 1}}]),
            bson!([{"_id": 0, "n": 100}, {"_id": 1, "n": 100}, {"_id": 2, "n": 100}, {"_id": 3, "n": 100}, {"_id": 4, "n": 100}]),
        ),
        (bson!([{"$limit": 2}, {"$project": {"_id": 1}}]), bson!([{"_id": 0}, {"_id": 1}])),
    ];
    for (pipeline, expected) in rows {
        let text = pipeline.to_string();
        let found: Vec<Bson> = host.all(aggregate(pipeline)).await.into_iter().map(Bson::Document).collect();
        assert_eq!(Bson::Array(found), expected, "{text}");
    }
    assert_eq!(host.all(aggregate(bson!([]))).await.len(), 500);
    let unwound = host.all(aggregate(bson!([{"$project": {"l": [1, 2]}}, {"$unwind": "$l"}]))).await;
    assert_eq!(unwound.len(), 1000);
    let stats = host.all(aggregate(bson!([{"$collStats": {"storageStats": {}, "count": {}}}]))).await;
    assert_eq!(stats[0].get_document("storageStats").unwrap().get_i32("count").unwrap(), 500);
    let uses = host.all(aggregate(bson!([{"$indexStats": {}}, {"$match": {"name": "b"}}]))).await;
    assert!(uses[0].get_document("accesses").unwrap().get_i64("ops").unwrap() > 0);
    let documents = doc! {"aggregate": 1, "pipeline": [{"$documents": [{"a": 1}, {"a": 2}]}], "cursor": {}};
    assert_eq!(host.all(documents).await, [doc! {"a": 1}, doc! {"a": 2}]);
    for (pipeline, code) in [
        (bson!([{"$nope": 1}]), 40324),
        (bson!([{"$collStats": {"latencyStats": {}}}]), 238),
        (bson!([{"$changeStream": {}}]), 238),
    ] {
        let text = pipeline.to_string();
        assert_eq!(host.code(aggregate(pipeline)).await, code, "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bulk_writes() {
    let host = Host::new();
    let ops = bson!([
        {"insert": 0, "document": {"_id": 1}}, {"insert": 0, "document": {"_id": 2}}, {"insert": 1, "document": {"_id": 1}},
        {"update": 0, "filter": {"_id": 1}, "updateMods": {"$set": {"a": 1}}},
        {"update": 0, "filter": {"_id": 9}, "updateMods": {"$set": {"a": 1}}, "upsert": true},
        {"delete": 1, "filter": {"_id": 1}}, {"insert": 0, "document": {"_id": 2}}, {"insert": 0, "document": {"_id": 3}},
    ]);
    let command = doc! {"bulkWrite": 1, "ops": ops, "nsInfo": [{"ns": "d.c"}, {"ns": "d.e"}], "ordered": false, "$db": "admin"};
    let reply = host.run(command).await;
    let sums = |name: &str| reply.get_i32(name).unwrap();
    assert_eq!(
        ["nErrors", "nInserted", "nMatched", "nModified", "nUpserted", "nDeleted"].map(sums),
        [1, 4, 1, 1, 1, 1]
    );
    let results = reply.get_document("cursor").unwrap().get_array("firstBatch").unwrap();
    assert_eq!(results.len(), 8);
    assert_eq!(results[6].as_document().unwrap().get_i32("code").unwrap(), 11000);
}
