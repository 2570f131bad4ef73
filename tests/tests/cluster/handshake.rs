//! What drivers learn about a server, and how they are kept from asking too often.

use bson::{Document, doc};
use std::time::{Duration, Instant};
use tests::Cluster;
use tests::driver::{Answer, raw};
use wire::op_msg::{EXHAUST_ALLOWED, MORE_TO_COME};

#[test]
fn a_router_is_a_router_and_a_member_a_member() {
    let cluster = Cluster::shared();
    for name in ["hello", "isMaster", "ismaster"] {
        let hello = cluster.connect().run("admin", doc! { name: 1, "helloOk": true });
        assert_eq!(hello.get_str("msg").unwrap(), "isdbgrid");
        let writable = if name == "hello" { "isWritablePrimary" } else { "ismaster" };
        assert!(hello.get_bool(writable).unwrap(), "{hello}");
        assert_eq!(hello.get_i32("maxWireVersion").unwrap(), 25);
        assert_eq!(hello.get_i32("maxBsonObjectSize").unwrap(), 16 * 1024 * 1024);
        assert_eq!(hello.get_i32("maxMessageSizeBytes").unwrap(), 48_000_000);
        assert_eq!(hello.get_i32("maxWriteBatchSize").unwrap(), 100_000);
        assert!(hello.contains_key("logicalSessionTimeoutMinutes"), "{hello}");
        assert!(!hello.contains_key("setName"), "{hello}");
    }
    for member in ["shard1", "shard2", "config"] {
        let hello = cluster.connect_to(member).run("admin", doc! { "hello": 1 });
        assert_eq!(hello.get_str("setName").unwrap(), member);
        assert_eq!(hello.get_str("primary").unwrap(), cluster.address(member));
        assert_eq!(hello.get_str("me").unwrap(), cluster.address(member));
        assert!(hello.get_bool("isWritablePrimary").unwrap());
        assert!(!hello.contains_key("msg"), "{hello}");
        let status = cluster.connect_to(member).run("admin", doc! { "replSetGetStatus": 1 });
        let members = status.get_array("members").unwrap();
        assert_eq!(members[0].as_document().unwrap().get_str("stateStr").unwrap(), "PRIMARY");
        let config = cluster.connect_to(member).run("admin", doc! { "replSetGetConfig": 1 });
        assert_eq!(config.get_document("config").unwrap().get_str("_id").unwrap(), member);
    }
}

fn version(hello: &Document) -> Document {
    hello.get_document("topologyVersion").unwrap_or_else(|_| panic!("{hello}")).clone()
}

#[test]
fn an_awaitable_hello_waits() {
    const WAIT: Duration = Duration::from_millis(1_500);
    let cluster = Cluster::shared();
    for name in ["router", "shard1"] {
        let mut peer = cluster.connect_to(name);
        let known = version(&peer.run("admin", doc! { "hello": 1 }));
        let begin = Instant::now();
        let wait = i64::try_from(WAIT.as_millis()).unwrap();
        let again =
            peer.run("admin", doc! { "hello": 1, "topologyVersion": known.clone(), "maxAwaitTimeMS": wait });
        assert!(begin.elapsed() >= WAIT, "{name} answered after {:?}", begin.elapsed());
        assert_eq!(version(&again), known);

        // Streaming: one question, answers until the client goes away.
        let stream =
            raw(&doc! { "hello": 1, "topologyVersion": known, "maxAwaitTimeMS": 200_i64, "$db": "admin" });
        peer.send(EXHAUST_ALLOWED, &stream).unwrap();
        let begin = Instant::now();
        for _ in 0..4 {
            let frame = peer.receive_frame().unwrap().unwrap();
            let flags = wire::op_msg::flags(&frame).unwrap();
            assert_ne!(flags & MORE_TO_COME, 0, "{name}: the stream ends");
        }
        assert!(
            begin.elapsed() >= Duration::from_millis(700),
            "{name}: four answers in {:?}",
            begin.elapsed()
        );
    }
}

#[test]
fn what_drivers_and_shells_ask_first() {
    let cluster = Cluster::shared();
    let mut peer = cluster.connect();
    let build = peer.run("admin", doc! { "buildInfo": 1 });
    assert!(build.get_str("version").unwrap().starts_with("8.0"), "{build}");
    let parameter = doc! { "getParameter": 1, "featureCompatibilityVersion": 1 };
    let parameter = peer.run("admin", parameter);
    assert_eq!(
        parameter.get_document("featureCompatibilityVersion").unwrap().get_str("version").unwrap(),
        "8.0"
    );
    for command in
        ["connectionStatus", "hostInfo", "getCmdLineOpts", "listCommands", "serverStatus", "whatsmyuri"]
    {
        peer.run("admin", doc! { command: 1 });
    }
    assert!(peer.run("admin", doc! { "getLog": "startupWarnings" }).get_array("log").is_ok());
    assert_eq!(peer.fail("admin", doc! { "atlasVersion": 1 }).code, 59);
    assert_ne!(peer.fail("admin", doc! { "getParameter": 1, "foo": 1 }).code, 0);
    let session = peer.run("admin", doc! { "startSession": 1 });
    let id = session.get_document("id").unwrap().clone();
    peer.run("admin", doc! { "refreshSessions": [id.clone()] });
    peer.run("admin", doc! { "endSessions": [id] });
}

#[test]
fn every_compressor_is_understood_both_ways() {
    let cluster = Cluster::shared();
    for name in ["snappy", "zlib", "zstd"] {
        let mut peer = cluster.connect();
        let hello = peer.run("admin", doc! { "hello": 1, "compression": ["no such", name] });
        assert_eq!(hello.get_array("compression").unwrap(), &vec![name.into()]);
        let compressor = wire::Compressor::from_name(name).unwrap();
        let find = raw(&doc! { "find": "shards", "$db": "config" });
        let message = wire::op_msg::encode(77, 0, 0, &find, []).unwrap();
        peer.send_bytes(&wire::op_compressed::compress(&message, compressor).unwrap()).unwrap();
        let frame = peer.receive_frame().unwrap().unwrap();
        assert_eq!(frame.header.op_code, wire::OpCode::Compressed, "{name}");
        let (inner, used) =
            wire::op_compressed::decompress(&frame, types::limits::MESSAGE_BYTES_MAX, |_| true).unwrap();
        assert_eq!((used, inner.header.response_to), (compressor, 77));
        let reply = Document::try_from(&*wire::op_msg::parse(&inner).unwrap().body).unwrap();
        assert_eq!(tests::driver::number(&reply, "ok"), 1.0, "{reply}");
        assert!(matches!(peer.exchange("admin", doc! { "ping": 1 }), Ok(Answer::Document(_))));
    }
}
