//! Making, listing and dropping collections and databases.

use bson::{Document, doc};
use tests::Cluster;
use tests::driver::Connection;

fn names(peer: &mut Connection, db: &str) -> Vec<String> {
    let mut names: Vec<String> = peer
        .all(db, doc! { "listCollections": 1 })
        .iter()
        .map(|collection| collection.get_str("name").unwrap().to_owned())
        .collect();
    names.sort();
    names
}

fn databases(peer: &mut Connection) -> Vec<String> {
    let reply = peer.run("admin", doc! { "listDatabases": 1 });
    let listed = reply.get_array("databases").unwrap();
    listed.iter().map(|one| one.as_document().unwrap().get_str("name").unwrap().to_owned()).collect()
}

#[test]
fn collections_come_and_go() {
    let cluster = Cluster::shared();
    let mut peer = cluster.connect();
    let db = "coming";
    peer.run(db, doc! { "create": "explicit" });
    let error = peer.fail(db, doc! { "create": "explicit", "capped": true, "size": 1000 });
    assert!([48, 238, 115].contains(&error.code), "{error}");
    peer.run(db, doc! { "insert": "implicit", "documents": [{ "a": 1 }] });
    peer.run("admin", doc! { "shardCollection": format!("{db}.sharded"), "key": { "_id": "hashed" } });
    assert_eq!(names(&mut peer, db), ["explicit", "implicit", "sharded"]);
    assert!(databases(&mut peer).contains(&db.to_owned()));
    let listed = peer.all(db, doc! { "listCollections": 1, "filter": { "name": "sharded" } });
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].get_str("type").unwrap(), "collection");
    assert!(listed[0].get_document("info").unwrap().contains_key("uuid"), "{}", listed[0]);

    for name in ["explicit", "implicit", "sharded"] {
        let reply = peer.run(db, doc! { "drop": name });
        assert_eq!(reply.get_str("ns").unwrap(), format!("{db}.{name}"));
    }
    assert_eq!(names(&mut peer, db), [] as [&str; 0]);
    let gone =
        peer.all("config", doc! { "find": "collections", "filter": { "_id": format!("{db}.sharded") } });
    assert_eq!(gone, [] as [Document; 0]);
    // Since 7.0, dropping nothing is no error; before, it was 26.
    if let Err(error) = peer.command(db, doc! { "drop": "explicit" }) {
        assert_eq!(error.code, 26);
    }
}

#[test]
fn a_dropped_collection_may_be_sharded_again() {
    let cluster = Cluster::shared();
    let mut peer = cluster.connect();
    for key in [doc! { "_id": "hashed" }, doc! { "country": 1, "name": 1 }, doc! { "_id": 1 }] {
        crate::cities(&mut peer, "again", key);
        assert_eq!(crate::on_shards(&cluster, "again", "cities").iter().sum::<i32>(), 2_000);
        peer.run("again", doc! { "drop": "cities" });
        assert_eq!(crate::on_shards(&cluster, "again", "cities"), [0, 0]);
    }
    crate::cities(&mut peer, "again", doc! { "_id": "hashed" });
    peer.run("again", doc! { "dropDatabase": 1 });
    assert!(!databases(&mut peer).contains(&"again".to_owned()));
    assert_eq!(crate::on_shards(&cluster, "again", "cities"), [0, 0]);
    let left = peer.all("config", doc! { "find": "databases", "filter": { "_id": "again" } });
    assert_eq!(left, [] as [Document; 0]);
    // Not even its name is burnt.
    crate::cities(&mut peer, "again", doc! { "_id": "hashed" });
    assert_eq!(crate::on_shards(&cluster, "again", "cities").iter().sum::<i32>(), 2_000);
}

#[test]
fn statistics_are_sums_over_shards() {
    let cluster = Cluster::shared();
    let mut peer = cluster.connect();
    crate::cities(&mut peer, "sums", doc! { "_id": "hashed" });
    let stats = peer.run("sums", doc! { "collStats": "cities" });
    assert_eq!(tests::driver::number(&stats, "count"), 2_000.0, "{stats}");
    assert_eq!(stats.get_bool("sharded").ok(), Some(true), "{stats}");
    assert_eq!(stats.get_document("shards").unwrap().len(), 2, "{stats}");
    let stats = peer.run("sums", doc! { "dbStats": 1 });
    assert_eq!(tests::driver::number(&stats, "objects"), 2_000.0, "{stats}");
    let per_shard =
        peer.all("sums", doc! { "aggregate": "cities", "pipeline": [{ "$collStats": { "storageStats": { "scale": 1 } } }], "cursor": {} });
    let counts =
        per_shard.iter().map(|one| tests::driver::number(one.get_document("storageStats").unwrap(), "count"));
    assert_eq!(counts.sum::<f64>(), 2_000.0);
    assert!(per_shard.iter().all(|one| one.get_str("shard").is_ok_and(|shard| shard.starts_with("shard"))));
}

#[test]
fn a_capped_collection_is_tailed_through_the_router() {
    let cluster = Cluster::shared();
    let mut peer = cluster.connect();
    let db = "tailed";
    peer.run(db, doc! { "create": "log", "capped": true, "size": 100_000, "max": 3 });
    peer.run(
        db,
        doc! { "insert": "log", "documents": (0..5).map(|id| doc! { "_id": id }).collect::<Vec<_>>() },
    );
    let reply = peer.run(db, doc! { "find": "log", "tailable": true, "awaitData": true });
    let cursor = reply.get_document("cursor").unwrap();
    assert_eq!(cursor.get_array("firstBatch").unwrap().len(), 3);
    let id = cursor.get_i64("id").unwrap();
    assert_ne!(id, 0);
    let more = doc! { "getMore": id, "collection": "log", "maxTimeMS": 200 };
    let start = std::time::Instant::now();
    let reply = peer.run(db, more.clone());
    assert_eq!(reply.get_document("cursor").unwrap().get_array("nextBatch").unwrap().len(), 0);
    assert_eq!(reply.get_document("cursor").unwrap().get_i64("id").unwrap(), id);
    assert!(start.elapsed() >= std::time::Duration::from_millis(180));
    cluster.connect().run(db, doc! { "insert": "log", "documents": [{ "_id": 9 }] });
    let reply = peer.run(db, more);
    assert_eq!(reply.get_document("cursor").unwrap().get_array("nextBatch").unwrap().len(), 1);
    peer.run(db, doc! { "killCursors": "log", "cursors": [id] });
    let stats = peer.run(db, doc! { "collStats": "log" });
    assert_eq!((stats.get_bool("capped").unwrap(), stats.get_i32("max").unwrap()), (true, 3));
    let error = peer.fail("admin", doc! { "shardCollection": format!("{db}.log"), "key": { "_id": 1 } });
    assert_eq!(error.code, 72);
}

#[test]
fn kinds_of_indexes_on_all_shards() {
    let cluster = Cluster::shared();
    let mut peer = cluster.connect();
    let db = "kinds";
    peer.run("admin", doc! { "shardCollection": format!("{db}.c"), "key": { "_id": "hashed" } });
    let docs: Vec<_> = (0..50).map(|id| doc! { "_id": id, "a": id % 5, "on": id % 2 == 0 }).collect();
    peer.run(db, doc! { "insert": "c", "documents": docs });
    let indexes = [
        doc! { "key": { "a": 1 }, "name": "partial", "partialFilterExpression": { "on": true } },
        doc! { "key": { "$**": 1 }, "name": "wild" },
        doc! { "key": { "t": 1 }, "name": "t", "expireAfterSeconds": 3600 },
    ];
    peer.run(db, doc! { "createIndexes": "c", "indexes": indexes.to_vec() });
    assert_eq!(peer.all(db, doc! { "listIndexes": "c" }).len(), 5);
    assert_eq!(peer.all(db, doc! { "find": "c", "filter": { "a": 2, "on": true } }).len(), 5);
    peer.run(db, doc! { "collMod": "c", "index": { "name": "t", "expireAfterSeconds": 60 } });
    let listed = peer.all(db, doc! { "listIndexes": "c" });
    assert!(
        listed.iter().any(|index| index.get_i32("expireAfterSeconds").is_ok_and(|seconds| seconds == 60))
    );
    assert!(peer.run(db, doc! { "validate": "c", "full": true }).get_bool("valid").unwrap());
}
