//! A shard is dead: what needs it fails soon, with an error that says so and that drivers know how to take; everything else
//! goes on; and when the shard is back, all is as before.

#![allow(clippy::unwrap_used)]

use bson::{Bson, Document, doc};
use std::time::{Duration, Instant};
use tests::driver::Connection;
use tests::{Cluster, Error, wait};

/// An operation may take this long to say that it cannot be done. Drivers give a server selection 30 s.
const FAILURE_LIMIT: Duration = Duration::from_secs(25);
const DOCUMENT_COUNT: i32 = 200;

/// Codes that say that a server cannot be reached; drivers retry on all of them.
const UNREACHABLE: [i32; 5] = [6, 7, 89, 133, 9001];

/// The shard of each `_id`, asked from the shards themselves.
fn owners(cluster: &Cluster) -> Vec<(i32, String)> {
    let mut owners = Vec::new();
    for shard in ["shard1", "shard2"] {
        for document in cluster.connect_to(shard).all("down", doc! { "find": "sharded", "batchSize": 1000 }) {
            owners.push((document.get_i32("_id").unwrap(), shard.to_owned()));
        }
    }
    owners
}

fn one_of(owners: &[(i32, String)], shard: &str) -> i32 {
    owners.iter().find(|(_, owner)| owner == shard).unwrap().0
}

fn check_failure(what: &str, begin: Instant, error: &Error) {
    let after = begin.elapsed();
    assert!(after < FAILURE_LIMIT, "{what}: failed only after {after:?}: {error}");
    assert!(UNREACHABLE.contains(&error.code), "{what}: {error}");
    assert!(error.message.contains("shard2"), "{what}: the message does not name the shard: {error}");
}

fn is_labelled(error: &Error) -> bool {
    error.labels.iter().any(|label| label == "RetryableWriteError" || label == "RetryableError")
}

/// As a driver sends a write that it may send again.
fn retryable(command: Document, number: i64) -> Document {
    let mut command = command;
    let id = bson::Binary { subtype: bson::spec::BinarySubtype::Uuid, bytes: vec![9; 16] };
    command.insert("lsid", doc! { "id": id });
    command.insert("txnNumber", number);
    command
}

#[test]
fn operations_that_need_a_dead_shard_fail_clearly_and_the_others_go_on() {
    let cluster = Cluster::start(2);
    let mut peer = cluster.connect();
    peer.run("admin", doc! { "shardCollection": "down.sharded", "key": { "_id": "hashed" } });
    let documents: Vec<Bson> = (0..DOCUMENT_COUNT).map(|id| doc! { "_id": id, "n": 0 }.into()).collect();
    peer.run("down", doc! { "insert": "sharded", "documents": documents });
    // How long a router hopes for a primary is a setting; its default would only make this test slow.
    peer.run("admin", doc! { "setParameter": 1, "serverSelectionTimeoutMS": 1_000 });
    let owners = owners(&cluster);
    assert_eq!(owners.len(), usize::try_from(DOCUMENT_COUNT).unwrap());
    let (alive, dead) = (one_of(&owners, "shard1"), one_of(&owners, "shard2"));

    cluster.kill("shard2");
    // A connection that was there before, and a new one.
    let mut fresh = cluster.connect();
    for peer in [&mut peer, &mut fresh] {
        failing(peer, dead);
        going_on(peer, alive);
    }
    let begin = Instant::now();
    let unordered = peer.command(
        "down",
        doc! { "update": "sharded", "ordered": false, "updates": [
            { "q": { "_id": alive }, "u": { "$inc": { "seen": 1 } } },
            { "q": { "_id": dead }, "u": { "$inc": { "seen": 1 } } },
        ] },
    );
    assert!(begin.elapsed() < FAILURE_LIMIT);
    // MongoDB answers with write errors of the statements that failed; the others are done.
    match unordered {
        Ok(reply) => {
            assert_eq!(reply.get_i32("n").unwrap(), 1, "{reply}");
            let errors = reply.get_array("writeErrors").unwrap_or_else(|_| panic!("{reply}"));
            let error = errors[0].as_document().unwrap();
            assert_eq!(error.get_i32("index").unwrap(), 1, "{reply}");
        }
        Err(error) => assert!(UNREACHABLE.contains(&error.code), "{error}"),
    }
    let status = cluster.status();
    let problems = status["problems"].to_string();
    assert!(problems.contains("shard2 is down"), "{problems}");

    cluster.up();
    wait::until("reads of the shard that is back", || {
        let find = doc! { "find": "sharded", "filter": { "_id": dead } };
        cluster.connect().command("down", find).ok()
    });
    for peer in [&mut peer, &mut fresh] {
        let all = peer.all("down", doc! { "find": "sharded", "batchSize": 1000 });
        assert_eq!(all.len(), usize::try_from(DOCUMENT_COUNT).unwrap());
        going_on(peer, dead);
    }
}

fn failing(peer: &mut Connection, dead: i32) {
    let by_id = doc! { "_id": dead };
    let writes = [
        doc! { "update": "sharded", "updates": [{ "q": by_id.clone(), "u": { "$inc": { "n": 1 } } }] },
        doc! { "delete": "sharded", "deletes": [{ "q": by_id.clone(), "limit": 1 }] },
        doc! { "findAndModify": "sharded", "query": by_id.clone(), "update": { "$inc": { "n": 1 } } },
    ];
    for (number, write) in (1_i64..).zip(writes) {
        let name = write.keys().next().unwrap().clone();
        let begin = Instant::now();
        let error = match peer.command("down", retryable(write, number)) {
            Err(error) => error,
            // As MongoDB: a bulk write answers `ok: 1` with the error of the statement.
            Ok(reply) => {
                let error =
                    reply.get_array("writeErrors").unwrap_or_else(|_| panic!("{name}: {reply}"))[0].clone();
                let error = error.as_document().unwrap();
                let labels = reply.get_array("errorLabels").into_iter().flatten();
                Error {
                    code: error.get_i32("code").unwrap(),
                    name: String::new(),
                    message: error.get_str("errmsg").unwrap().to_owned(),
                    labels: labels.filter_map(|label| label.as_str().map(str::to_owned)).collect(),
                    reply: Box::new(reply.clone()),
                }
            }
        };
        check_failure(&name, begin, &error);
        assert!(is_labelled(&error), "{name}: no label: {}", error.reply);
    }
    let reads = [
        doc! { "find": "sharded", "filter": by_id },
        doc! { "find": "sharded", "sort": { "_id": 1 } },
        doc! { "count": "sharded" },
        doc! { "aggregate": "sharded", "pipeline": [{ "$group": { "_id": 1, "n": { "$sum": 1 } } }], "cursor": {} },
        doc! { "distinct": "sharded", "key": "n" },
    ];
    for read in reads {
        let name = read.to_string();
        let begin = Instant::now();
        let error = peer.fail("down", read);
        check_failure(&name, begin, &error);
    }
    // A deadline of the client's own is kept.
    let begin = Instant::now();
    peer.fail("down", doc! { "count": "sharded", "maxTimeMS": 2_000 });
    assert!(begin.elapsed() < Duration::from_secs(6), "maxTimeMS 2000 took {:?}", begin.elapsed());
}

fn going_on(peer: &mut Connection, id: i32) {
    let begin = Instant::now();
    let found = peer.all("down", doc! { "find": "sharded", "filter": { "_id": id } });
    assert_eq!(found.len(), 1);
    let update =
        doc! { "update": "sharded", "updates": [{ "q": { "_id": id }, "u": { "$inc": { "n": 1 } } }] };
    assert_eq!(peer.run("down", update).get_i32("nModified").unwrap(), 1);
    peer.run("admin", doc! { "ping": 1 });
    assert_eq!(peer.run("admin", doc! { "listShards": 1 }).get_array("shards").unwrap().len(), 2);
    assert!(begin.elapsed() < Duration::from_secs(5), "took {:?}", begin.elapsed());
}

/// The config server is dead: routers that know their way go on.
#[test]
fn cached_routes_outlive_the_config_server() {
    let cluster = Cluster::start(2);
    let mut peer = cluster.connect();
    peer.run("admin", doc! { "shardCollection": "routes.c", "key": { "_id": "hashed" } });
    let documents: Vec<Bson> = (0..50).map(|id| doc! { "_id": id }.into()).collect();
    peer.run("routes", doc! { "insert": "c", "documents": documents });
    peer.run("admin", doc! { "setParameter": 1, "serverSelectionTimeoutMS": 1_000 });
    cluster.kill("config");
    for id in 0..50 {
        assert_eq!(peer.all("routes", doc! { "find": "c", "filter": { "_id": id } }).len(), 1);
        let update =
            doc! { "update": "c", "updates": [{ "q": { "_id": id }, "u": { "$set": { "a": id } } }] };
        assert_eq!(peer.run("routes", update).get_i32("n").unwrap(), 1);
    }
    let begin = Instant::now();
    peer.fail("admin", doc! { "shardCollection": "routes.d", "key": { "_id": 1 } });
    assert!(begin.elapsed() < FAILURE_LIMIT, "took {:?}", begin.elapsed());
    cluster.up();
    wait::until("sharding to work again", || {
        let shard = doc! { "shardCollection": "routes.d", "key": { "_id": 1 } };
        cluster.connect().command("admin", shard).ok()
    });
}
