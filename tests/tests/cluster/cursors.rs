//! Cursors over several batches and several shards.

use bson::{Document, doc};
use tests::Cluster;
use tests::driver::Cursor;

#[test]
fn batches_have_the_size_that_was_asked_for() {
    let cluster = Cluster::shared();
    let mut peer = cluster.connect();
    let rows = crate::cities(&mut peer, "cursors", doc! { "_id": "hashed" });
    for size in [1_usize, 7, 100, 1_999, 2_000, 2_001] {
        let limit = if size == 1 { 25 } else { 0 };
        let mut find =
            doc! { "find": "cities", "sort": { "_id": 1 }, "batchSize": i32::try_from(size).unwrap() };
        if limit > 0 {
            find.insert("limit", limit);
        }
        let batches = peer.batches("cursors", find);
        let total = if limit > 0 { limit as usize } else { rows.len() };
        let sizes: Vec<usize> = batches.iter().map(Vec::len).collect();
        assert_eq!(sizes.iter().sum::<usize>(), total, "{sizes:?}");
        assert!(sizes.iter().all(|found| *found <= size), "{size}: {sizes:?}");
        let ids: Vec<i32> =
            batches.iter().flatten().map(|document| document.get_i32("_id").unwrap()).collect();
        assert_eq!(ids, (0..i32::try_from(total).unwrap()).collect::<Vec<_>>());
    }
    // A first batch of nothing opens the cursor only.
    let batches =
        peer.batches("cursors", doc! { "aggregate": "cities", "pipeline": [], "cursor": { "batchSize": 0 } });
    assert_eq!(batches[0], [] as [Document; 0]);
    // The default first batch is 101 documents.
    let reply = peer.run("cursors", doc! { "find": "cities" });
    let first = Cursor::of(&reply, "firstBatch");
    assert_eq!(first.documents.len(), 101);
    peer.run("cursors", doc! { "killCursors": "cities", "cursors": [first.id] });
    let single = peer.run("cursors", doc! { "find": "cities", "singleBatch": true, "batchSize": 5 });
    let single = Cursor::of(&single, "firstBatch");
    assert_eq!((single.id, single.documents.len()), (0, 5));
}

#[test]
fn a_killed_cursor_is_gone_on_every_shard() {
    let cluster = Cluster::shared();
    let mut peer = cluster.connect();
    crate::cities(&mut peer, "cursor_kills", doc! { "_id": "hashed" });
    let reply = peer.run("cursor_kills", doc! { "find": "cities", "batchSize": 10, "sort": { "name": 1 } });
    let cursor = Cursor::of(&reply, "firstBatch");
    assert_ne!(cursor.id, 0);
    drop(peer.run("cursor_kills", doc! { "getMore": cursor.id, "collection": "cities", "batchSize": 10 }));
    let killed =
        peer.run("cursor_kills", doc! { "killCursors": "cities", "cursors": [cursor.id, 12345_i64] });
    assert_eq!(killed.get_array("cursorsKilled").unwrap().len(), 1, "{killed}");
    assert_eq!(killed.get_array("cursorsNotFound").unwrap().len(), 1, "{killed}");
    let error = peer.fail("cursor_kills", doc! { "getMore": cursor.id, "collection": "cities" });
    assert_eq!((error.code, error.name.as_str()), (43, "CursorNotFound"));
    // The number of open cursors goes back: other tests of this program share the servers, so it is waited for.
    for name in ["router", "shard1", "shard2"] {
        tests::wait::until("the cursors of every process to be closed", || {
            let status = cluster.connect_to(name).run("admin", doc! { "serverStatus": 1 });
            let cursors = status.get_document("metrics").unwrap().get_document("cursor").unwrap();
            let open = tests::driver::number(cursors.get_document("open").unwrap(), "total");
            (open == 0.0).then_some(())
        });
    }
}

#[test]
fn a_cursor_belongs_to_its_collection() {
    let cluster = Cluster::shared();
    let mut peer = cluster.connect();
    crate::cities(&mut peer, "cursor_owner", doc! { "_id": "hashed" });
    let reply = peer.run("cursor_owner", doc! { "find": "cities", "batchSize": 10 });
    let cursor = Cursor::of(&reply, "firstBatch");
    let error = peer.fail("cursor_owner", doc! { "getMore": cursor.id, "collection": "other" });
    assert!([13, 43].contains(&error.code), "{error}");
    // Another connection may go on with it, as drivers' pools do.
    let more = cluster
        .connect()
        .run("cursor_owner", doc! { "getMore": cursor.id, "collection": "cities", "batchSize": 5 });
    assert_eq!(Cursor::of(&more, "nextBatch").documents.len(), 5);
    peer.run("cursor_owner", doc! { "killCursors": "cities", "cursors": [cursor.id] });
}

/// A scan that other clients write under sees every document that was there all the time, once.
#[test]
fn a_scan_goes_on_under_writes() {
    let cluster = Cluster::shared();
    let mut peer = cluster.connect();
    let rows = crate::cities(&mut peer, "cursor_writes", doc! { "_id": "hashed" });
    let mut other = cluster.connect();
    let reply = peer.run("cursor_writes", doc! { "find": "cities", "batchSize": 50 });
    let mut cursor = Cursor::of(&reply, "firstBatch");
    let mut seen: Vec<i32> = Vec::new();
    let mut round = 0;
    loop {
        seen.extend(cursor.documents.iter().map(|document| document.get_i32("_id").unwrap()));
        if cursor.id == 0 {
            break;
        }
        round += 1;
        let new = 100_000 + round;
        other.run("cursor_writes", doc! { "insert": "cities", "documents": [{ "_id": new }] });
        let update = doc! { "q": { "_id": round }, "u": { "$set": { "seen": round } } };
        other.run("cursor_writes", doc! { "update": "cities", "updates": [update] });
        let more = doc! { "getMore": cursor.id, "collection": "cities", "batchSize": 50 };
        cursor = Cursor::of(&peer.run("cursor_writes", more), "nextBatch");
    }
    seen.retain(|id| *id < 100_000);
    seen.sort_unstable();
    assert_eq!(seen, (0..i32::try_from(rows.len()).unwrap()).collect::<Vec<_>>());
}
