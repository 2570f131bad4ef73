//! `kill -9` of every process in the middle of an import: what was acknowledged is there afterwards, once.

#![allow(clippy::unwrap_used)]

use bson::{Bson, Document, doc};
use std::collections::HashMap;
use std::fs;
use std::process::Stdio;
use tests::process::say;
use tests::{Cluster, cities, wait};

/// The import is interrupted this often, at these shares of the file.
const KILL_AFTER: [usize; 3] = [10, 40, 70];

/// The canonical text of an `_id`, as the import logs it.
fn text(id: &Bson) -> String {
    serde_json::to_string(&id.clone().into_canonical_extjson()).unwrap()
}

fn lines(path: &std::path::Path) -> usize {
    fs::read(path).map(|bytes| bytes.iter().filter(|byte| **byte == b'\n').count()).unwrap_or(0)
}

/// The ids of all documents, each with how often it is there.
fn stored(cluster: &Cluster, db: &str, collection: &str) -> HashMap<String, u32> {
    let mut peer = cluster.connect();
    let mut found = HashMap::new();
    let find = doc! { "find": collection, "projection": { "_id": 1 }, "batchSize": 10_000 };
    for document in peer.all(db, find) {
        *found.entry(text(document.get("_id").unwrap())).or_insert(0) += 1;
    }
    found
}

/// Imports, kills everything when a share of the rows is acknowledged, starts it again and compares.
fn check(cluster: &Cluster, collection: &str, key: Document, concern: &[&str], percent: usize) {
    let rows = cities::read(&cities::file()).len();
    let ns = format!("crash.{collection}");
    cluster.connect().run("admin", doc! { "shardCollection": &ns, "key": key });
    let acked = cluster.dir().join(format!("{collection}.acked"));
    let file = cities::file();
    let mut arguments = vec!["import", file.to_str().unwrap(), "--ns", &ns, "--batch", "100"];
    arguments.extend(["--acked-log", acked.to_str().unwrap(), "--retry-seconds", "1"]);
    arguments.extend(concern);
    let mut import =
        cluster.shoal_command(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let wanted = rows * percent / 100;
    wait::until("the import to be under way", || (lines(&acked) >= wanted).then_some(()));
    cluster.kill_all();
    assert!(!import.wait().unwrap().success(), "the import must not succeed: it was interrupted");

    let log = fs::read_to_string(&acked).unwrap();
    let acknowledged: Vec<&str> = log.lines().collect();
    assert!(acknowledged.len() < rows, "{ns}: the import was through before it was interrupted");
    cluster.up();
    let stored = stored(cluster, "crash", collection);
    let lost: Vec<&&str> = acknowledged.iter().filter(|id| !stored.contains_key(**id)).collect();
    let twice: Vec<&String> = stored.iter().filter(|(_, count)| **count != 1).map(|(id, _)| id).collect();
    say(&format!(
        "crash of all at {percent} %: {} acknowledged, {} stored, {} lost, {} twice",
        acknowledged.len(),
        stored.len(),
        lost.len(),
        twice.len()
    ));
    assert!(
        lost.is_empty(),
        "{ns}: {} acknowledged documents are lost: {:?}",
        lost.len(),
        &lost[..lost.len().min(5)]
    );
    assert!(
        twice.is_empty(),
        "{ns}: {} documents are there twice: {:?}",
        twice.len(),
        &twice[..twice.len().min(5)]
    );
    let count = cluster.connect().run("crash", doc! { "count": collection });
    assert_eq!(tests::driver::number(&count, "n"), stored.len() as f64, "{ns}: count disagrees with find");
    // No index disagrees with its collection, and the cluster takes writes.
    let more =
        doc! { "insert": collection, "documents": [{ "_id": "afterwards", "country": "XX", "name": "x" }] };
    assert_eq!(cluster.connect().run("crash", more).get_i32("n").unwrap(), 1);
}

#[test]
fn acknowledged_documents_survive_the_death_of_all_processes() {
    let cluster = Cluster::start(2);
    let journaled = ["--w", "majority", "--j"];
    check(&cluster, "hashed", doc! { "_id": "hashed" }, &journaled, KILL_AFTER[0]);
    check(&cluster, "ranged", doc! { "country": 1, "name": 1 }, &journaled, KILL_AFTER[1]);
    // Without asking for anything: the default write concern of a one-member set is majority, which is durable.
    check(&cluster, "defaults", doc! { "_id": "hashed" }, &[], KILL_AFTER[2]);
}

/// Each process by itself, while others go on; the routing tables and the catalogue come back too.
#[test]
fn what_is_in_the_catalogue_survives_too() {
    let cluster = Cluster::start(2);
    let mut peer = cluster.connect();
    peer.run("admin", doc! { "shardCollection": "kept.a", "key": { "_id": "hashed" } });
    peer.run(
        "admin",
        doc! { "shardCollection": "kept.b", "key": { "country": 1, "name": 1 }, "unique": true },
    );
    peer.run(
        "kept",
        doc! { "createIndexes": "a", "indexes": [{ "key": { "admin1": 1 }, "name": "by_admin1" }] },
    );
    peer.run("kept", doc! { "insert": "plain", "documents": [{ "_id": 1 }] });
    peer.run("admin", doc! { "split": "kept.b", "middle": { "country": "M", "name": "M" } });
    let look = |cluster: &Cluster| {
        let mut peer = cluster.connect();
        let chunks = doc! { "find": "chunks", "sort": { "uuid": 1, "min": 1 } };
        let mut seen = peer.all("config", chunks);
        seen.extend(peer.all("config", doc! { "find": "collections", "sort": { "_id": 1 } }));
        seen.extend(peer.all("config", doc! { "find": "databases", "sort": { "_id": 1 } }));
        seen.extend(peer.all("kept", doc! { "listIndexes": "a" }));
        seen.extend(peer.all("kept", doc! { "listIndexes": "b" }));
        seen.extend(peer.all("kept", doc! { "find": "plain" }));
        seen
    };
    let before = look(&cluster);
    for name in ["config", "shard1", "shard2", "router"] {
        cluster.kill(name);
        cluster.up();
        assert_eq!(look(&cluster), before, "after the death of {name}");
    }
    cluster.shoal(&["down"]);
    cluster.up();
    assert_eq!(look(&cluster), before, "after a clean stop");
}
