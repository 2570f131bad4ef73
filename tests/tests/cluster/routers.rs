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

#[test]
fn operations_of_shards_have_names_by_which_they_are_killed() {
    let cluster = Cluster::shared();
    let mut peer = cluster.connect();
    let list =
        |options: Document| doc! { "aggregate": 1, "pipeline": [{ "$currentOp": options }], "cursor": {} };
    let all =
        peer.all("admin", list(doc! { "allUsers": true, "idleConnections": false, "truncateOps": false }));
    for shard in ["shard1", "shard2"] {
        let of_shard = all.iter().find(|operation| operation.get_str("shard").ok() == Some(shard));
        let opid =
            of_shard.unwrap_or_else(|| panic!("nothing of {shard} in {all:?}")).get_str("opid").unwrap();
        let number: i64 = opid.strip_prefix(&format!("{shard}:")).unwrap().parse().unwrap();
        // It has ended meanwhile, which is no error.
        let reply = peer.run("admin", doc! { "killOp": 1, "op": opid });
        assert_eq!(reply.get_str("shard").ok(), Some(shard), "{reply}");
        assert_eq!(reply.get_i64("shardid").ok(), Some(number), "{reply}");
    }
    let own = peer.all("admin", list(doc! { "localOps": true }));
    assert!(!own.is_empty() && own.iter().all(|operation| !operation.contains_key("shard")), "{own:?}");
    assert_eq!(peer.fail("admin", doc! { "killOp": 1, "op": "nobody:1" }).code, 70);
    assert_eq!(peer.fail("admin", doc! { "killOp": 1, "op": "shard1" }).code, 28625);
    for code in
        [peer.fail("d", list(doc! {})).code, cluster.connect_to("shard1").fail("d", list(doc! {})).code]
    {
        assert_eq!(code, 73);
    }
    assert_eq!(peer.fail("admin", list(doc! { "nothing": true })).code, 9);
    // On a shard itself.
    let mut shard = cluster.connect_to("shard1");
    for options in [doc! {}, doc! { "localOps": true, "idleConnections": true }] {
        let listed = shard.all("admin", list(options));
        let own = listed.iter().find(|operation| operation.get_str("op").ok() == Some("command"));
        assert!(own.is_some_and(|operation| operation.contains_key("opid")), "{listed:?}");
    }
    assert_eq!(shard.fail("admin", list(doc! { "idleCursors": true })).code, 238);
}
