//! Shards join, databases get homes, collections get keys.

use super::{Cluster, ns_of};
use crate::ddl::sections::Sections;
use bson::{Bson, doc};
use types::{Code, ShardId};

#[tokio::test]
async fn shards_join() {
    let cluster = Cluster::new(2).await;
    assert_eq!(cluster.add("s0/s0:1").await.unwrap().as_str(), "s0");
    assert_eq!(cluster.add("s1:1").await.unwrap().as_str(), "s1");
    let identity = cluster.shards.identity("s1").unwrap();
    assert_eq!(identity.get_str("shardName").unwrap(), "s1");
    assert_eq!(identity.get_str("configsvrConnectionString").unwrap(), "cfg/c:1");
    let shards = cluster.metadata.view().unwrap().shard_documents().unwrap();
    assert_eq!(shards.len(), 2);
    assert_eq!(shards[0].get_str("host").unwrap(), "s0/s0:1");
    assert_eq!(shards[0].get_i32("state").unwrap(), 1);
    // One with data brings its databases along.
    cluster.shards.start("s2");
    cluster.shards.put("s2", "old.c", vec![doc! {"_id": 1}], vec![]);
    cluster.add("s2/s2:1").await.unwrap();
    assert_eq!(cluster.home("old"), "s2");
}

#[tokio::test]
async fn what_cannot_be_a_shard_is_refused() {
    let cluster = Cluster::new(1).await;
    cluster.metadata.create_database("taken", None, "").await.unwrap();
    let shards = &cluster.shards;
    shards.start_as("router", doc! {"msg": "isdbgrid"});
    shards.start_as(
        "config",
        doc! {"configsvr": 2, "setName": "x", "hosts": ["config:1"], "isWritablePrimary": true},
    );
    shards.start_as("fresh", doc! {"isreplicaset": true, "isWritablePrimary": false});
    shards
        .start_as("waiting", doc! {"setName": "waiting", "hosts": ["waiting:1"], "isWritablePrimary": false});
    shards.start("full");
    shards.put("full", "taken.c", vec![], vec![]);
    shards.start_as(
        "twin",
        doc! {"setName": "s0", "hosts": ["twin:1"], "me": "twin:1", "isWritablePrimary": true},
    );
    for (url, code, text) in [
        ("nobody:1", Code::OperationFailed, "--shardsvr"),
        ("router:1", Code::OperationFailed, "mongos"),
        ("x/config:1", Code::OperationFailed, "config server"),
        ("fresh:1", Code::OperationFailed, "rs.initiate()"),
        ("waiting:1", Code::OperationFailed, "no primary"),
        ("other/full:1", Code::OperationFailed, "other"),
        ("full:1", Code::OperationFailed, "taken"),
        ("s0/twin:1", Code::IllegalOperation, "s0"),
    ] {
        let fault = cluster.add(url).await.unwrap_err();
        assert_eq!(fault.code, code, "{url}: {fault}");
        assert!(fault.message.contains(text), "{url}: {fault}");
    }
    assert_eq!(cluster.metadata.view().unwrap().shards().unwrap().len(), 1);
}

#[tokio::test]
async fn databases_get_one_home() {
    let cluster = Cluster::new(3).await;
    let make = |_| cluster.metadata.create_database("d", None, "");
    let made = futures::future::join_all((0..8).map(make)).await;
    let made: Vec<_> = made.into_iter().map(|entry| entry.unwrap()).collect();
    assert!(made.iter().all(|entry| *entry == made[0]));
    let wished = ShardId::new("s2");
    let entry = cluster.metadata.create_database("e", Some(&wished), "").await.unwrap();
    assert_eq!(entry.primary, wished);
    cluster.metadata.create_database("e", Some(&wished), "").await.unwrap();
    for (db, primary, code) in [
        ("e", Some("s0"), Code::IllegalOperation),
        ("f", Some("s9"), Code::ShardNotFound),
        ("E", None, Code::DatabaseDifferCase),
        ("config", None, Code::InvalidOptions),
        ("a.b", None, Code::InvalidNamespace),
    ] {
        let primary = primary.map(ShardId::new);
        let fault = cluster.metadata.create_database(db, primary.as_ref(), "").await.unwrap_err();
        assert_eq!(fault.code, code, "{db}");
    }
    let empty = Cluster::new(0).await;
    assert_eq!(empty.metadata.create_database("d", None, "").await.unwrap_err().code, Code::ShardNotFound);
}

#[tokio::test]
async fn empty_hashed_collections_are_dealt() {
    let cluster = Cluster::new(2).await;
    let body = doc! {"shardCollection": "d.c", "key": {"a": "hashed"}};
    let sharded = cluster.shard(body.clone()).await.unwrap();
    assert_eq!(cluster.shard(body).await.unwrap(), sharded);
    let quarter = 4611686018427387902_i64;
    let chunk = |min: Bson, shard: &str| (min, shard.to_owned());
    assert_eq!(
        cluster.chunks("d.c"),
        [
            chunk(Bson::MinKey, "s0"),
            chunk(Bson::Int64(-quarter), "s0"),
            chunk(Bson::Int64(0), "s1"),
            chunk(Bson::Int64(quarter), "s1"),
        ]
    );
    for shard in ["s0", "s1"] {
        let found = cluster.shards.get(shard, "d.c").unwrap();
        assert_eq!(found.uuid, Bson::Binary(sharded.uuid.to_bson()));
        assert_eq!(found.indexes.last().unwrap().get_str("name").unwrap(), "a_hashed");
    }
    let other = cluster.shard(doc! {"shardCollection": "d.c", "key": {"b": 1}}).await.unwrap_err();
    assert_eq!(other.code, Code::AlreadyInitialized);
    cluster.check_quiet();
    // What routers are told is what was written.
    let routing = rpc::convert::routing_reply(&cluster.metadata.routing("d", "c").unwrap()).unwrap();
    assert_eq!(routing.collection.unwrap().chunks.chunks().len(), 4);
    assert!(
        rpc::convert::routing_reply(&cluster.metadata.routing("nope", "c").unwrap())
            .unwrap()
            .database
            .is_none()
    );
}

#[tokio::test]
async fn collections_with_documents_start_whole() {
    let cluster = Cluster::new(2).await;
    cluster.metadata.create_database("d", Some(&ShardId::new("s1")), "").await.unwrap();
    let ids = doc! {"v": 2, "key": {"_id": 1}, "name": "_id_"};
    cluster.shards.put("s1", "d.c", vec![doc! {"_id": 1, "a": 1}], vec![ids.clone()]);
    let body = doc! {"shardCollection": "d.c", "key": {"a": "hashed"}};
    let fault = cluster.shard(body.clone()).await.unwrap_err();
    assert_eq!(fault.code, Code::InvalidOptions);
    assert!(fault.message.starts_with("Please create an index"), "{fault}");
    let hashed = doc! {"v": 2, "key": {"a": "hashed"}, "name": "a_hashed"};
    cluster.shards.put("s1", "d.c", vec![doc! {"_id": 1, "a": 1}], vec![ids, hashed]);
    let sharded = cluster.shard(body).await.unwrap();
    assert_eq!(sharded.uuid.0, [7; 16]);
    assert_eq!(cluster.chunks("d.c"), [(Bson::MinKey, "s1".to_owned())]);
    cluster.check_quiet();
}

#[tokio::test]
async fn bad_shard_collections_are_refused() {
    let cluster = Cluster::new(2).await;
    cluster.metadata.create_database("d", Some(&ShardId::new("s0")), "").await.unwrap();
    let unique = doc! {"v": 2, "key": {"b": 1}, "name": "b_1", "unique": true};
    cluster.shards.put("s0", "d.u", vec![], vec![unique]);
    let hashed = || doc! {"a": "hashed"};
    for (body, code) in [
        (doc! {"shardCollection": "config.c", "key": hashed()}, Code::IllegalOperation),
        (doc! {"shardCollection": "d.system.x", "key": hashed()}, Code::IllegalOperation),
        (doc! {"shardCollection": "d.c", "key": {"a": -1}}, Code::BadValue),
        (doc! {"shardCollection": "d.c", "key": {}}, Code::BadValue),
        (doc! {"shardCollection": "d.c", "key": hashed(), "unique": true}, Code::InvalidOptions),
        (doc! {"shardCollection": "d.c", "key": {"a": 1}, "numInitialChunks": 4}, Code::InvalidOptions),
        (doc! {"shardCollection": "d.c", "key": hashed(), "numInitialChunks": 20_000}, Code::InvalidOptions),
        (
            doc! {"shardCollection": "d.c", "key": {"a": 1}, "implicitlyCreateIndex": false},
            Code::InvalidOptions,
        ),
        (doc! {"shardCollection": "d.u", "key": {"a": 1}}, Code::InvalidOptions),
    ] {
        let fault = cluster.shard(body.clone()).await.unwrap_err();
        assert_eq!(fault.code, code, "{body}: {fault}");
    }
    cluster
        .shard(doc! {"shardCollection": "d.u", "key": {"a": 1}, "enforceUniquenessCheck": false})
        .await
        .unwrap();
    cluster.check_quiet();
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_fails_leaves_everything_as_it_was() {
    let cluster = Cluster::new(2).await;
    cluster.metadata.create_database("d", Some(&ShardId::new("s0")), "").await.unwrap();
    let body = doc! {"shardCollection": "d.c", "key": {"a": "hashed"}};
    for command in ["_shardsvrEnterCriticalSection", "_shardsvrCollectionInfo", "_shardsvrCreateCollection"] {
        cluster.shards.fail("s1", command, true);
        let fault = cluster.shard(body.clone()).await.unwrap_err();
        assert!(fault.message.contains("s1"), "{fault}");
        assert!(cluster.metadata.view().unwrap().collection(&ns_of("d.c")).unwrap().is_none());
        cluster.check_quiet();
        cluster.shards.fail("s1", command, false);
    }
    cluster.shards.put("s1", "d.c", vec![doc! {"_id": 1}], vec![]);
    assert_eq!(cluster.shard(body.clone()).await.unwrap_err().code, Code::IllegalOperation);
    cluster.shards.put("s1", "d.c", vec![], vec![]);
    cluster.shard(body).await.unwrap();
    cluster.check_quiet();
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_is_down_is_not_waited_for() {
    let cluster = Cluster::new(2).await;
    cluster.metadata.create_database("d", Some(&ShardId::new("s0")), "").await.unwrap();
    for command in ["_shardsvrEnterCriticalSection", "_shardsvrLeaveCriticalSection"] {
        cluster.shards.fail("s1", command, true);
    }
    let begun = tokio::time::Instant::now();
    let fault = cluster.shard(doc! {"shardCollection": "d.c", "key": {"a": "hashed"}}).await.unwrap_err();
    assert_eq!(fault.code, Code::FailedToSatisfyReadPreference);
    assert!(begun.elapsed() < std::time::Duration::from_secs(1));
    // One that was inside is asked until its lease has ended the section.
    let mut sections = Sections::new(&cluster.metadata, &ns_of("d.c"));
    cluster.shards.fail("s1", "_shardsvrEnterCriticalSection", false);
    let shard = cluster.metadata.view().unwrap().shard(&ShardId::new("s1")).unwrap();
    sections.enter(&shard).await.unwrap();
    sections.check().unwrap();
    tokio::time::advance(std::time::Duration::from_secs(26)).await;
    assert_eq!(sections.check().unwrap_err().code, Code::ExceededTimeLimit);
    cluster.shards.take_log();
    sections.leave().await;
    assert!(cluster.shards.take_log().len() > 3);
}
