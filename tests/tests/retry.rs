//! A write that is sent again, as drivers do after a lost answer, is done once: on the same connection, on another one,
//! through another router, and after the shard was killed in between.

#![allow(clippy::unwrap_used)]

use bson::{Bson, Document, doc};
use tests::driver::Connection;
use tests::{Cluster, Shared};

/// A session of the test's own.
fn session(number: u8) -> Document {
    doc! { "id": bson::Binary { subtype: bson::spec::BinarySubtype::Uuid, bytes: vec![number; 16] } }
}

fn with(mut command: Document, session: &Document, number: i64) -> Document {
    command.insert("lsid", session.clone());
    command.insert("txnNumber", number);
    command
}

/// What an answer says about the write; times and gossip differ.
fn outcome(mut reply: Document) -> Document {
    for name in ["$clusterTime", "operationTime", "opTime", "electionId", "retriedStmtIds", "retriedStmtId"] {
        reply.remove(name);
    }
    reply
}

struct Case {
    name: &'static str,
    command: Document,
    /// What is stored afterwards, by `_id`.
    expected: Vec<Document>,
}

fn case(name: &'static str, command: Document, expected: Vec<Document>) -> Case {
    Case { name, command, expected }
}

/// Each begins with `{_id: 1, n: 1}` and `{_id: 2, n: 1}`.
fn cases() -> Vec<Case> {
    let one = doc! { "_id": 1, "n": 1 };
    let two = doc! { "_id": 2, "n": 1 };
    let raised = doc! { "_id": 1, "n": 2 };
    let by_id = doc! { "_id": 1 };
    let inc = doc! { "$inc": { "n": 1 } };
    vec![
        case(
            "insert",
            doc! { "insert": "c", "documents": [{ "_id": 3, "n": 1 }, { "_id": 4, "n": 1 }] },
            vec![one.clone(), two.clone(), doc! { "_id": 3, "n": 1 }, doc! { "_id": 4, "n": 1 }],
        ),
        case(
            "update",
            doc! { "update": "c", "updates": [{ "q": by_id.clone(), "u": inc.clone() }] },
            vec![raised.clone(), two.clone()],
        ),
        case(
            "updates of both shards, unordered",
            doc! { "update": "c", "ordered": false, "updates": [
                { "q": { "_id": 1 }, "u": inc.clone() }, { "q": { "_id": 2 }, "u": inc.clone() },
            ] },
            vec![raised.clone(), doc! { "_id": 2, "n": 2 }],
        ),
        case(
            "upsert",
            doc! { "update": "c", "updates": [{ "q": { "_id": 5 }, "u": inc.clone(), "upsert": true }] },
            vec![one.clone(), two.clone(), doc! { "_id": 5, "n": 1 }],
        ),
        case(
            "delete",
            doc! { "delete": "c", "deletes": [{ "q": by_id.clone(), "limit": 1 }] },
            vec![two.clone()],
        ),
        case(
            "findAndModify, old document",
            doc! { "findAndModify": "c", "query": by_id.clone(), "update": inc.clone() },
            vec![raised.clone(), two.clone()],
        ),
        case(
            "findAndModify, new document",
            doc! { "findAndModify": "c", "query": by_id.clone(), "update": inc.clone(), "new": true },
            vec![raised.clone(), two.clone()],
        ),
        case(
            "findAndModify, remove",
            doc! { "findAndModify": "c", "query": by_id, "remove": true },
            vec![two.clone()],
        ),
        case(
            "findAndModify, upsert",
            doc! { "findAndModify": "c", "query": { "_id": 6 }, "update": inc, "upsert": true, "new": true },
            vec![one, two, doc! { "_id": 6, "n": 1 }],
        ),
    ]
}

fn prepare(peer: &mut Connection, db: &str) {
    peer.run(db, doc! { "delete": "c", "deletes": [{ "q": {}, "limit": 0 }] });
    peer.run(db, doc! { "insert": "c", "documents": [{ "_id": 1, "n": 1 }, { "_id": 2, "n": 1 }] });
}

fn stored(peer: &mut Connection, db: &str) -> Vec<Document> {
    peer.all(db, doc! { "find": "c", "sort": { "_id": 1 } })
}

/// Sends each case twice, the second time through `again`.
fn check(db: &str, session_number: u8, first: &str, again: &str, sharded: bool) {
    let session = session(session_number);
    let mut peer = Connection::open(first);
    if sharded {
        peer.run("admin", doc! { "shardCollection": format!("{db}.c"), "key": { "_id": "hashed" } });
    }
    for (number, case) in (1_i64..).zip(cases()) {
        prepare(&mut peer, db);
        let command = with(case.command, &session, number);
        let answer = outcome(peer.run(db, command.clone()));
        assert!(!answer.contains_key("writeErrors"), "{}: {answer}", case.name);
        assert_eq!(stored(&mut peer, db), case.expected, "{}: after the first time", case.name);
        let mut other = Connection::open(again);
        for time in ["second", "third"] {
            let repeated = outcome(other.run(db, command.clone()));
            assert_eq!(repeated, answer, "{}: answer of the {time} time", case.name);
            assert_eq!(stored(&mut other, db), case.expected, "{}: after the {time} time", case.name);
        }
    }
}

#[test]
fn repeated_statements_are_done_once() {
    let cluster: Shared = Cluster::shared();
    check("retry_same", 1, &cluster.router(), &cluster.router(), true);
    check("retry_plain", 2, &cluster.router(), &cluster.router(), false);
}

#[test]
fn repeated_statements_are_done_once_through_another_router() {
    let cluster: Shared = Cluster::shared();
    let other = cluster.add_router("router2");
    check("retry_other", 3, &cluster.router(), &other, true);
    check("retry_other_plain", 4, &cluster.router(), &other, false);
}

#[test]
fn repeated_statements_are_done_once_on_a_member_itself() {
    let cluster: Shared = Cluster::shared();
    check("retry_direct", 5, &cluster.address("shard1"), &cluster.address("shard1"), false);
}

/// Only part of a batch was done the first time.
#[test]
fn the_rest_of_a_batch_is_done_when_it_is_repeated() {
    let cluster = Cluster::shared();
    let mut peer = cluster.connect();
    let session = session(6);
    peer.run("admin", doc! { "shardCollection": "retry_rest.c", "key": { "_id": "hashed" } });
    let documents = |ids: &[i32]| -> Vec<Bson> { ids.iter().map(|id| doc! { "_id": *id }.into()).collect() };
    let insert = |ids: &[i32]| with(doc! { "insert": "c", "documents": documents(ids) }, &session, 1);
    assert_eq!(peer.run("retry_rest", insert(&[1, 2])).get_i32("n").unwrap(), 2);
    // Statement ids are places in the batch: the first two are known, the others are new.
    let reply = peer.run("retry_rest", insert(&[1, 2, 3, 4]));
    assert_eq!((reply.get_i32("n").unwrap(), reply.get("writeErrors")), (4, None), "{reply}");
    assert_eq!(stored(&mut peer, "retry_rest").len(), 4);
}

#[test]
fn an_older_number_is_refused() {
    let cluster = Cluster::shared();
    let mut peer = cluster.connect();
    let session = session(7);
    let insert =
        |id: i32, number: i64| with(doc! { "insert": "c", "documents": [{ "_id": id }] }, &session, number);
    peer.run("retry_old", insert(1, 5));
    let error = match peer.command("retry_old", insert(2, 4)) {
        Err(error) => error.code,
        Ok(reply) => {
            let errors = reply.get_array("writeErrors").unwrap_or_else(|_| panic!("{reply}"));
            errors[0].as_document().unwrap().get_i32("code").unwrap()
        }
    };
    assert_eq!(error, 225);
    assert_eq!(stored(&mut peer, "retry_old").len(), 1);
}

/// What was acknowledged before a crash is known after it, so that a repetition changes nothing.
#[test]
fn the_history_survives_a_crash() {
    let cluster = Cluster::start(2);
    let mut peer = cluster.connect();
    let session = session(8);
    peer.run("admin", doc! { "shardCollection": "retry_crash.c", "key": { "_id": "hashed" } });
    prepare(&mut peer, "retry_crash");
    let commands = [
        doc! { "update": "c", "ordered": false, "updates": [
            { "q": { "_id": 1 }, "u": { "$inc": { "n": 1 } } }, { "q": { "_id": 2 }, "u": { "$inc": { "n": 1 } } },
        ] },
        doc! { "findAndModify": "c", "query": { "_id": 1 }, "update": { "$inc": { "n": 1 } }, "new": true },
    ];
    for (number, mut command) in (1_i64..).zip(commands) {
        command.insert("writeConcern", doc! { "w": "majority" });
        let command = with(command, &session, number);
        let answer = outcome(peer.run("retry_crash", command.clone()));
        let before = stored(&mut peer, "retry_crash");
        cluster.kill_all();
        cluster.up();
        peer = cluster.connect();
        assert_eq!(outcome(peer.run("retry_crash", command)), answer);
        assert_eq!(stored(&mut peer, "retry_crash"), before);
    }
}
