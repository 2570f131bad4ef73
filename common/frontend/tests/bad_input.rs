//! Bad bytes on a real socket: the reaction of each row, the counter, and the next connection that works as if nothing had been.

#![allow(clippy::unwrap_used)]

mod support;

use bson::doc;
use support::{Server, raw, until};
use wire::op_msg;

/// What the peer gets.
#[derive(Debug, PartialEq)]
enum Seen {
    Closed,
    Error { code: i32, closed: bool },
}

fn message(op_code: i32, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for word in [i32::try_from(16 + content.len()).unwrap(), 7, 0, op_code] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    out.extend_from_slice(content);
    out
}

fn ping() -> Vec<u8> {
    op_msg::encode(7, 0, 0, &raw(&doc! {"ping": 1, "$db": "admin"}), []).unwrap().to_vec()
}

fn with_length(length: i32) -> Vec<u8> {
    let mut bytes = ping();
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    bytes
}

fn with_flags(flags: u32) -> Vec<u8> {
    let mut bytes = ping();
    bytes[16..20].copy_from_slice(&flags.to_le_bytes());
    bytes
}

/// The header of a message of 40 MB that never comes.
fn huge(op_code: i32) -> Vec<u8> {
    let mut bytes = message(op_code, &[]);
    bytes[..4].copy_from_slice(&40_000_000_i32.to_le_bytes());
    bytes
}

async fn see(server: &Server, bytes: &[u8]) -> Seen {
    let mut peer = server.connect().await;
    peer.send_bytes(bytes).await;
    match peer.receive().await {
        None => Seen::Closed,
        Some(answer) => {
            let code = answer.doc.get_i32("code").unwrap();
            // A ping tells whether the connection is still served.
            peer.send(0, &doc! {"ping": 1, "$db": "admin"}).await;
            Seen::Error { code, closed: peer.receive().await.is_none() }
        }
    }
}

#[tokio::test]
async fn rows() {
    let server = Server::start().await;
    let stays = |code| Seen::Error { code, closed: false };
    let closes = |code| Seen::Error { code, closed: true };
    let mut two_bodies = ping()[20..].to_vec();
    two_bodies.extend_from_slice(&ping()[20..]);
    two_bodies.splice(0..0, [0; 4]);
    let mut bad_document = ping();
    bad_document[25] = 0x80;
    let rows = [
        ("1", with_length(0), Seen::Closed),
        ("1", with_length(15), Seen::Closed),
        ("2", with_length(-1), Seen::Closed),
        ("3", with_length(48_000_001), Seen::Closed),
        ("9", message(9999, &[]), Seen::Closed),
        ("9 from its header", huge(9999), Seen::Closed),
        ("10 from its header", huge(2001), Seen::Closed),
        ("10", message(2002, &[0; 20]), Seen::Closed),
        ("13", message(1, &[0; 20]), Seen::Closed),
        (
            "15",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03aaaaaaaaaaaaaaaaaaaaaaaa".to_vec(),
            Seen::Closed,
        ),
        ("16", with_flags(1 << 2), closes(223)),
        ("18", with_flags(1), closes(288)),
        ("19", message(2013, &[1, 0, 0, 0, 0]), Seen::Closed),
        ("22", message(2013, &[0; 4]), stays(40587)),
        ("23", message(2013, &two_bodies), stays(40430)),
        ("24", message(2013, &[0, 0, 0, 0, 9]), stays(40432)),
        ("27", message(2013, &[0, 0, 0, 0, 1, 4, 0, 0, 0]), closes(17)),
        ("29", message(2012, &[0; 8]), Seen::Closed),
        ("36", message(2012, &[0xdd, 7, 0, 0, 5, 0, 0, 0, 200, 1, 2, 3]), Seen::Closed),
        ("40", bad_document, stays(22)),
    ];
    for (row, bytes, expected) in rows {
        let before = server.bad_input();
        assert_eq!(see(&server, &bytes).await, expected, "row {row}");
        assert_eq!(server.bad_input(), before + 1, "counter of row {row}");
        server.connect().await.run(doc! {"ping": 1, "$db": "admin"}).await;
    }
}

#[tokio::test]
async fn a_message_that_is_cut_is_not_run() {
    let server = Server::start().await;
    let mut peer = server.connect().await;
    let bytes = ping();
    peer.send_bytes(&bytes[..bytes.len() - 1]).await;
    drop(peer);
    let mut other = server.connect().await;
    other.run(doc! {"hello": 1, "$db": "admin"}).await;
    let status = other.run(doc! {"serverStatus": 1, "$db": "admin"}).await;
    let commands = status.get_document("metrics").unwrap().get_document("commands").unwrap();
    assert_eq!(commands.get_document("ping").unwrap().get_i64("total").ok(), Some(0));
}

#[tokio::test]
async fn a_bad_message_that_wants_no_reply_gets_none() {
    let server = Server::start().await;
    let mut peer = server.connect().await;
    peer.send_bytes(&message(2013, &[2, 0, 0, 0, 9])).await;
    peer.run(doc! {"ping": 1, "$db": "admin"}).await;
}

/// Time is simulated: it jumps when nothing else is left to do.
#[tokio::test(start_paused = true)]
async fn slow_peers_are_let_go() {
    let server = Server::start().await;
    for first in [&b""[..], b"\x40", &ping()[..20]] {
        let mut peer = server.connect().await;
        peer.send_bytes(first).await;
        assert_eq!(peer.rest().await, b"", "after {} bytes", first.len());
    }
}

/// A peer that asks for more than its socket holds and never reads is let go, and holds up nobody.
#[tokio::test(start_paused = true)]
async fn peers_that_do_not_read_are_let_go() {
    let server = Server::start().await;
    let mut peer = server.connect().await;
    for _ in 0..2 {
        peer.send(0, &doc! {"large": 1, "$db": "d"}).await;
    }
    until("the end of the connection", || server.connections() == 0).await;
    drop(peer);
}
