//! Watchers hear of every change, and routers that watch are listed.

use super::{Cluster, eventually};
use bson::doc;
use rpc::cluster::change::What;
use tokio::sync::mpsc;

#[tokio::test]
async fn watchers_hear_of_changes() {
    let cluster = Cluster::new(1).await;
    let (out, mut heard) = mpsc::channel(16);
    let (changes, metadata) = (cluster.metadata.subscribe(), cluster.metadata.clone());
    let name = Some("router:27017".to_owned());
    let office = metadata.office();
    cluster.metadata.tasks.spawn("test", async move { metadata.feed(changes, name, out, office).await });
    cluster.shard(doc! {"shardCollection": "d.c", "key": {"a": 1}}).await.unwrap();
    cluster.split(doc! {"split": "d.c", "middle": {"a": 1}}).await.unwrap();
    cluster.shards.start("s1");
    cluster.add("s1:1").await.unwrap();
    for wanted in [
        What::Database("d".into()),
        What::Collection("d.c".into()),
        What::Collection("d.c".into()),
        What::Shards(true),
    ] {
        assert_eq!(heard.recv().await.unwrap().unwrap().what, Some(wanted));
    }
    let listed = || cluster.metadata.view().unwrap().router("router:27017").unwrap();
    eventually(|| listed().is_some()).await;
    let first = listed().unwrap();
    assert_eq!((first.version.as_str(), first.created), ("8.0.0", first.ping));
    // One that falls behind has its stream ended.
    for _ in 0..3000 {
        cluster.metadata.tell_shards();
    }
    let mut count = 0;
    while heard.recv().await.is_some() {
        count += 1;
    }
    assert!(count < 3000, "{count}");
}
