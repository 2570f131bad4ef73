//! Collections, indexes, statistics and explain.

mod host;

use bson::{Bson, Document, bson, doc};
use engine::DocumentFilter;
use host::Host;
use std::sync::Arc;

#[allow(clippy::unwrap_used)]
fn batch(reply: &Document) -> Vec<Document> {
    let batch = reply.get_document("cursor").unwrap().get_array("firstBatch").unwrap();
    batch.iter().map(|doc| doc.as_document().unwrap().clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn collections_come_and_go() {
    let host = Host::new();
    host.run(doc! {"create": "c"}).await;
    assert_eq!(host.code(doc! {"create": "c"}).await, 48);
    assert_eq!(host.code(doc! {"create": "x", "capped": true}).await, 72);
    host.run(doc! {"insert": "e", "documents": [{"_id": 1}]}).await;
    let listed = batch(&host.run(doc! {"listCollections": 1}).await);
    let names: Vec<&str> = listed.iter().map(|entry| entry.get_str("name").unwrap()).collect();
    assert_eq!(names, ["c", "e"]);
    let info = listed[0].get_document("info").unwrap();
    assert!(info.get_binary_generic("uuid").is_ok() || info.get("uuid").is_some());
    assert_eq!(listed[0].get_document("idIndex").unwrap(), &doc! {"v": 2, "key": {"_id": 1}, "name": "_id_"});
    let brief =
        batch(&host.run(doc! {"listCollections": 1, "nameOnly": true, "filter": {"name": "e"}}).await);
    assert_eq!(brief, [doc! {"name": "e", "type": "collection"}]);
    let databases = host.run(doc! {"listDatabases": 1, "nameOnly": true, "$db": "admin"}).await;
    assert_eq!(databases, doc! {"databases": [{"name": "d"}, {"name": "local"}]});
    host.run(doc! {"renameCollection": "d.e", "to": "d.f", "$db": "admin"}).await;
    assert_eq!(host.all(doc! {"find": "f"}).await, [doc! {"_id": 1}]);
    assert_eq!(host.run(doc! {"drop": "f"}).await, doc! {"nIndexesWas": 1, "ns": "d.f"});
    assert_eq!(host.run(doc! {"drop": "f"}).await, doc! {});
    assert_eq!(host.run(doc! {"dropDatabase": 1}).await, doc! {"dropped": "d"});
    assert_eq!(host.run(doc! {"dropDatabase": 1}).await, doc! {});
    assert_eq!(host.code(doc! {"dropDatabase": 1, "$db": "admin"}).await, 20);
    assert_eq!(host.code(doc! {"listIndexes": "c"}).await, 26);
}

#[tokio::test(flavor = "multi_thread")]
async fn indexes_come_and_go() {
    let host = Host::new();
    let create = |indexes: Bson| doc! {"createIndexes": "c", "indexes": indexes};
    let a = bson!([{"key": {"a": 1}, "name": "a_1"}]);
    let made = host.run(create(a.clone())).await;
    assert_eq!(
        made,
        doc! {"numIndexesBefore": 1, "numIndexesAfter": 2, "createdCollectionAutomatically": true, "commitQuorum": "votingMembers"}
    );
    let again = host.run(create(a)).await;
    assert_eq!(again.get_str("note").unwrap(), "all indexes already exist");
    host.fill([doc! {"_id": 1, "u": 1, "x": 1}, doc! {"_id": 2, "u": 1, "x": 2}]).await;
    for (indexes, code) in [
        (bson!([{"key": {"b": 1}, "name": "a_1"}]), 86),
        (bson!([{"key": {"a": 1}, "name": "other"}]), 85),
        (bson!([{"key": {"u": 1}, "name": "u", "unique": true}]), 11000),
        (bson!([{"key": {"t": 1, "u": 1}, "name": "t", "expireAfterSeconds": 10}]), 67),
        (
            bson!(
                (0..64)
                    .map(|n| Bson::Document(doc! {"key": {format!("f{n}"): 1}, "name": format!("f{n}")}))
                    .collect::<Vec<_>>()
            ),
            67,
        ),
    ] {
        let text = indexes.to_string();
        assert_eq!(host.code(create(indexes)).await, code, "{text}");
    }
    host.run(create(
        bson!([{"key": {"x": 1}, "name": "x", "unique": true}, {"key": {"y": -1}, "name": "y"}]),
    ))
    .await;
    let names: Vec<String> = batch(&host.run(doc! {"listIndexes": "c"}).await)
        .iter()
        .map(|spec| spec.get_str("name").unwrap().into())
        .collect();
    assert_eq!(names, ["_id_", "a_1", "x", "y"]);
    let hidden = host.run(doc! {"collMod": "c", "index": {"name": "y", "hidden": true}}).await;
    assert_eq!(hidden, doc! {"hidden_old": false, "hidden_new": true});
    assert_eq!(host.code(doc! {"dropIndexes": "c", "index": "_id_"}).await, 72);
    assert_eq!(host.code(doc! {"dropIndexes": "c", "index": "nope"}).await, 27);
    assert_eq!(host.run(doc! {"dropIndexes": "c", "index": {"a": 1}}).await, doc! {"nIndexesWas": 4});
    let all = host.run(doc! {"dropIndexes": "c", "index": "*"}).await;
    assert_eq!(all, doc! {"nIndexesWas": 3, "msg": "non-_id indexes dropped for collection"});
}

#[tokio::test(flavor = "multi_thread")]
async fn plans_are_explained() {
    let host = Host::new();
    host.fill((0..100).map(|n| doc! {"_id": n, "a": n % 10, "b": n})).await;
    host.run(doc! {"createIndexes": "c", "indexes": [{"key": {"a": 1, "b": 1}, "name": "ab"}]}).await;
    let rows = [
        (doc! {"find": "c", "filter": {"_id": 1}}, vec!["EXPRESS_IXSCAN"], (1, 1, 1)),
        (doc! {"find": "c", "filter": {"_id": {"$gt": 89}}}, vec!["FETCH", "IXSCAN"], (10, 10, 10)),
        (doc! {"find": "c", "filter": {"b": 1}}, vec!["COLLSCAN"], (1, 0, 100)),
        (doc! {"find": "c", "filter": {"a": 1}}, vec!["FETCH", "IXSCAN"], (10, 10, 10)),
        (
            doc! {"find": "c", "filter": {"a": 1}, "sort": {"b": -1}, "limit": 2},
            vec!["LIMIT", "FETCH", "IXSCAN"],
            (2, 2, 2),
        ),
        (
            doc! {"find": "c", "filter": {"b": {"$gt": 1}}, "sort": {"b": 1}, "skip": 2},
            vec!["SKIP", "SORT", "COLLSCAN"],
            (96, 0, 100),
        ),
        (
            doc! {"find": "c", "projection": {"a": 1}, "limit": 3},
            vec!["LIMIT", "PROJECTION_SIMPLE", "COLLSCAN"],
            (3, 0, 3),
        ),
        (doc! {"find": "nope"}, vec!["EOF"], (0, 0, 0)),
        (doc! {"count": "c", "query": {"a": 1}}, vec!["COUNT", "COUNT_SCAN"], (10, 10, 0)),
        (doc! {"count": "c"}, vec!["RECORD_STORE_FAST_COUNT"], (0, 0, 0)),
        (doc! {"distinct": "c", "key": "a"}, vec!["COLLSCAN"], (100, 0, 100)),
        (
            doc! {"delete": "c", "deletes": [{"q": {"a": 1}, "limit": 0}]},
            vec!["DELETE", "FETCH", "IXSCAN"],
            (10, 10, 10),
        ),
        (
            doc! {"update": "c", "updates": [{"q": {"_id": 1}, "u": {"$set": {"z": 1}}}]},
            vec!["UPDATE", "EXPRESS_IXSCAN"],
            (1, 1, 1),
        ),
        (
            doc! {"aggregate": "c", "pipeline": [{"$match": {"a": 1}}], "cursor": {}},
            vec!["FETCH", "IXSCAN"],
            (10, 10, 10),
        ),
    ];
    for (command, stages, numbers) in rows {
        let text = command.to_string();
        let reply = host.run(doc! {"explain": command, "verbosity": "executionStats"}).await;
        let mut stage =
            Some(reply.get_document("queryPlanner").unwrap().get_document("winningPlan").unwrap());
        let mut found = Vec::new();
        while let Some(at) = stage {
            found.push(at.get_str("stage").unwrap());
            stage = at.get_document("inputStage").ok();
        }
        assert_eq!(found, stages, "{text}");
        let stats = reply.get_document("executionStats").unwrap();
        let number = |name: &str| stats.get_i32(name).unwrap();
        assert_eq!(
            (number("nReturned"), number("totalKeysExamined"), number("totalDocsExamined")),
            numbers,
            "{text}"
        );
    }
    let find = doc! {"find": "c", "filter": {"a": 1, "b": {"$gt": 3, "$lte": 50}}};
    let reply = host.run(doc! {"explain": find, "verbosity": "queryPlanner"}).await;
    let plan = reply.get_document("queryPlanner").unwrap().get_document("winningPlan").unwrap();
    let scan = plan.get_document("inputStage").unwrap();
    assert_eq!(scan.get_document("indexBounds").unwrap(), &doc! {"a": ["[1, 1]"], "b": ["(3, 50]"]});
    assert_eq!(scan.get_str("indexName").unwrap(), "ab");
    let pipeline =
        doc! {"aggregate": "c", "pipeline": [{"$match": {"a": 1}}, {"$group": {"_id": "$b"}}], "cursor": {}};
    let reply = host.run(doc! {"explain": pipeline, "verbosity": "executionStats"}).await;
    let stages = reply.get_array("stages").unwrap();
    assert!(stages[0].as_document().unwrap().contains_key("$cursor"));
    assert_eq!(stages[1].as_document().unwrap().get_i32("nReturned").unwrap(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn sizes_are_told() {
    let host = Host::new();
    host.fill((0..10).map(|n| doc! {"_id": n})).await;
    let stats = host.run(doc! {"collStats": "c"}).await;
    assert_eq!(
        (stats.get_i32("count").unwrap(), stats.get_i32("size").unwrap(), stats.get_i32("nindexes").unwrap()),
        (10, 140, 1)
    );
    let stats = host.run(doc! {"dbStats": 1}).await;
    assert_eq!((stats.get_i32("objects").unwrap(), stats.get_i32("collections").unwrap()), (10, 1));
    let valid = host.run(doc! {"validate": "c", "full": true}).await;
    assert!(valid.get_bool("valid").unwrap());
}

/// Owns documents with an even `_id`.
struct Even;

impl DocumentFilter for Even {
    fn owns(&self, doc: &bson::RawDocument) -> bool {
        doc.get_i32("_id").is_ok_and(|id| id % 2 == 0)
    }

    /// As if the shard key were `{a: 1}`.
    fn is_led_by_key(&self, pattern: &bson::RawDocument) -> bool {
        pattern.iter().next().is_some_and(|field| field.is_ok_and(|(name, _)| name == "a"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_index_of_the_shard_key_stays() {
    let host = Host::with_filter(Some(Arc::new(Even)));
    let names = async || {
        let indexes = host.all(doc! {"listIndexes": "c"}).await;
        let names = indexes.iter().map(|index| index.get_str("name").unwrap().to_owned());
        names.collect::<Vec<_>>()
    };
    host.run(doc! {"createIndexes": "c", "indexes": [
        {"key": {"a": 1}, "name": "a"},
        {"key": {"a": 1, "b": 1}, "name": "ab"},
        {"key": {"a": 1, "c": 1}, "name": "sparse", "sparse": true},
        {"key": {"b": 1}, "name": "b"},
    ]})
    .await;
    host.run(doc! {"dropIndexes": "c", "index": "a"}).await;
    assert_eq!(host.code(doc! {"dropIndexes": "c", "index": "ab"}).await, 303);
    assert_eq!(host.code(doc! {"dropIndexes": "c", "index": ["b", "ab"]}).await, 303);
    assert_eq!(names().await, ["_id_", "ab", "sparse", "b"]);
    host.run(doc! {"dropIndexes": "c", "index": "b"}).await;
    host.run(doc! {"dropIndexes": "c", "index": "*"}).await;
    assert_eq!(names().await, ["_id_", "ab"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_of_others_are_invisible() {
    let host = Host::with_filter(Some(Arc::new(Even)));
    host.fill((0..10).map(|n| doc! {"_id": n, "a": 1})).await;
    assert_eq!(host.all(doc! {"find": "c"}).await.len(), 5);
    assert!(host.all(doc! {"find": "c", "filter": {"_id": 3}}).await.is_empty());
    assert_eq!(host.run(doc! {"count": "c"}).await, doc! {"n": 5});
    let update = doc! {"update": "c", "updates": [{"q": {"a": 1}, "u": {"$set": {"a": 2}}, "multi": true}]};
    assert_eq!(host.run(update).await, doc! {"n": 5, "nModified": 5});
    assert_eq!(
        host.run(doc! {"delete": "c", "deletes": [{"q": {"_id": 3}, "limit": 1}]}).await,
        doc! {"n": 0}
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn sort_keys_go_to_the_router() {
    let host = Host::new();
    host.fill((0..4).map(|n| doc! {"_id": n, "a": 9 - n})).await;
    let routing = command::Routing { with_sort_key: true, ..Default::default() };
    for command in [
        doc! {"find": "c", "sort": {"a": 1}, "projection": {"_id": 1}},
        doc! {"find": "c", "sort": {"_id": -1}},
        doc! {"aggregate": "c", "pipeline": [{"$sort": {"a": 1}}, {"$limit": 3}], "cursor": {}},
    ] {
        let reply = host.run_routed(command.clone(), Some(routing.clone())).await.unwrap();
        let keys: Vec<Vec<u8>> = batch(&reply)
            .iter()
            .map(|doc| {
                assert_eq!(doc.keys().last().unwrap(), "$sortKey");
                doc.get_binary_generic("$sortKey").unwrap().clone()
            })
            .collect();
        assert!(keys.is_sorted() && keys.len() >= 3, "{command}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_renamed_between_local_and_another_database() {
    let host = Host::new();
    host.run(doc! {"insert": "a", "documents": [{"_id": 1}], "$db": "local"}).await;
    host.run(doc! {"insert": "b", "documents": [{"_id": 1}]}).await;
    let rename = |from: &str, to: &str| doc! {"renameCollection": from, "to": to, "$db": "admin"};
    assert_eq!(host.code(rename("local.a", "d.a")).await, 20);
    assert_eq!(host.code(rename("d.b", "local.b")).await, 20);
    let mut over = rename("d.b", "local.a");
    over.insert("dropTarget", true);
    assert_eq!(host.code(over).await, 20);
    host.run(rename("local.a", "local.b")).await;
    // A copy of a local collection is local, so that it may have its name.
    host.run(doc! {"convertToCapped": "b", "size": 4096, "$db": "local"}).await;
    assert_eq!(host.all(doc! {"find": "b", "$db": "local"}).await, [doc! {"_id": 1}]);
}

/// The command on `d.c`: whether all is well, which indexes are, and what it says.
#[cfg(debug_assertions)]
#[allow(clippy::unwrap_used)]
async fn validated(host: &Arc<Host>) -> (bool, Document, String) {
    let reply = host.run(doc! {"validate": "c"}).await;
    let errors = reply.get_array("errors").unwrap();
    let text = errors.iter().map(|error| error.as_str().unwrap()).collect::<Vec<_>>().join("\n");
    let valid = reply.get_bool("valid").unwrap();
    assert_eq!(valid, errors.is_empty());
    (valid, reply.get_document("indexDetails").unwrap().clone(), text)
}

#[cfg(debug_assertions)]
#[tokio::test(flavor = "multi_thread")]
async fn validation_finds_wrong_counts_and_marks() {
    use engine::HasEngine;
    for spoil_count in [true, false] {
        let host = Host::new();
        let indexes = bson!([{"key": {"a": 1}, "name": "a"}, {"key": {"u": 1}, "name": "u", "unique": true}]);
        host.run(doc! {"createIndexes": "c", "indexes": indexes}).await;
        host.fill((0..10).map(|n| doc! {"_id": n, "a": [n, n + 1], "u": n})).await;
        let fine = doc! {"_id_": {"valid": true}, "a": {"valid": true}, "u": {"valid": true}};
        assert_eq!(validated(&host).await, (true, fine.clone(), String::new()));
        let reply = host.run(doc! {"validate": "c"}).await;
        assert_eq!(
            reply.get_document("keysPerIndex").unwrap(),
            &doc! {"_id_": 10_i64, "a": 20_i64, "u": 10_i64}
        );
        let store = host.engine().store();
        let catalog = store.catalog();
        let collection = catalog.get(&types::Namespace::parse("d.c").unwrap()).unwrap();
        if spoil_count {
            store.spoil_count(collection);
            let (valid, details, text) = validated(&host).await;
            assert_eq!((valid, details), (false, fine));
            assert!(text.contains("counted as 11 records") && text.contains("copy its data anew"), "{text}");
        } else {
            store.spoil_multikey(collection.index("a").unwrap());
            let (valid, details, text) = validated(&host).await;
            assert!(!valid);
            assert_eq!(details.get_document("a").unwrap(), &doc! {"valid": false});
            assert_eq!(details.get_document("u").unwrap(), &doc! {"valid": true});
            assert!(text.contains("drop the index and create it again"), "{text}");
            // Which mends it.
            host.run(doc! {"dropIndexes": "c", "index": "a"}).await;
            let again = bson!([{"key": {"a": 1}, "name": "a"}]);
            host.run(doc! {"createIndexes": "c", "indexes": again}).await;
            assert!(validated(&host).await.0);
        }
    }
}
