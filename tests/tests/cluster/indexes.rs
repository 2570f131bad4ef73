//! Secondary indexes on sharded collections: on every shard, used by find, and shown by explain.

use bson::{Document, doc};
use tests::Cluster;

fn names(indexes: &[Document]) -> Vec<&str> {
    let mut names: Vec<&str> = indexes.iter().map(|index| index.get_str("name").unwrap()).collect();
    names.sort_unstable();
    names
}

#[test]
fn indexes_are_on_every_shard_and_used() {
    let cluster = Cluster::shared();
    let mut peer = cluster.connect();
    crate::cities(&mut peer, "indexes", doc! { "_id": "hashed" });
    let reply = peer.run(
        "indexes",
        doc! { "createIndexes": "cities", "indexes": [
            { "key": { "country": 1, "name": -1 }, "name": "country_name" },
            { "key": { "admin1": 1 }, "name": "admin1" },
        ] },
    );
    assert!(reply.contains_key("raw") || reply.contains_key("numIndexesAfter"), "{reply}");
    let listed = peer.all("indexes", doc! { "listIndexes": "cities" });
    assert_eq!(names(&listed), ["_id_", "_id_hashed", "admin1", "country_name"]);
    for shard in ["shard1", "shard2"] {
        let listed = cluster.connect_to(shard).all("indexes", doc! { "listIndexes": "cities" });
        assert_eq!(names(&listed), ["_id_", "_id_hashed", "admin1", "country_name"], "{shard}");
    }
    let explained = peer.run(
        "indexes",
        doc! {
            "explain": { "find": "cities", "filter": { "country": "FR", "name": { "$gt": "M" } } },
            "verbosity": "executionStats",
        },
    );
    let text = explained.to_string();
    assert!(text.contains("IXSCAN") && text.contains("country_name"), "{text}");
    assert!(!text.contains("COLLSCAN"), "{text}");
    let stats = explained.get_document("executionStats").unwrap();
    assert_eq!(stats.get("totalDocsExamined"), stats.get("nReturned"), "{stats}");

    peer.run("indexes", doc! { "dropIndexes": "cities", "index": "admin1" });
    let listed = peer.all("indexes", doc! { "listIndexes": "cities" });
    assert_eq!(names(&listed), ["_id_", "_id_hashed", "country_name"]);
    assert_eq!(peer.fail("indexes", doc! { "dropIndexes": "cities", "index": "admin1" }).code, 27);
    assert_eq!(peer.fail("indexes", doc! { "dropIndexes": "cities", "index": "_id_" }).code, 72);
    assert_eq!(peer.fail("indexes", doc! { "listIndexes": "nothing" }).code, 26);
    // The same again is no error; the same name for another key is.
    let again = |key: Document| doc! { "createIndexes": "cities", "indexes": [{ "key": key, "name": "country_name" }] };
    peer.run("indexes", again(doc! { "country": 1, "name": -1 }));
    assert_eq!(peer.fail("indexes", again(doc! { "lat": 1 })).code, 86);
    // By this one documents are found by their shard key.
    assert_eq!(peer.fail("indexes", doc! { "dropIndexes": "cities", "index": "_id_hashed" }).code, 303);
    peer.run("indexes", doc! { "dropIndexes": "cities", "index": "*" });
    let listed = peer.all("indexes", doc! { "listIndexes": "cities" });
    assert_eq!(names(&listed), ["_id_", "_id_hashed"]);
}
