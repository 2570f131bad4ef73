//! Chunks are split where the client says, or in the middle.

use super::Cluster;
use bson::{Bson, Document, bson, doc};
use types::{Code, ShardId};

async fn ranged(keys: Vec<Document>, key: Document) -> Cluster {
    let cluster = Cluster::new(2).await;
    cluster.metadata.create_database("d", Some(&ShardId::new("s0")), "").await.unwrap();
    let index = doc! {"v": 2, "key": key.clone(), "name": "key"};
    cluster.shards.put("s0", "d.c", keys, vec![index]);
    cluster.shard(doc! {"shardCollection": "d.c", "key": key}).await.unwrap();
    cluster
}

fn starts(cluster: &Cluster) -> Vec<Bson> {
    cluster.chunks("d.c").into_iter().skip(1).map(|(min, _)| min).collect()
}

#[tokio::test]
async fn at_a_key() {
    let cluster = ranged(vec![], doc! {"a": 1, "b": 1}).await;
    cluster.split(doc! {"split": "d.c", "middle": {"b": 1, "a": 5}}).await.unwrap();
    cluster.split(doc! {"split": "d.c", "middle": {"a": "x", "b": Bson::MinKey}}).await.unwrap();
    assert_eq!(starts(&cluster), [bson!(5), bson!("x")]);
    for (body, code) in [
        (doc! {"split": "d.c", "middle": {"a": 5, "b": 1}}, Code::BadValue),
        (doc! {"split": "d.c", "middle": {"a": Bson::MinKey, "b": Bson::MinKey}}, Code::BadValue),
        (doc! {"split": "d.c", "middle": {"a": 5}}, Code::BadValue),
        (doc! {"split": "d.c", "middle": {"a": 5, "c": 1}}, Code::BadValue),
        (doc! {"split": "d.c", "find": {"a": 5}}, Code::BadValue),
        (doc! {"split": "d.c", "find": {"a": {"$gt": 5}, "b": 1}}, Code::BadValue),
        (doc! {"split": "d.c", "bounds": [{"a": 1, "b": 1}, {"a": 2, "b": 1}]}, Code::BadValue),
        (doc! {"split": "d.c", "find": {"a": 6, "b": 1}}, Code::OperationFailed),
        (doc! {"split": "d.other", "middle": {"a": 5}}, Code::NamespaceNotSharded),
    ] {
        let fault = cluster.split(body.clone()).await.unwrap_err();
        assert_eq!(fault.code, code, "{body}: {fault}");
    }
    assert_eq!(starts(&cluster).len(), 2);
    let (_, chunks) = cluster.metadata.sharded(&super::ns_of("d.c")).unwrap();
    assert_eq!((chunks.version().major, chunks.version().minor), (1, 4));
}

#[tokio::test]
async fn in_the_middle_of_the_keys() {
    let keys = (0..100).map(|at| doc! {"_id": at, "a": at}).chain([doc! {"_id": 100, "a": "last"}]).collect();
    let cluster = ranged(keys, doc! {"a": 1}).await;
    cluster.split(doc! {"split": "d.c", "find": {"a": 1}}).await.unwrap();
    assert_eq!(starts(&cluster), [bson!(50)]);
    // Numbers and strings both lie in this chunk.
    cluster.split(doc! {"split": "d.c", "bounds": [{"a": 50}, {"a": Bson::MaxKey}]}).await.unwrap();
    assert_eq!(starts(&cluster), [bson!(50), bson!(75)]);
    let many = vec![
        doc! {"_id": 1, "a": 1},
        doc! {"_id": 2, "a": 1},
        doc! {"_id": 3, "a": 1},
        doc! {"_id": 4, "a": 2},
    ];
    let cluster = ranged(many, doc! {"a": 1}).await;
    cluster.split(doc! {"split": "d.c", "find": {"a": 1}}).await.unwrap();
    cluster.split(doc! {"split": "d.c", "find": {"a": 1}}).await.unwrap();
    assert_eq!(starts(&cluster), [bson!(1), bson!(2)]);
    let fault = cluster.split(doc! {"split": "d.c", "find": {"a": 1}}).await.unwrap_err();
    assert_eq!(fault.code, Code::OperationFailed);
}

#[tokio::test]
async fn before_a_hashed_field() {
    let keys = (0..10).map(|at| doc! {"_id": at, "a": at / 2, "b": at}).collect();
    let cluster = ranged(keys, doc! {"a": 1, "b": "hashed"}).await;
    cluster.split(doc! {"split": "d.c", "find": {"a": 1, "b": 1}}).await.unwrap();
    assert_eq!(starts(&cluster), [bson!(2)]);
}

#[tokio::test]
async fn in_the_middle_of_the_hashes() {
    let cluster = Cluster::new(1).await;
    cluster
        .shard(doc! {"shardCollection": "d.c", "key": {"a": "hashed"}, "numInitialChunks": 1})
        .await
        .unwrap();
    cluster.shards.take_log();
    cluster.split(doc! {"split": "d.c", "find": {"a": 1}}).await.unwrap();
    assert_eq!(starts(&cluster), [Bson::Int64(-1)]);
    cluster.split(doc! {"split": "d.c", "middle": {"a": 100}}).await.unwrap();
    assert_eq!(starts(&cluster), [Bson::Int64(-1), Bson::Int64(100)]);
    assert_eq!(cluster.shards.take_log(), Vec::<String>::new());
}
