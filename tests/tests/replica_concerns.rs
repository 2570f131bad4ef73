//! Concerns and states of members as a client meets them: what a read sees by its concern and where, what a write waits for, who refuses
//! what, and what a change of office does to those who are in the middle of something.

#![allow(clippy::unwrap_used)]

use bson::{Bson, Document, Timestamp, doc};
use std::time::{Duration, Instant};
use tests::{Connection, ReplicaSet, wait};

const LEVELS: [&str; 5] = ["local", "available", "majority", "linearizable", "snapshot"];

fn secondary_ok() -> Document {
    doc! { "mode": "secondaryPreferred" }
}

fn insert(peer: &mut Connection, ids: impl IntoIterator<Item = i32>, concern: Document) -> Document {
    let documents: Vec<Document> = ids.into_iter().map(|id| doc! { "_id": id, "a": id }).collect();
    peer.run("d", doc! { "insert": "c", "documents": documents, "writeConcern": concern })
}

fn count(peer: &mut Connection, level: &str) -> usize {
    let find = doc! { "find": "c", "readConcern": { "level": level }, "batchSize": 1000, "$readPreference": secondary_ok() };
    peer.all("d", find).len()
}

fn cluster_time(peer: &mut Connection) -> Timestamp {
    let reply = peer.run("admin", doc! { "ping": 1 });
    reply.get_document("$clusterTime").unwrap().get_timestamp("clusterTime").unwrap()
}

fn gossip(time: Timestamp) -> Document {
    let hash = bson::Binary { subtype: bson::spec::BinarySubtype::Generic, bytes: vec![0; 20] };
    doc! { "clusterTime": time, "signature": { "hash": hash, "keyId": 0_i64 } }
}

#[test]
fn members_do_what_their_part_allows() {
    let set = ReplicaSet::prepare(3, None, &[]);
    let mut first = set.connect(0);
    assert_eq!(first.fail("d", doc! { "find": "c" }).code, 13436);
    assert_eq!(first.fail("d", doc! { "insert": "c", "documents": [{}] }).code, 10107);
    set.initiate(&set.config(3));
    let (primary, secondary) = (set.primary(), set.secondary());
    let mut peer = set.connect(primary);
    insert(&mut peer, 0..10, doc! { "w": 3 });

    let mut other = set.connect(secondary);
    let hello = other.run("admin", doc! { "hello": 1 });
    assert!(hello.get_bool("secondary").unwrap() && !hello.get_bool("isWritablePrimary").unwrap());
    assert_eq!(hello.get_str("primary").unwrap(), set.host(primary));
    assert_eq!(hello.get_str("me").unwrap(), set.host(secondary));
    assert!(!hello.contains_key("electionId") && hello.contains_key("lastWrite"));

    let refused = other.fail("d", doc! { "insert": "c", "documents": [{}] });
    assert_eq!(refused.code, 10107);
    let version = refused.reply.get_document("topologyVersion").unwrap();
    assert_eq!(
        version.get_object_id("processId").unwrap(),
        hello.get_document("topologyVersion").unwrap().get_object_id("processId").unwrap()
    );
    for (db, command, code) in [
        ("d", doc! { "find": "c" }, 13435),
        ("d", doc! { "find": "c", "$readPreference": { "mode": "primary" } }, 13435),
        ("d", doc! { "count": "c" }, 13435),
        ("d", doc! { "listIndexes": "c" }, 13435),
        ("d", doc! { "create": "x" }, 10107),
        ("d", doc! { "dropDatabase": 1 }, 10107),
        ("local", doc! { "insert": "x", "documents": [{}] }, 10107),
        ("admin", doc! { "setDefaultRWConcern": 1, "defaultReadConcern": { "level": "local" } }, 10107),
        (
            "d",
            doc! { "find": "c", "readConcern": { "level": "linearizable" }, "$readPreference": secondary_ok() },
            10107,
        ),
    ] {
        assert_eq!(other.fail(db, command.clone()).code, code, "{command}");
    }
    let session = doc! { "id": bson::Uuid::from_bytes([9; 16]) };
    let numbered = doc! { "insert": "c", "documents": [{}], "lsid": session, "txnNumber": 1_i64 };
    assert_eq!(other.fail("d", numbered).labels, ["RetryableWriteError"]);
    let replset = other.all("local", doc! { "find": "system.replset" });
    assert_eq!(replset.len(), 1);
    assert_eq!(replset[0].get_array("members").unwrap().len(), 3);
    for level in ["local", "available", "majority", "snapshot"] {
        wait::until("the secondary to have it", || (count(&mut other, level) == 10).then_some(()));
    }
    // A cursor goes on on the member where it was opened.
    let opened = other.run("d", doc! { "find": "c", "batchSize": 3, "$readPreference": secondary_ok() });
    let id = opened.get_document("cursor").unwrap().get_i64("id").unwrap();
    let more = other.run("d", doc! { "getMore": id, "collection": "c" });
    assert_eq!(more.get_document("cursor").unwrap().get_array("nextBatch").unwrap().len(), 7);
    let hash = |peer: &mut Connection| peer.run("d", doc! { "dbHash": 1, "$readPreference": secondary_ok() });
    assert_eq!(hash(&mut peer).get_str("md5").unwrap(), hash(&mut other).get_str("md5").unwrap());
    set.check_logs();
}

#[test]
fn reads_see_what_their_concern_says() {
    let set = ReplicaSet::start(3);
    let primary = set.primary();
    let others: Vec<usize> = (0..3).filter(|member| *member != primary).collect();
    let mut peer = set.connect(primary);
    insert(&mut peer, 0..10, doc! { "w": "majority" });
    for level in LEVELS {
        assert_eq!(count(&mut peer, level), 10, "{level}");
    }
    // What only the primary has is local.
    for other in &others {
        set.pause(*other);
    }
    insert(&mut peer, 10..15, doc! { "w": 1 });
    assert_eq!(count(&mut peer, "local"), 15);
    assert_eq!(count(&mut peer, "majority"), 10);
    assert_eq!(count(&mut peer, "snapshot"), 10);
    let late =
        peer.fail("d", doc! { "find": "c", "readConcern": { "level": "linearizable" }, "maxTimeMS": 300 });
    assert_eq!(late.code, 50);
    let reply = insert(&mut peer, 15..16, doc! { "w": 2, "wtimeout": 200 });
    let error = reply.get_document("writeConcernError").unwrap();
    assert_eq!((reply.get_i32("n").unwrap(), error.get_i32("code").unwrap()), (1, 64));
    let info = error.get_document("errInfo").unwrap();
    assert!(info.get_bool("wtimeout").unwrap());
    let told = info.get_document("writeConcern").unwrap();
    assert_eq!((told.get_i32("w").unwrap(), told.get_str("provenance").unwrap()), (2, "clientSupplied"));
    for other in &others {
        set.go_on(*other);
    }
    for (concern, code) in [
        (doc! { "w": 3 }, None),
        (doc! { "w": 3, "j": true }, None),
        (doc! { "w": "majority", "j": true }, None),
        (doc! { "w": 4 }, Some(100)),
        (doc! { "w": "nowhere" }, Some(79)),
    ] {
        let write = doc! { "insert": "w", "documents": [{}], "writeConcern": concern.clone() };
        let primary = set.primary();
        let reply = set.connect(primary).run("d", write);
        let error = reply.get_document("writeConcernError").ok().map(|error| error.get_i32("code").unwrap());
        assert_eq!(error, code, "{concern}");
    }
    set.check_logs();
}

#[test]
fn a_snapshot_stays_as_it_was() {
    let set = ReplicaSet::start(3);
    let mut peer = set.connect(set.primary());
    insert(&mut peer, 0..100, doc! { "w": 3 });
    let mut other = set.connect(set.secondary());
    for peer in [&mut peer, &mut other] {
        let find = doc! { "find": "c", "batchSize": 10, "readConcern": { "level": "snapshot" }, "$readPreference": secondary_ok() };
        let opened = peer.run("d", find);
        let cursor = opened.get_document("cursor").unwrap();
        let (id, at) = (cursor.get_i64("id").unwrap(), cursor.get_timestamp("atClusterTime").unwrap());
        let mut writer = set.connect(set.primary());
        let change = doc! { "update": "c", "updates": [{ "q": {}, "u": { "$inc": { "a": 1000 } }, "multi": true }], "writeConcern": { "w": 3 } };
        writer.run("d", change);
        let more = peer.run("d", doc! { "getMore": id, "collection": "c" });
        let rest = more.get_document("cursor").unwrap().get_array("nextBatch").unwrap();
        let values: Vec<i32> =
            rest.iter().map(|doc| doc.as_document().unwrap().get_i32("a").unwrap() % 1000).collect();
        assert_eq!(values, (10..100).collect::<Vec<i32>>());
        let firsts: Vec<i32> =
            rest.iter().map(|doc| doc.as_document().unwrap().get_i32("a").unwrap()).collect();
        let again = peer.run(
            "d",
            doc! { "distinct": "c", "key": "a", "readConcern": { "level": "snapshot", "atClusterTime": at }, "$readPreference": secondary_ok() },
        );
        assert!(again.get_array("values").unwrap().contains(&Bson::Int32(firsts[0])));
        assert_eq!(again.get_timestamp("atClusterTime").unwrap(), at);
        let long_ago = Timestamp { time: at.time - 10_000, increment: 1 };
        let old = doc! { "find": "c", "readConcern": { "level": "snapshot", "atClusterTime": long_ago }, "$readPreference": secondary_ok() };
        // Either the time is not kept any more, or it is, and the collection was made later.
        assert!([239, 246].contains(&peer.fail("d", old).code));
    }
    set.check_logs();
}

/// A time that came from elsewhere in the cluster is reached even where nobody writes.
#[test]
fn time_goes_on_where_nobody_writes() {
    let set = ReplicaSet::start(3);
    let (mut peer, mut other) = (set.connect(set.primary()), set.connect(set.secondary()));
    insert(&mut peer, 0..1, doc! { "w": 3 });
    for peer in [&mut other, &mut peer] {
        let now = cluster_time(peer);
        let later = Timestamp { time: now.time + 3, increment: 1 };
        let begun = Instant::now();
        let read = |time: Timestamp| doc! { "find": "c", "readConcern": { "afterClusterTime": time }, "$readPreference": secondary_ok() };
        let mut known = read(later);
        known.insert("$clusterTime", gossip(later));
        let reply = peer.run("d", known);
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
        assert!(reply.get_timestamp("operationTime").unwrap() >= later, "{reply}");
        let unheard = Timestamp { time: later.time + 1000, increment: 1 };
        assert_eq!(peer.fail("d", read(unheard)).code, 72);
    }
    set.check_logs();
}

#[test]
fn a_driver_reads_its_own_writes_on_secondaries() {
    let set = ReplicaSet::start(3);
    let mut peer = set.connect(set.primary());
    let mut other = set.connect(set.secondary());
    for id in 0..200 {
        let reply = insert(&mut peer, [id], doc! { "w": 1 });
        let read = doc! {
            "find": "c", "filter": { "_id": id },
            "readConcern": { "afterClusterTime": reply.get_timestamp("operationTime").unwrap() },
            "$clusterTime": reply.get_document("$clusterTime").unwrap().clone(),
            "$readPreference": secondary_ok(),
        };
        assert_eq!(other.all("d", read).len(), 1, "{id}");
    }
    set.check_logs();
}

/// The statements that one primary executed are known to the next; what waits when an office ends is told so.
#[test]
fn offices_end_without_loose_ends() {
    let set = ReplicaSet::start(3);
    let primary = set.primary();
    let mut peer = set.connect(primary);
    let session = doc! { "id": bson::Uuid::from_bytes([5; 16]) };
    let numbered = doc! {
        "insert": "c", "documents": [{ "_id": 1 }, { "_id": 2 }], "lsid": session, "txnNumber": 1_i64,
        "writeConcern": { "w": "majority" },
    };
    peer.run("d", numbered.clone());
    peer.run(
        "admin",
        doc! { "setDefaultRWConcern": 1, "defaultWriteConcern": { "w": 2, "wtimeout": 30_000 } },
    );
    // A hello that waits hears of the change at once.
    let version = peer.run("admin", doc! { "hello": 1 }).get_document("topologyVersion").unwrap().clone();
    let mut waiting = set.connect(primary);
    let begun = Instant::now();
    let listener = std::thread::spawn(move || {
        waiting.run("admin", doc! { "hello": 1, "topologyVersion": version, "maxAwaitTimeMS": 20_000 })
    });
    wait::pause(Duration::from_millis(200));
    peer.run("admin", doc! { "replSetStepDown": 10, "secondaryCatchUpPeriodSecs": 5 });
    let heard = listener.join().unwrap();
    assert!(
        begun.elapsed() < Duration::from_secs(15) && !heard.get_bool("isWritablePrimary").unwrap(),
        "{heard}"
    );
    let next = wait::until("another primary", || set.find_primary().filter(|found| *found != primary));
    // The old connection is as good as before.
    assert_eq!(peer.fail("d", doc! { "insert": "c", "documents": [{}] }).code, 10107);
    peer.run("d", doc! { "find": "c", "$readPreference": secondary_ok() });
    let mut peer = set.connect(next);
    let again = peer.run("d", numbered);
    assert_eq!(again.get_i32("n").unwrap(), 2);
    assert_eq!(again.get_array("retriedStmtIds").unwrap().len(), 2);
    let defaults = peer.run("admin", doc! { "getDefaultRWConcern": 1 });
    assert_eq!(defaults.get_document("defaultWriteConcern").unwrap().get_i32("w").unwrap(), 2);
    for member in 0..3 {
        let mut member = set.connect(member);
        wait::until("the defaults to reach everybody", || {
            let known = member.run("admin", doc! { "getDefaultRWConcern": 1, "inMemory": true });
            (known.get_str("defaultWriteConcernSource").unwrap() == "global").then_some(())
        });
    }
    set.check_logs();
}

#[test]
fn nothing_is_written_while_fsync_holds_its_lock() {
    let set = ReplicaSet::start(1);
    let mut peer = set.connect(0);
    insert(&mut peer, 0..1, doc! { "w": 1 });
    let locked = peer.run("admin", doc! { "fsync": 1, "lock": true });
    assert_eq!(locked.get_i64("lockCount").unwrap(), 1);
    assert!(peer.run("admin", doc! { "currentOp": 1 }).get_bool("fsyncLock").unwrap());
    let late = peer.fail("d", doc! { "insert": "c", "documents": [{ "_id": 5 }], "maxTimeMS": 200 });
    assert_eq!((late.code, count(&mut peer, "local")), (50, 1));
    assert_eq!(peer.run("admin", doc! { "fsyncUnlock": 1 }).get_i64("lockCount").unwrap(), 0);
    insert(&mut peer, 5..6, doc! { "w": 1 });
    assert_eq!(peer.fail("admin", doc! { "fsyncUnlock": 1 }).code, 20);
    assert_eq!(peer.run("admin", doc! { "replSetGetRBID": 1 }).get_i32("rbid").unwrap(), 1);
    assert_eq!(peer.fail("admin", doc! { "getLastError": 1 }).code, 59);
    set.check_logs();
}
