//! Clients that hold on to a connection without using it: rows 6, 7 and 8. All of them at the same time, because each one
//! takes as long as the server's patience.

use crate::bytes::ping;
use crate::ping as ping_anew;
use crate::with_db;
use bson::doc;
use std::time::{Duration, Instant};
use tests::driver::{Answer, Connection};
use tests::{Cluster, wait};

/// The server lets go of a first message after 10 s, of later ones after 60 s.
const FIRST_PATIENCE: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(60);
/// What a loaded machine adds.
const SLACK: Duration = Duration::from_secs(30);
/// Answers that nobody reads may occupy this much: one message, and what is on its way.
const GREEDY_KIB_MAX: u64 = 160 * 1024;

pub(crate) fn check(cluster: &Cluster, name: &str) {
    std::thread::scope(|scope| {
        scope.spawn(|| one_byte_at_a_time(cluster, name));
        scope.spawn(|| silent_inside_a_message(cluster, name));
        scope.spawn(|| never_reads(cluster, name));
    });
    ping_anew(cluster, name);
}

/// Row 6: bytes come, but never a whole header.
fn one_byte_at_a_time(cluster: &Cluster, name: &str) {
    let mut peer = cluster.connect_to(name);
    peer.set_patience(Duration::from_secs(1));
    let begin = Instant::now();
    for byte in &ping()[..15] {
        // The peer may be closed already: that is what is waited for.
        peer.send_bytes(&[*byte]).ok();
        if let Ok(Answer::Closed) = peer.receive() {
            let after = begin.elapsed();
            assert!(after + Duration::from_secs(2) > FIRST_PATIENCE, "{name}: closed after {after:?}");
            return;
        }
        assert!(begin.elapsed() < FIRST_PATIENCE + SLACK, "{name}: a header that never ends is waited for");
    }
    panic!("{name}: fifteen bytes in fifteen seconds were not too slow");
}

/// Row 7: a good client that stops in the middle.
fn silent_inside_a_message(cluster: &Cluster, name: &str) {
    let mut peer = cluster.connect_to(name);
    peer.run("admin", doc! { "hello": 1 });
    peer.send_bytes(&ping()[..30]).unwrap();
    let_go(&mut peer, name, "half a message");
}

/// Row 8: large answers that nobody takes.
fn never_reads(cluster: &Cluster, name: &str) {
    let mut peer = cluster.connect_to(name);
    let text = "x".repeat(4 * 1024 * 1024);
    for id in 0..8 {
        peer.run("greedy", doc! { "insert": name, "documents": [{ "_id": id, "text": &text }] });
    }
    let process = cluster.process(name);
    let before = process.resident_kib();
    // Each is answered with up to 16 MiB.
    for _ in 0..20 {
        let find = with_db("greedy", doc! { "find": name, "singleBatch": true });
        if peer.send(0, &find).is_err() {
            break;
        }
    }
    let grown = process.resident_kib().saturating_sub(before);
    assert!(grown < GREEDY_KIB_MAX, "{name}: {grown} KiB for a client that does not read");
    // What was sent before the server let go may still be read; then the stream ends.
    wait::within(PATIENCE + SLACK, "a client that never reads to be let go", || {
        wait::pause(Duration::from_secs(1));
        peer.send_bytes(&ping()).is_err().then_some(())
    });
}

fn let_go(peer: &mut Connection, name: &str, what: &str) {
    peer.set_patience(PATIENCE + SLACK);
    match peer.receive() {
        Ok(Answer::Closed) => {}
        other => panic!("{name}: {what}: {other:?}"),
    }
}
