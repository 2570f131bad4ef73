//! Collections and databases go, also when a crash comes between.

use super::{Cluster, eventually, ns_of};
use crate::catalog::{Intent, IntentKind};
use bson::doc;
use types::{Code, ShardId};

async fn cluster() -> Cluster {
    let cluster = Cluster::new(2).await;
    cluster.metadata.create_database("d", Some(&ShardId::new("s0")), "").await.unwrap();
    cluster.shard(doc! {"shardCollection": "d.c", "key": {"a": "hashed"}}).await.unwrap();
    cluster.shards.put("s0", "d.plain", vec![doc! {"_id": 1}], vec![doc! {"key": {"_id": 1}}]);
    cluster
}

fn is_gone(cluster: &Cluster, ns: &str) -> bool {
    let view = cluster.metadata.view().unwrap();
    view.collection(&ns_of(ns)).unwrap().is_none()
        && ["s0", "s1"].iter().all(|shard| cluster.shards.get(shard, ns).is_none())
}

#[tokio::test]
async fn collections_go() {
    let cluster = cluster().await;
    let uuid = cluster.metadata.view().unwrap().collection(&ns_of("d.c")).unwrap().unwrap().uuid;
    let wrong =
        cluster.metadata.drop_collection(ns_of("d.c"), Some(types::Uuid([1; 16])), String::new()).await;
    assert_eq!(wrong.unwrap_err().code, Code::CollectionUUIDMismatch);
    let dropped = cluster.metadata.drop_collection(ns_of("d.c"), Some(uuid), String::new()).await.unwrap();
    assert_eq!(dropped.unwrap().index_count, 1);
    assert!(is_gone(&cluster, "d.c"));
    assert_eq!(cluster.metadata.view().unwrap().chunk_documents(uuid).unwrap(), []);
    let plain = cluster.metadata.drop_collection(ns_of("d.plain"), None, String::new()).await.unwrap();
    assert_eq!(plain.unwrap().index_count, 1);
    for ns in ["d.plain", "d.c", "other.c"] {
        assert_eq!(
            cluster.metadata.drop_collection(ns_of(ns), None, String::new()).await.unwrap(),
            None,
            "{ns}"
        );
    }
    cluster.check_quiet();
    // The name is free for another life, which routers tell from the first.
    let sharded = cluster.shard(doc! {"shardCollection": "d.c", "key": {"b": 1}}).await.unwrap();
    assert_ne!(sharded.uuid, uuid);
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_fails_keeps_the_collection_known() {
    let cluster = cluster().await;
    for command in ["_shardsvrEnterCriticalSection", "_shardsvrDropCollection"] {
        cluster.shards.fail("s1", command, true);
        let fault = cluster.metadata.drop_collection(ns_of("d.c"), None, String::new()).await.unwrap_err();
        assert_eq!(fault.code, Code::FailedToSatisfyReadPreference);
        assert!(cluster.metadata.view().unwrap().collection(&ns_of("d.c")).unwrap().is_some());
        cluster.check_quiet();
        cluster.shards.fail("s1", command, false);
    }
    cluster.metadata.drop_collection(ns_of("d.c"), None, String::new()).await.unwrap();
    assert!(is_gone(&cluster, "d.c"));
}

#[tokio::test]
async fn databases_go() {
    let cluster = cluster().await;
    assert!(cluster.metadata.drop_database("d".into(), String::new()).await.unwrap());
    assert!(is_gone(&cluster, "d.c") && is_gone(&cluster, "d.plain"));
    assert!(cluster.metadata.view().unwrap().database("d").unwrap().is_none());
    assert!(!cluster.metadata.drop_database("d".into(), String::new()).await.unwrap());
    cluster.check_quiet();
}

#[tokio::test]
async fn a_drop_that_a_crash_broke_off_is_finished() {
    let cluster = cluster().await;
    // As a crash right after the intent leaves it, with one shard that comes back a little later.
    for (kind, name) in
        [(IntentKind::Collection, "d.c"), (IntentKind::Database, "d"), (IntentKind::Database, "gone")]
    {
        let intent = Intent { kind, name: name.to_owned() };
        cluster.metadata.catalog.commit(|changes| changes.put_intent(&intent)).await.unwrap();
    }
    let pending = cluster.metadata.create_database("gone", None, "").await.unwrap_err();
    assert_eq!(pending.code, Code::DatabaseDropPending);
    cluster.shards.fail("s1", "_shardsvrDropCollection", true);
    cluster.shards.take_log();
    cluster.metadata.initialise().await.unwrap();
    eventually(|| cluster.shards.take_log().contains(&"s1 _shardsvrDropCollection".to_owned())).await;
    assert!(!cluster.metadata.view().unwrap().intents().unwrap().is_empty());
    cluster.shards.fail("s1", "_shardsvrDropCollection", false);
    eventually(|| cluster.metadata.view().unwrap().intents().unwrap().is_empty()).await;
    drop(cluster.metadata.changing.lock().await);
    cluster.check_quiet();
    assert!(is_gone(&cluster, "d.c") && is_gone(&cluster, "d.plain"));
    cluster.metadata.create_database("gone", None, "").await.unwrap();
}
