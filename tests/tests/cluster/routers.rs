//! Two routers of one cluster: what one changes, the other one sees, without being told.

use bson::{Bson, Document, doc};
use tests::Cluster;
use tests::driver::Connection;

fn numbers(ids: std::ops::Range<i32>) -> Vec<Bson> {
    ids.map(|id| doc! { "_id": id, "n": id }.into()).collect()
}

fn ids(peer: &mut Connection, db: &str) -> Vec<i32> {
    let all = peer.all(db, doc! { "find": "c", "sort": { "_id": 1 } });
    all.iter().map(|document: &Document| document.get_i32("_id").unwrap()).collect()
}

#[test]
fn stale_routes_are_refreshed() {
    let cluster = Cluster::shared();
    let other = cluster.add_router("router_stale");
    let (mut first, mut second) = (cluster.connect(), Connection::open(&other));
    let db = "stale";
    // Unsharded, and known as such by both.
    first.run(db, doc! { "insert": "c", "documents": numbers(0..10) });
    assert_eq!(ids(&mut second, db), (0..10).collect::<Vec<_>>());
    // Dropped and sharded by one: the other one must not write to where it used to be.
    first.run(db, doc! { "drop": "c" });
    first.run("admin", doc! { "shardCollection": format!("{db}.c"), "key": { "_id": "hashed" } });
    let reply = second.run(db, doc! { "insert": "c", "documents": numbers(0..100) });
    assert_eq!((reply.get_i32("n").unwrap(), reply.get("writeErrors")), (100, None), "{reply}");
    assert_eq!(ids(&mut first, db), (0..100).collect::<Vec<_>>());
    let counts = crate::on_shards(&cluster, db, "c");
    assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
    // Dropped and sharded otherwise: reads and writes by an old table.
    first.run(db, doc! { "drop": "c" });
    first.run("admin", doc! { "shardCollection": format!("{db}.c"), "key": { "n": 1 } });
    first.run(db, doc! { "insert": "c", "documents": numbers(0..50) });
    assert_eq!(ids(&mut second, db), (0..50).collect::<Vec<_>>());
    let update = doc! { "q": { "n": 7 }, "u": { "$set": { "seen": true } } };
    assert_eq!(second.run(db, doc! { "update": "c", "updates": [update] }).get_i32("nModified").unwrap(), 1);
    // Split by one, counted and read by the other.
    first.run("admin", doc! { "split": format!("{db}.c"), "middle": { "n": 25 } });
    assert_eq!(ids(&mut second, db).len(), 50);
    // Gone for one, gone for the other.
    first.run(db, doc! { "dropDatabase": 1 });
    assert_eq!(ids(&mut second, db), [] as [i32; 0]);
    second.run(db, doc! { "insert": "c", "documents": numbers(0..5) });
    assert_eq!(ids(&mut first, db), (0..5).collect::<Vec<_>>());
}

#[test]
fn both_are_listed() {
    let cluster = Cluster::shared();
    let other = cluster.add_router("router_listed");
    tests::wait::until("both routers to be listed", || {
        let listed = cluster.connect().all("config", doc! { "find": "mongos" });
        let port = other.rsplit(':').next().unwrap();
        let is_there = listed.iter().any(|router| router.get_str("_id").unwrap().ends_with(port));
        (is_there && listed.len() >= 2).then_some(())
    });
}
