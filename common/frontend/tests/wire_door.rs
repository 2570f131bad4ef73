//! The front end with real sockets: commands, errors, order, compression, streaming hello, disconnects.

#![allow(clippy::unwrap_used)]

mod support;

use bson::{Bson, Document, doc};
use std::time::{Duration, Instant};
use support::{Server, until};
use tokio::io::AsyncReadExt;
use tokio_stream::StreamExt;
use wire::op_msg::{EXHAUST_ALLOWED, MORE_TO_COME};
use wire::{Compressor, op_reply};

fn code(reply: &Document) -> i32 {
    assert_eq!(reply.get_f64("ok").ok(), Some(0.0), "{reply}");
    reply.get_i32("code").unwrap()
}

/// What a driver needs to find its way after an election.
#[tokio::test]
async fn changes_of_a_members_part_are_told() {
    let server = Server::start().await;
    let mut peer = server.connect().await;
    server.host.topology.send_modify(|version| *version += 5);
    let refused = peer.run(doc! {"refused": 1, "$db": "d"}).await;
    let version = refused.get_document("topologyVersion").unwrap();
    assert_eq!(version.get_object_id("processId").unwrap(), frontend::Host::front(&*server.host).process_id);
    assert_eq!(version.get_i64("counter").unwrap(), *server.host.topology.borrow() as i64);
    let other = peer.run(doc! {"nope": 1, "$db": "d"}).await;
    assert!(!other.contains_key("topologyVersion"));

    // A killed operation says why it was killed.
    let front = frontend::Host::front(&*server.host).clone();
    let mut second = server.connect().await;
    let (reply, ()) = tokio::join!(second.run(doc! {"runsUntilKilled": 1, "$db": "d"}), async {
        until("the operation", || front.operations.count() == 1).await;
        assert_eq!(front.operations.depose(|operation| operation.name == "runsUntilKilled"), 1);
    });
    assert_eq!(code(&reply), 11602);
    assert!(reply.contains_key("topologyVersion"));

    let lsid = doc! {"id": bson::Uuid::new()};
    let numbered = doc! {"update": "c", "$db": "d", "lsid": lsid, "txnNumber": 1_i64};
    let labels = |reply: &Document| reply.get_array("errorLabels").ok().cloned();
    assert_eq!(labels(&peer.run(numbered).await), Some(vec![Bson::from("RetryableWriteError")]));
    assert_eq!(labels(&peer.run(doc! {"update": "c", "$db": "d"}).await), None);

    for (body, expected) in [
        (doc! {"ping": 1, "$db": "d", "readConcern": {"level": "majority"}}, Some(72)),
        (doc! {"ping": 1, "$db": "d", "readConcern": {"level": "local"}}, None),
        (doc! {"insert": "c", "$db": "d", "readConcern": {"level": "snapshot"}}, Some(72)),
    ] {
        let reply = peer.run(body.clone()).await;
        assert_eq!(reply.get_i32("code").ok(), expected, "{body} {reply}");
    }
}

/// Writes wait while fsync holds its lock, and everything else goes on.
#[tokio::test]
async fn writes_wait_for_the_lock() {
    let server = Server::start().await;
    let lock = frontend::Host::front(&*server.host).write_lock.clone();
    lock.lock(Duration::from_secs(5)).await.unwrap();
    let mut peer = server.connect().await;
    let write = doc! {"insert": "c", "$db": "d", "maxTimeMS": 50};
    assert_eq!(code(&peer.run(write).await), 50);
    let current = peer.run(doc! {"currentOp": 1, "$db": "admin"}).await;
    assert!(current.get_bool("fsyncLock").unwrap());
    let (reply, ()) = tokio::join!(peer.run(doc! {"insert": "c", "$db": "d"}), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        lock.unlock();
    });
    assert_eq!(reply.get_f64("ok").unwrap(), 1.0);
    assert!(!peer.run(doc! {"currentOp": 1, "$db": "admin"}).await.contains_key("fsyncLock"));
}

#[tokio::test]
async fn commands_and_their_errors() {
    let server = Server::start().await;
    let mut peer = server.connect().await;
    let reply = peer.run(doc! {"ping": 1, "$db": "admin"}).await;
    assert_eq!(reply.get_f64("ok").ok(), Some(1.0));
    assert_eq!(reply.get_timestamp("operationTime").ok(), Some(bson::Timestamp { time: 100, increment: 1 }));
    assert!(reply.get_document("$clusterTime").unwrap().contains_key("signature"));

    let strict = |name: &str| doc! {name: 1, "$db": "d", "apiVersion": "1", "apiStrict": true};
    for (body, expected) in [
        (doc! {"nope": 1, "$db": "d"}, 59),
        (doc! {"nope": 1}, 40571),
        (doc! {"ping": 1}, 40571),
        (doc! {"ping": 1, "$db": ""}, 73),
        (doc! {"ping": 1, "$db": "a/b"}, 73),
        (doc! {"ping": 1, "$db": "a.b"}, 73),
        (doc! {"ping": 1, "$db": "d", "maxTimeMS": -1}, 2),
        (doc! {"ping": 1, "$db": "d", "unknown": 1}, 40415),
        (doc! {"onAdmin": 1, "$db": "d"}, 13),
        (doc! {"forPeers": 1, "$db": "admin"}, 13),
        (doc! {"refused": 1, "$db": "d"}, 10107),
        (doc! {"mapReduce": 1, "$db": "d"}, 238),
        (doc! {"panics": 1, "$db": "d"}, 1),
        (doc! {"tooLarge": 1, "$db": "d"}, 10334),
        (doc! {"atlasVersion": 1, "$db": "admin"}, 59),
        (doc! {"getParameter": "foo", "$db": "admin"}, 72),
        (doc! {"setParameter": 1, "nope": 1, "$db": "admin"}, 72),
        (doc! {"getLog": "nope", "$db": "admin"}, 96),
        (strict("buildInfo"), 323),
    ] {
        let reply = peer.run(body.clone()).await;
        assert_eq!(code(&reply), expected, "{body} {reply}");
    }
    assert_eq!(
        peer.run(doc! {"nope": 1, "$db": "d"}).await.get_str("errmsg").ok(),
        Some("no such command: 'nope'")
    );
    for body in [doc! {"onAdmin": 1, "$db": "admin"}, doc! {"buildinfo": 1, "$db": "d"}, strict("ping")] {
        assert_eq!(peer.run(body).await.get_f64("ok").ok(), Some(1.0));
    }
    assert_eq!(server.panics(), 1);
}

#[tokio::test]
async fn the_handshake_by_op_query() {
    let server = Server::start().await;
    let mut peer = server.connect().await;
    let (flags, reply) =
        peer.run_legacy("admin", &doc! {"ismaster": 1, "helloOk": true, "compression": ["none"]}).await;
    assert_eq!(flags & op_reply::QUERY_FAILURE, 0);
    for (name, value) in [
        ("ismaster", Bson::Boolean(true)),
        ("helloOk", Bson::Boolean(true)),
        ("msg", "isdbgrid".into()),
        ("maxBsonObjectSize", 16_777_216.into()),
        ("maxMessageSizeBytes", 48_000_000.into()),
        ("maxWriteBatchSize", 100_000.into()),
        ("logicalSessionTimeoutMinutes", 30.into()),
        ("minWireVersion", 0.into()),
        ("maxWireVersion", 25.into()),
        ("readOnly", false.into()),
        ("ok", 1.0.into()),
    ] {
        assert_eq!(reply.get(name), Some(&value), "{name}");
    }
    assert!(reply.contains_key("topologyVersion") && reply.contains_key("connectionId"));
    assert!(!reply.contains_key("compression") && !reply.contains_key("isWritablePrimary"));
    let (flags, reply) = peer.run_legacy("admin", &doc! {"ping": 1}).await;
    assert_eq!((flags & op_reply::QUERY_FAILURE, code(&reply)), (op_reply::QUERY_FAILURE, 352));
    let hello = peer.run(doc! {"hello": 1, "$db": "admin"}).await;
    assert_eq!(hello.get_bool("isWritablePrimary").ok(), Some(true));
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let server = Server::start().await;
    let mut peer = server.connect().await;
    let mut ids = Vec::new();
    for number in 0..200 {
        let name = if number % 3 == 0 { "yields" } else { "ping" };
        ids.push(peer.send(0, &doc! {name: number, "$db": "d"}).await);
    }
    for id in ids {
        assert_eq!(peer.receive().await.unwrap().response_to, id);
    }
}

#[tokio::test]
async fn unacknowledged_requests_get_no_reply() {
    let server = Server::start().await;
    let mut peer = server.connect().await;
    for name in ["ping", "nope", "panics", "hello"] {
        peer.send(MORE_TO_COME, &doc! {name: 1, "$db": "d"}).await;
    }
    peer.send(EXHAUST_ALLOWED, &doc! {"yields": 1, "$db": "d"}).await;
    let answer = peer.receive().await.unwrap();
    assert_eq!((answer.response_to, answer.flags), (5, 0));
}

#[tokio::test]
async fn large_replies_arrive_whole() {
    let server = Server::start().await;
    let mut peer = server.connect().await;
    let reply = peer.run(doc! {"large": 1, "$db": "d"}).await;
    assert_eq!(reply.get_str("text").unwrap().len(), 16 * 1024 * 1024);
}

#[tokio::test]
async fn compression_is_negotiated() {
    let server = Server::start().await;
    for compressor in Compressor::OFFERED {
        let mut peer = server.connect().await;
        let hello = doc! {"hello": 1, "compression": ["none", compressor.name()], "$db": "admin"};
        let reply = peer.run(hello).await;
        assert_eq!(reply.get_array("compression").ok(), Some(&vec![compressor.name().into()]));
        peer.send_compressed(compressor, &doc! {"yields": "x".repeat(5_000), "$db": "d"}).await;
        let answer = peer.receive().await.unwrap();
        assert_eq!((answer.compressor, answer.doc.get_f64("ok").ok()), (Some(compressor), Some(1.0)));
    }
    let mut peer = server.connect().await;
    peer.send_compressed(Compressor::Zstd, &doc! {"ping": 1, "$db": "d"}).await;
    assert!(peer.receive().await.is_none());
}

#[tokio::test]
async fn awaitable_hello_waits_for_time_or_change() {
    let server = Server::start().await;
    let mut peer = server.connect().await;
    let version =
        peer.run(doc! {"hello": 1, "$db": "admin"}).await.get_document("topologyVersion").unwrap().clone();
    let wait = |millis: i32| doc! {"hello": 1, "topologyVersion": version.clone(), "maxAwaitTimeMS": millis, "$db": "admin"};
    let started = Instant::now();
    peer.run(wait(50)).await;
    assert!(started.elapsed() >= Duration::from_millis(50));

    peer.send(0, &wait(60_000)).await;
    let operations = server.operations();
    until("the wait", || !operations.list().is_empty()).await;
    server.host.topology.send_modify(|counter| *counter += 1);
    let reply = peer.receive().await.unwrap().doc;
    assert_eq!(reply.get_document("topologyVersion").unwrap().get_i64("counter").ok(), Some(1));
    // The old version is answered at once now.
    peer.run(wait(60_000)).await;

    let alone = doc! {"hello": 1, "topologyVersion": version.clone(), "$db": "admin"};
    assert_eq!(code(&peer.run(alone).await), 31368);
    let mut ahead = wait(10);
    ahead.get_document_mut("topologyVersion").unwrap().insert("counter", 99_i64);
    assert_eq!(code(&peer.run(ahead).await), 31382);
}

#[tokio::test]
async fn streaming_hello_sends_each_change() {
    let server = Server::start().await;
    let mut peer = server.connect().await;
    let version =
        peer.run(doc! {"hello": 1, "$db": "admin"}).await.get_document("topologyVersion").unwrap().clone();
    let body = doc! {"hello": 1, "topologyVersion": version, "maxAwaitTimeMS": 60_000, "$db": "admin"};
    let mut expected_to = peer.send(EXHAUST_ALLOWED, &body).await;
    let operations = server.operations();
    for counter in 1..=3_i64 {
        until("the wait", || !operations.list().is_empty()).await;
        server.host.topology.send_modify(|counter| *counter += 1);
        let answer = peer.receive().await.unwrap();
        assert_eq!((answer.response_to, answer.flags), (expected_to, MORE_TO_COME));
        assert_eq!(
            answer.doc.get_document("topologyVersion").unwrap().get_i64("counter").ok(),
            Some(counter)
        );
        expected_to = answer.request_id;
    }
    until("the wait", || !operations.list().is_empty()).await;
    drop(peer);
    until("the end of the wait", || operations.list().is_empty()).await;
    until("the end of the connection", || server.connections() == 0).await;
}

#[tokio::test]
async fn streaming_hello_ends_when_the_client_sends_something_else() {
    let server = Server::start().await;
    let mut peer = server.connect().await;
    let version =
        peer.run(doc! {"hello": 1, "$db": "admin"}).await.get_document("topologyVersion").unwrap().clone();
    peer.send(
        EXHAUST_ALLOWED,
        &doc! {"hello": 1, "topologyVersion": version, "maxAwaitTimeMS": 100, "$db": "admin"},
    )
    .await;
    let ping = peer.send(0, &doc! {"ping": 1, "$db": "admin"}).await;
    let last = peer.receive().await.unwrap();
    assert_eq!(last.flags, 0);
    assert_eq!(peer.receive().await.unwrap().response_to, ping);
}

#[tokio::test]
async fn a_client_that_leaves_stops_its_command() {
    let server = Server::start().await;
    let mut peer = server.connect().await;
    peer.send(0, &doc! {"runsUntilKilled": 1, "$db": "d"}).await;
    let operations = server.operations();
    until("the start", || operations.list().len() == 1).await;
    drop(peer);
    until("the end", || operations.list().is_empty()).await;
}

#[tokio::test]
async fn running_operations_are_shown_and_killed() {
    let server = Server::start().await;
    let (mut busy, mut other) = (server.connect().await, server.connect().await);
    busy.send(0, &doc! {"runsUntilKilled": 1, "$db": "d"}).await;
    let operations = server.operations();
    until("the start", || operations.list().len() == 1).await;
    let reply = other.run(doc! {"currentOp": 1, "ns": "d.$cmd", "$db": "admin"}).await;
    let shown = reply.get_array("inprog").unwrap();
    assert_eq!(shown.len(), 1);
    let operation = shown.first().unwrap().as_document().unwrap();
    assert_eq!(operation.get_document("command").unwrap().get_i32("runsUntilKilled").ok(), Some(1));
    let id = operation.get_i32("opid").unwrap();
    other.run(doc! {"killOp": 1, "op": id, "$db": "admin"}).await;
    assert_eq!(code(&busy.receive().await.unwrap().doc), 11601);
    let everything = other.run(doc! {"currentOp": 1, "$all": true, "$db": "admin"}).await;
    assert_eq!(everything.get_array("inprog").unwrap().len(), 2);
    assert_eq!(code(&other.run(doc! {"currentOp": 1, "opid": {"$gt": 1}, "$db": "admin"}).await), 238);
}

#[tokio::test]
async fn client_metadata_has_limits() {
    let server = Server::start().await;
    let client = |name: usize, filler: usize| {
        doc! {"application": {"name": "a".repeat(name)}, "driver": {"name": "d".repeat(filler)}, "os": {"type": "Linux"}}
    };
    let hello = |client: Document| doc! {"hello": 1, "client": client, "$db": "admin"};
    for (metadata, expected) in
        [(client(10, 500), 185), (client(129, 1), 184), (doc! {"driver": {"name": "x"}}, 183)]
    {
        let mut peer = server.connect().await;
        assert_eq!(code(&peer.run(hello(metadata)).await), expected);
    }
    let mut peer = server.connect().await;
    assert_eq!(peer.run(hello(client(128, 1))).await.get_f64("ok").ok(), Some(1.0));
    assert_eq!(code(&peer.run(hello(client(1, 1))).await), 186);
    let shown = peer.run(doc! {"currentOp": 1, "$db": "admin"}).await;
    let operation = shown.get_array("inprog").unwrap().first().unwrap().as_document().unwrap();
    assert_eq!(operation.get_str("appName").unwrap().len(), 128);
}

#[tokio::test]
async fn connections_are_counted_and_bounded() {
    let server = Server::with_connections(Some(2)).await;
    let mut first = server.connect().await;
    let mut second = server.connect().await;
    for peer in [&mut first, &mut second] {
        peer.run(doc! {"ping": 1, "$db": "admin"}).await;
    }
    let mut third = server.connect().await;
    assert!(third.receive().await.is_none());
    let status = first.run(doc! {"serverStatus": 1, "mem": 0, "$db": "admin"}).await;
    let connections = status.get_document("connections").unwrap();
    assert_eq!(
        (connections.get_i32("current").ok(), connections.get_i32("rejected").ok()),
        (Some(2), Some(1))
    );
    assert!(status.contains_key("ofTheHost") && !status.contains_key("mem"));
    drop(second);
    until("room", || server.connections() == 1).await;
    server.connect().await.run(doc! {"ping": 1, "$db": "admin"}).await;
}

#[tokio::test]
async fn other_speakers_are_told_apart() {
    let mut server = Server::start().await;
    let mut browser = server.connect().await;
    browser.send_bytes(b"GET / HTTP/1.1\r\n\r\n").await;
    let page = String::from_utf8(browser.rest().await).unwrap();
    assert!(page.starts_with("HTTP/1.0 200 OK") && page.contains("native driver port"), "{page}");

    let mut secure = server.connect().await;
    secure.send_bytes(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03aaaaaaaaaaaaaaaaaaaaaaaaaaaa").await;
    assert_eq!(secure.rest().await, b"");

    let mut router = server.connect().await;
    router.send_bytes(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    let mut stream = server.listening.grpc_incoming.next().await.unwrap().unwrap();
    let mut preface = [0; 24];
    stream.read_exact(&mut preface).await.unwrap();
    assert_eq!(&preface, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
}

#[tokio::test]
async fn the_process_tells_about_itself() {
    let server = Server::start().await;
    let mut peer = server.connect().await;
    for (command, field) in [
        ("buildInfo", "versionArray"),
        ("hostInfo", "system"),
        ("getCmdLineOpts", "argv"),
        ("connectionStatus", "authInfo"),
        ("listCommands", "commands"),
        ("whatsmyuri", "you"),
        ("startSession", "id"),
        ("serverStatus", "opcounters"),
        ("logout", "ok"),
    ] {
        let reply = peer.run(doc! {command: 1, "$db": "admin"}).await;
        assert_eq!(reply.get_f64("ok").ok(), Some(1.0), "{reply}");
        assert!(reply.contains_key(field), "{command}: {reply}");
    }
    let version = peer.run(doc! {"getParameter": 1, "featureCompatibilityVersion": 1, "$db": "admin"}).await;
    assert_eq!(
        version.get_document("featureCompatibilityVersion").unwrap().get_str("version").ok(),
        Some("8.0")
    );
    let all = peer.run(doc! {"getParameter": "*", "$db": "admin"}).await;
    assert!(all.len() > 5);
    let log = peer.run(doc! {"getLog": "startupWarnings", "$db": "admin"}).await;
    let line = log.get_array("log").unwrap().first().unwrap().as_str().unwrap().to_owned();
    assert!(line.contains("\"msg\":\"only a test\""), "{line}");
    let session = doc! {"id": bson::Binary { subtype: bson::spec::BinarySubtype::Uuid, bytes: vec![1; 16] }};
    for command in
        ["endSessions", "refreshSessions", "killSessions", "killAllSessions", "killAllSessionsByPattern"]
    {
        let list = if command.starts_with("killAll") { vec![] } else { vec![session.clone()] };
        let reply = peer.run(doc! {command: list, "$db": "admin"}).await;
        assert_eq!(reply.get_f64("ok").ok(), Some(1.0), "{command}: {reply}");
    }
    assert_eq!(code(&peer.run(doc! {"endSessions": 1, "$db": "admin"}).await), 14);
    let status = peer.run(doc! {"serverStatus": 1, "$db": "admin"}).await;
    let build_info = status
        .get_document("metrics")
        .unwrap()
        .get_document("commands")
        .unwrap()
        .get_document("buildInfo")
        .unwrap();
    assert_eq!(build_info.get_i64("total").ok(), Some(1));
}

#[tokio::test]
async fn a_server_that_stops_closes_its_connections() {
    let server = Server::start().await;
    let (mut idle, mut waiting) = (server.connect().await, server.connect().await);
    let version =
        idle.run(doc! {"hello": 1, "$db": "admin"}).await.get_document("topologyVersion").unwrap().clone();
    waiting
        .send(0, &doc! {"hello": 1, "topologyVersion": version, "maxAwaitTimeMS": 60_000, "$db": "admin"})
        .await;
    let operations = server.operations();
    until("the wait", || !operations.list().is_empty()).await;
    assert!(server.tasks.stop(Duration::from_secs(5)).await);
    assert!(idle.receive().await.is_none() && waiting.receive().await.is_none());
}
