//! Capped collections and their tails, the log as a collection, and the kinds of indexes, through commands.
#![allow(clippy::unwrap_used)]

mod host;

use bson::{Bson, Document, bson, doc};
use host::{Host, ids};
use std::time::{Duration, Instant};

/// The name of the index that a find goes by; empty for none.
async fn index_of(host: &std::sync::Arc<Host>, filter: Document) -> String {
    let reply = host.run(doc! {"explain": {"find": "c", "filter": filter}}).await;
    let text = reply.to_string();
    let found = text.split("\"indexName\": \"").nth(1).and_then(|rest| rest.split('"').next());
    if text.contains("\"rejectedPlans\": []") || !text.contains("COLLSCAN") {
        return found.unwrap_or_default().to_owned();
    }
    String::new()
}

#[tokio::test]
async fn capped_collections() {
    let host = Host::new();
    host.run(doc! {"create": "c", "capped": true, "size": 100_000, "max": 4}).await;
    host.fill([9, 3, 7, 1, 8].map(|id| doc! {"_id": id, "x": id})).await;
    let found = host.all(doc! {"find": "c"}).await;
    assert_eq!(Bson::Array(ids(&found)), bson!([3, 7, 1, 8]));
    let found = host.all(doc! {"find": "c", "sort": {"$natural": -1}, "limit": 2}).await;
    assert_eq!(Bson::Array(ids(&found)), bson!([8, 1]));
    assert_eq!(Bson::Array(ids(&host.all(doc! {"find": "c", "filter": {"_id": 7}}).await)), bson!([7]));
    assert_eq!(
        Bson::Array(ids(&host.all(doc! {"find": "c", "sort": {"_id": 1}}).await)),
        bson!([1, 3, 7, 8])
    );
    let updated = host
        .run(doc! {"update": "c", "updates": [{"q": {"_id": 7}, "u": {"$set": {"y": "z".repeat(100)}}}]})
        .await;
    assert_eq!(updated.get_i32("nModified").unwrap(), 1);
    host.run(doc! {"delete": "c", "deletes": [{"q": {"_id": 1}, "limit": 1}]}).await;
    let found = host.all(doc! {"find": "c"}).await;
    assert_eq!(Bson::Array(ids(&found)), bson!([3, 7, 8]));
    let again = host.run(doc! {"insert": "c", "documents": [{"_id": 3}]}).await;
    let error = again.get_array("writeErrors").unwrap()[0].as_document().unwrap().clone();
    assert_eq!(error.get_i32("code").unwrap(), 11000);
    let stats = host.run(doc! {"collStats": "c"}).await;
    assert!(stats.get_bool("capped").unwrap());
    assert_eq!((stats.get_i32("max").unwrap(), stats.get_i32("maxSize").unwrap()), (4, 100_096));
    let valid = host.run(doc! {"validate": "c", "full": true}).await;
    assert!(valid.get_bool("valid").unwrap(), "{valid}");
    let ttl =
        doc! {"createIndexes": "c", "indexes": [{"key": {"t": 1}, "name": "t", "expireAfterSeconds": 1}]};
    assert_eq!(host.code(ttl).await, 67);
}

fn batch(reply: &Document) -> (Vec<Bson>, i64) {
    let cursor = reply.get_document("cursor").unwrap();
    let batch = cursor.get_array("firstBatch").or_else(|_| cursor.get_array("nextBatch")).unwrap();
    let ids = batch.iter().map(|doc| doc.as_document().unwrap().get("_id").unwrap().clone()).collect();
    (ids, cursor.get_i64("id").unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_waits_for_more() {
    let host = Host::new();
    host.run(doc! {"create": "c", "capped": true, "size": 100_000, "max": 10}).await;
    let tail = doc! {"find": "c", "tailable": true, "awaitData": true};
    // Nothing to stay at.
    assert_eq!(batch(&host.run(tail.clone()).await), (vec![], 0));
    host.fill([1, 2].map(|id| doc! {"_id": id})).await;
    let (found, id) = batch(&host.run(tail.clone()).await);
    assert_eq!(found, [Bson::Int32(1), Bson::Int32(2)]);
    assert_ne!(id, 0);
    let more = doc! {"getMore": id, "collection": "c", "maxTimeMS": 300};
    let start = Instant::now();
    assert_eq!(batch(&host.run(more.clone()).await), (vec![], id));
    assert!(start.elapsed() >= Duration::from_millis(290));
    let more_of_it = doc! {"getMore": id, "collection": "c", "maxTimeMS": 30_000};
    let start = Instant::now();
    let write = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        host.run(doc! {"insert": "other", "documents": [{"_id": 1}]}).await;
        host.fill([doc! {"_id": 3}]).await;
    };
    let (reply, ()) = futures::join!(host.run(more_of_it), write);
    assert_eq!(batch(&reply), (vec![Bson::Int32(3)], id));
    assert!(start.elapsed() < Duration::from_secs(5));
    // What it has seen last is gone, and with it its place.
    host.fill((10..30).map(|id| doc! {"_id": id})).await;
    assert_eq!(host.code(more).await, 136);
    // Without awaitData it answers at once.
    let (_, id) = batch(&host.run(doc! {"find": "c", "tailable": true, "filter": {"x": 1}}).await);
    assert_eq!(batch(&host.run(doc! {"getMore": id, "collection": "c"}).await), (vec![], id));
    assert_eq!(host.code(doc! {"getMore": id, "collection": "c", "maxTimeMS": 5}).await, 2);
    for (body, code) in [
        (doc! {"find": "plain", "awaitData": true}, 9),
        (doc! {"find": "c", "tailable": true, "sort": {"a": 1}}, 2),
        (doc! {"find": "c", "tailable": true, "singleBatch": true}, 2),
        (doc! {"find": "other", "tailable": true}, 2),
    ] {
        assert_eq!(host.code(body).await, code);
    }
    assert_eq!(batch(&host.run(doc! {"find": "missing", "tailable": true}).await), (vec![], 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_read_as_a_collection() {
    let host = Host::new();
    host.fill([doc! {"_id": 1, "pad": "x".repeat(200), "n": 1}]).await;
    host.run(doc! {"update": "c", "updates": [{"q": {"_id": 1}, "u": {"$inc": {"n": 1}}}]}).await;
    host.run(doc! {"delete": "c", "deletes": [{"q": {"_id": 1}, "limit": 1}]}).await;
    let log = |extra: Document| {
        let mut find = doc! {"find": "oplog.rs", "$db": "local"};
        find.extend(extra);
        find
    };
    let all = host.all(log(doc! {})).await;
    let ops: Vec<&str> = all.iter().map(|entry| entry.get_str("op").unwrap()).collect();
    assert_eq!(ops, ["c", "i", "u", "d"]);
    let update = &all[2];
    assert_eq!(update.get_document("o").unwrap(), &doc! {"$v": 2, "diff": {"u": {"n": 2}}});
    assert_eq!(update.get_document("o2").unwrap(), &doc! {"_id": 1});
    assert_eq!((update.get_str("ns").unwrap(), update.get_i64("v").unwrap()), ("d.c", 2));
    for field in ["ui", "ts", "t", "wall"] {
        assert!(update.contains_key(field), "{field}");
    }
    let newest = host.all(log(doc! {"sort": {"$natural": -1}, "limit": 1})).await;
    assert_eq!(newest[0], all[3]);
    let since = doc! {"filter": {"ts": {"$gte": update.get("ts").unwrap().clone()}}};
    assert_eq!(host.all(log(since.clone())).await, all[2..]);
    let plan = host.run(doc! {"explain": log(since), "verbosity": "executionStats", "$db": "local"}).await;
    assert_eq!(
        plan.get_document("executionStats").unwrap().get_i32("totalDocsExamined").unwrap(),
        2,
        "{plan}"
    );
    assert_eq!(host.all(log(doc! {"filter": {"op": "d"}})).await, all[3..]);
    let count = host.run(doc! {"count": "oplog.rs", "$db": "local"}).await;
    assert_eq!(count.get_i32("n").unwrap(), 4);
    let stats = host
        .all(doc! {"aggregate": "oplog.rs", "$db": "local", "cursor": {}, "pipeline": [{"$collStats": {"storageStats": {}}}]})
        .await;
    let stats = stats[0].get_document("storageStats").unwrap();
    assert!(stats.get_bool("capped").unwrap() && stats.contains_key("maxSize") && stats.contains_key("size"));
    let listed = host.all(doc! {"listCollections": 1, "nameOnly": true, "$db": "local"}).await;
    assert_eq!(listed, [doc! {"name": "oplog.rs", "type": "collection"}]);
    // A tail from the last entry wakes with the next.
    let tail = log(
        doc! {"tailable": true, "awaitData": true, "filter": {"ts": {"$gt": all[3].get("ts").unwrap().clone()}}},
    );
    let reply = host.run(tail).await;
    let id = reply.get_document("cursor").unwrap().get_i64("id").unwrap();
    let more = doc! {"getMore": id, "collection": "oplog.rs", "$db": "local", "maxTimeMS": 30_000};
    let write = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        host.fill([doc! {"_id": 7}]).await;
    };
    let (reply, ()) = futures::join!(host.run(more), write);
    let next = reply.get_document("cursor").unwrap().get_array("nextBatch").unwrap();
    assert_eq!(next[0].as_document().unwrap().get_document("o").unwrap(), &doc! {"_id": 7});
    for write in [
        doc! {"insert": "oplog.rs", "$db": "local", "documents": [{"_id": 1}]},
        doc! {"delete": "oplog.rs", "$db": "local", "deletes": [{"q": {}, "limit": 0}]},
        doc! {"drop": "oplog.rs", "$db": "local"},
        doc! {"createIndexes": "oplog.rs", "$db": "local", "indexes": [{"key": {"a": 1}, "name": "a"}]},
    ] {
        let refused = match host.try_run(write.clone()).await {
            Err(_) => true,
            Ok(reply) => reply.contains_key("writeErrors"),
        };
        assert!(refused, "{write}");
    }
}

#[tokio::test]
async fn kinds_of_indexes_are_chosen_where_they_hold_the_answer() {
    let host = Host::new();
    host.fill((0..100).map(|id| {
        doc! {"_id": id, "a": id % 10, "on": id % 2 == 0, "deep": {"x": id % 7, "l": [id, {"y": id}]}, "s": id.to_string()}
    }))
    .await;
    let indexes = bson!([
        {"key": {"a": 1}, "name": "partial", "partialFilterExpression": {"on": true}},
        {"key": {"$**": 1}, "name": "wild", "wildcardProjection": {"deep": 1, "s": 1}},
    ]);
    host.run(doc! {"createIndexes": "c", "indexes": indexes}).await;
    let rows = [
        (doc! {"a": 4, "on": true}, "partial"),
        (doc! {"a": 4}, ""),
        (doc! {"a": 4, "on": false}, ""),
        (doc! {"deep.x": 3}, "wild"),
        (doc! {"deep.x": {"$gt": 3}}, "wild"),
        (doc! {"deep.l": 5}, "wild"),
        (doc! {"deep.l.y": {"$lt": 5}}, "wild"),
        (doc! {"deep.x": {"$gt": 1, "$lt": 4}, "a": 1}, "wild"),
        (doc! {"s": {"$gte": "9"}}, "wild"),
        (doc! {"s": {"$in": ["7", "8"]}}, "wild"),
        (doc! {"deep.x": Bson::Null}, ""),
        (doc! {"deep": {"x": 3}}, ""),
        (doc! {"deep.l.0": 5}, ""),
        (doc! {"deep.x": {"$ne": 3}}, ""),
        (doc! {"other": 3}, ""),
    ];
    for (filter, index) in rows {
        assert_eq!(index_of(&host, filter.clone()).await, index, "{filter}");
        let mut found = ids(&host.all(doc! {"find": "c", "filter": filter.clone()}).await);
        let mut scanned =
            ids(&host.all(doc! {"find": "c", "filter": filter.clone(), "hint": {"$natural": 1}}).await);
        for list in [&mut found, &mut scanned] {
            list.sort_by_key(|id| id.as_i32().unwrap());
        }
        assert_eq!(found, scanned, "{filter}");
    }
    let valid = host.run(doc! {"validate": "c", "full": true}).await;
    assert!(valid.get_bool("valid").unwrap(), "{valid}");
    let bad = bson!([{"key": {"a": 1}, "name": "p", "partialFilterExpression": {"b": {"$ne": 1}}}]);
    assert_eq!(host.code(doc! {"createIndexes": "c", "indexes": bad}).await, 67);
    let listed = host.all(doc! {"listIndexes": "c"}).await;
    assert_eq!(listed[1].get_document("partialFilterExpression").unwrap(), &doc! {"on": true});
    assert_eq!(listed[2].get_document("wildcardProjection").unwrap(), &doc! {"deep": 1, "s": 1});
}

#[tokio::test]
async fn what_has_expired_is_removed() {
    let host = Host::new();
    let now = runtime::clock::now_millis();
    let ago = |seconds: i64| bson::DateTime::from_millis(now - seconds * 1000);
    host.fill([
        doc! {"_id": 1, "t": ago(100)},
        doc! {"_id": 2, "t": ago(10)},
        doc! {"_id": 3, "t": [ago(1), ago(100)]},
        doc! {"_id": 4, "t": "long ago"},
        doc! {"_id": 5},
        doc! {"_id": 6, "p": ago(100), "on": true},
        doc! {"_id": 7, "p": ago(100)},
    ])
    .await;
    let indexes = bson!([
        {"key": {"t": 1}, "name": "t", "expireAfterSeconds": 60},
        {"key": {"p": 1}, "name": "p", "expireAfterSeconds": 60, "partialFilterExpression": {"on": true}},
        {"key": {"u": 1}, "name": "u"},
    ]);
    host.run(doc! {"createIndexes": "c", "indexes": indexes}).await;
    let pass = async || {
        use engine::HasEngine;
        host.engine().ttl().pass(&*host).await;
        Bson::Array(ids(&host.all(doc! {"find": "c"}).await))
    };
    assert_eq!(pass().await, bson!([2, 4, 5, 7]));
    let changed = host.run(doc! {"collMod": "c", "index": {"name": "t", "expireAfterSeconds": 5}}).await;
    assert_eq!(changed, doc! {"expireAfterSeconds_old": 60_i64, "expireAfterSeconds_new": 5_i64});
    assert_eq!(pass().await, bson!([4, 5, 7]));
    let made =
        host.run(doc! {"collMod": "c", "index": {"keyPattern": {"u": 1}, "expireAfterSeconds": 1}}).await;
    assert_eq!(made, doc! {"expireAfterSeconds_new": 1_i64});
    let listed = host.all(doc! {"listIndexes": "c"}).await;
    assert_eq!(listed[3], doc! {"v": 2, "key": {"u": 1}, "name": "u", "expireAfterSeconds": 1});
    assert_eq!(
        host.code(doc! {"collMod": "c", "index": {"name": "_id_", "expireAfterSeconds": 1}}).await,
        72
    );
    let hidden = host.run(doc! {"collMod": "c", "index": {"name": "u", "hidden": true}}).await;
    assert_eq!(hidden, doc! {"hidden_old": false, "hidden_new": true});
}

#[tokio::test]
async fn in_a_capped_collection_equal_keys_are_in_the_order_of_their_ids() {
    let host = Host::new();
    host.run(doc! {"create": "c", "capped": true, "size": 100_000}).await;
    host.run(doc! {"createIndexes": "c", "indexes": [{"key": {"x": 1}, "name": "x"}]}).await;
    host.fill([doc! {"_id": 2, "x": 1}, doc! {"_id": 1, "x": 1}, doc! {"_id": 3, "x": 0}]).await;
    let found = host.all(doc! {"find": "c", "sort": {"x": 1, "_id": 1}}).await;
    assert_eq!(Bson::Array(ids(&found)), bson!([3, 1, 2]));
}

#[tokio::test]
async fn a_number_in_a_path_may_be_a_place_or_a_name() {
    let host = Host::new();
    host.run(doc! {"createIndexes": "c", "indexes": [{"key": {"a.0": 1}, "name": "a0"}]}).await;
    host.fill([
        doc! {"_id": 1, "a": [{"0": 7}]},
        doc! {"_id": 2, "a": [7]},
        doc! {"_id": 3, "a": {"0": 7}},
        doc! {"_id": 4, "a": [5, [7]]},
        doc! {"_id": 5, "a": [8, {"0": 7}]},
    ])
    .await;
    for filter in [
        doc! {"a.0": 7},
        doc! {"a.0": {"$gt": 6, "$lt": 8}},
        doc! {"a": {"$elemMatch": {"0": 7}}},
        doc! {"a": {"0": 7}},
        doc! {"a.0": {"$ne": 7}},
    ] {
        let wanted = host.all(doc! {"find": "c", "filter": filter.clone(), "hint": {"$natural": 1}}).await;
        let found = host.all(doc! {"find": "c", "filter": filter.clone(), "hint": "a0"}).await;
        assert_eq!(host::sorted(ids(&found)), host::sorted(ids(&wanted)), "{filter}");
        assert!(!wanted.is_empty(), "{filter}");
    }
}

#[tokio::test]
async fn a_hidden_index_makes_documents_expire_without_a_scan() {
    use engine::HasEngine;
    let host = Host::new();
    let old = bson::DateTime::from_millis(0);
    host.fill(
        (0..300).map(|id| doc! {"_id": id, "t": if id < 3 { Bson::DateTime(old) } else { Bson::Null }}),
    )
    .await;
    host.run(doc! {"createIndexes": "c", "indexes": [{"key": {"t": 1}, "name": "t", "expireAfterSeconds": 60, "hidden": true}]})
        .await;
    host.engine().ttl().pass(&*host).await;
    assert_eq!(host.run(doc! {"count": "c"}).await, doc! {"n": 297});
    let catalog = host.engine().store().catalog();
    let collection = catalog.get(&types::Namespace::parse("d.c").unwrap()).unwrap();
    let index = collection.index("t").unwrap();
    assert!(index.hidden);
    assert_eq!(host.engine().index_uses().of(index.id), 1);
}

/// More than an update by an index names at a time: ids of a kilobyte.
fn many() -> impl Iterator<Item = Document> {
    (0..20_000).map(|n| doc! {"_id": format!("{n:01000}"), "x": n, "l": [n, n + 30_000, n + 60_000]})
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_by_an_index_meets_each_of_very_many_documents_once() {
    let host = Host::new();
    host.run(doc! {"createIndexes": "c", "indexes": [{"key": {"x": 1}, "name": "x"}, {"key": {"l": 1}, "name": "l"}]})
        .await;
    host.fill(many()).await;
    let update = async |q: Document, u: Document, hint: &str| {
        let one = doc! {"q": q, "u": u, "multi": true, "hint": hint};
        let reply = host.run(doc! {"update": "c", "updates": [one]}).await;
        assert_eq!(reply, doc! {"n": 20_000, "nModified": 20_000}, "{hint}");
    };
    // Each update moves its document forward in the index that is gone through, past others that are still to come.
    update(doc! {"x": {"$gte": 0}}, doc! {"$inc": {"x": 5_000, "n": 1}}, "x").await;
    update(doc! {"l": {"$gte": 0}}, doc! {"$push": {"l": 100_000}, "$inc": {"n": 1}}, "l").await;
    assert_eq!(
        host.run(doc! {"count": "c", "query": {"n": 2, "x": {"$gte": 5_000}}}).await,
        doc! {"n": 20_000}
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delete_by_an_index_over_arrays_meets_each_document_once() {
    let host = Host::new();
    host.run(doc! {"createIndexes": "c", "indexes": [{"key": {"l": 1}, "name": "l"}]}).await;
    host.fill((0..3_000).map(|n| doc! {"_id": n, "l": [n, n + 1, n + 4_000], "keep": n % 3 == 0})).await;
    let one = doc! {"q": {"l": {"$gte": 10}, "keep": false}, "limit": 0, "hint": "l"};
    // Of the first ten every one has an entry past 4,000.
    assert_eq!(host.run(doc! {"delete": "c", "deletes": [one.clone()]}).await, doc! {"n": 2_000});
    assert_eq!(host.run(doc! {"delete": "c", "deletes": [one]}).await, doc! {"n": 0});
    assert_eq!(host.run(doc! {"count": "c", "query": {"keep": true}}).await, doc! {"n": 1_000});
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_goes_ends_the_delete_that_went_by_it() {
    let host = Host::new();
    host.run(doc! {"createIndexes": "c", "indexes": [{"key": {"x": 1}, "name": "x"}]}).await;
    for part in 0..10 {
        host.fill((0..3_000).map(|n| doc! {"_id": part * 3_000 + n, "x": n})).await;
    }
    let mut delete = tokio::task::JoinSet::new();
    delete.spawn({
        let host = std::sync::Arc::clone(&host);
        async move {
            let one = doc! {"q": {"x": {"$gte": 0}}, "limit": 0};
            host.try_run(doc! {"delete": "c", "deletes": [one]}).await.unwrap()
        }
    });
    while host.run(doc! {"count": "c"}).await == (doc! {"n": 30_000}) {
        tokio::task::yield_now().await;
    }
    host.run(doc! {"dropIndexes": "c", "index": "x"}).await;
    let reply = delete.join_next().await.unwrap().unwrap();
    let left = host.run(doc! {"count": "c"}).await.get_i32("n").unwrap();
    match reply.get_array("writeErrors") {
        Ok(errors) => {
            let error = errors[0].as_document().unwrap();
            assert_eq!(error.get_i32("code").unwrap(), 175, "{error}");
            assert!(left > 0);
        }
        // It was faster.
        Err(_) => assert_eq!((reply.get_i32("n").unwrap(), left), (30_000, 0)),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn very_much_expires_in_portions() {
    use engine::HasEngine;
    let host = Host::new();
    let old = bson::DateTime::from_millis(0);
    host.fill((0..5_000).map(|n| doc! {"_id": n, "t": [old, bson::DateTime::from_millis(n)]})).await;
    let indexes = bson!([{"key": {"t": 1}, "name": "t", "expireAfterSeconds": 60}]);
    host.run(doc! {"createIndexes": "c", "indexes": indexes}).await;
    host.engine().ttl().pass(&*host).await;
    assert_eq!(host.run(doc! {"count": "c"}).await, doc! {"n": 0});
    assert_eq!(host.engine().ttl().deleted(), 5_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delete_by_an_index_spares_what_no_longer_matches() {
    let host = Host::new();
    host.run(doc! {"createIndexes": "c", "indexes": [{"key": {"x": 1}, "name": "x"}]}).await;
    host.fill((0..10_000).map(|n| doc! {"_id": n, "x": 10 + n})).await;
    let mut saver = tokio::task::JoinSet::new();
    saver.spawn({
        let host = std::sync::Arc::clone(&host);
        async move {
            let mut saved = 0;
            for id in (0..10_000).step_by(7) {
                let one = doc! {"q": {"_id": id, "x": {"$gte": 10}}, "u": {"$set": {"x": 0}}};
                saved += host.run(doc! {"update": "c", "updates": [one]}).await.get_i32("nModified").unwrap();
            }
            saved
        }
    });
    let one = doc! {"q": {"x": {"$gte": 10}}, "limit": 0};
    let deleted = host.run(doc! {"delete": "c", "deletes": [one]}).await.get_i32("n").unwrap();
    let saved = saver.join_next().await.unwrap().unwrap();
    assert_eq!(host.run(doc! {"count": "c", "query": {"x": 0}}).await, doc! {"n": saved});
    assert_eq!(deleted + saved, 10_000);
}
