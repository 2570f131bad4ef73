//! Bulk writes over shards: order, error indexes, counts, upserts.

use bson::{Bson, Document, doc};
use tests::Cluster;
use tests::driver::{Connection, number};

fn errors(reply: &Document) -> Vec<(i32, i32)> {
    let errors = reply.get_array("writeErrors").map(Vec::as_slice).unwrap_or_default();
    errors
        .iter()
        .map(|error| {
            let error = error.as_document().unwrap();
            (error.get_i32("index").unwrap(), error.get_i32("code").unwrap())
        })
        .collect()
}

fn ids(peer: &mut Connection, db: &str) -> Vec<i32> {
    let all = peer.all(db, doc! { "find": "c", "sort": { "_id": 1 }, "projection": { "_id": 1 } });
    all.iter().map(|document| document.get_i32("_id").unwrap()).collect()
}

fn sharded(peer: &mut Connection, db: &str) {
    peer.run("admin", doc! { "shardCollection": format!("{db}.c"), "key": { "_id": "hashed" } });
}

const DUPLICATE: i32 = 11000;

#[test]
fn an_ordered_batch_stops_at_the_first_error() {
    let cluster = Cluster::shared();
    let mut peer = cluster.connect();
    sharded(&mut peer, "bulk_ordered");
    peer.run("bulk_ordered", doc! { "insert": "c", "documents": [{ "_id": 50 }] });
    let documents: Vec<Bson> = (0..100).map(|id| doc! { "_id": id }.into()).collect();
    let reply = peer.run("bulk_ordered", doc! { "insert": "c", "documents": documents });
    assert_eq!((reply.get_i32("n").unwrap(), errors(&reply)), (50, vec![(50, DUPLICATE)]));
    assert_eq!(ids(&mut peer, "bulk_ordered"), (0..=50).collect::<Vec<_>>());
    let error = reply.get_array("writeErrors").unwrap()[0].as_document().unwrap();
    assert_eq!(error.get_document("keyPattern").unwrap(), &doc! { "_id": 1 });
    assert_eq!(error.get_document("keyValue").unwrap(), &doc! { "_id": 50 });
    assert!(
        error
            .get_str("errmsg")
            .unwrap()
            .starts_with("E11000 duplicate key error collection: bulk_ordered.c index: _id_")
    );
}

#[test]
fn an_unordered_batch_does_what_it_can() {
    let cluster = Cluster::shared();
    let mut peer = cluster.connect();
    sharded(&mut peer, "bulk_unordered");
    peer.run(
        "bulk_unordered",
        doc! { "insert": "c", "documents": [{ "_id": 10 }, { "_id": 20 }, { "_id": 30 }] },
    );
    let documents: Vec<Bson> = (0..100).map(|id| doc! { "_id": id }.into()).collect();
    let reply = peer.run("bulk_unordered", doc! { "insert": "c", "documents": documents, "ordered": false });
    let mut found = errors(&reply);
    found.sort_unstable();
    assert_eq!(
        (reply.get_i32("n").unwrap(), found),
        (97, vec![(10, DUPLICATE), (20, DUPLICATE), (30, DUPLICATE)])
    );
    assert_eq!(ids(&mut peer, "bulk_unordered").len(), 100);
}

#[test]
fn updates_count_what_they_match_and_change() {
    let cluster = Cluster::shared();
    let mut peer = cluster.connect();
    sharded(&mut peer, "bulk_updates");
    let documents: Vec<Bson> = (0..100).map(|id| doc! { "_id": id, "n": id % 2 }.into()).collect();
    peer.run("bulk_updates", doc! { "insert": "c", "documents": documents });
    let reply = peer.run(
        "bulk_updates",
        doc! { "update": "c", "updates": [
            { "q": { "n": 1 }, "u": { "$set": { "odd": true } }, "multi": true },
            { "q": { "n": 1 }, "u": { "$set": { "odd": true } }, "multi": true },
            { "q": { "_id": 4 }, "u": { "$inc": { "n": 5 } } },
            { "q": { "_id": 1000 }, "u": { "$set": { "new": true } }, "upsert": true },
            { "q": { "_id": 5 }, "u": { "_id": 5, "replaced": true } },
        ] },
    );
    assert_eq!(errors(&reply), [], "{reply}");
    assert_eq!((number(&reply, "n"), number(&reply, "nModified")), (103.0, 52.0), "{reply}");
    let upserted = reply.get_array("upserted").unwrap()[0].as_document().unwrap();
    assert_eq!((upserted.get_i32("index").unwrap(), upserted.get_i32("_id").unwrap()), (3, 1000));
    let five = peer.all("bulk_updates", doc! { "find": "c", "filter": { "_id": 5 } });
    assert_eq!(five, [doc! { "_id": 5, "replaced": true }]);
    // Where an upsert of many belongs, only the whole shard key says.
    let upsert = |q: Document| doc! { "update": "c", "updates": [{ "q": q, "u": { "$set": { "m": 1 } }, "multi": true, "upsert": true }] };
    assert_eq!(errors(&peer.run("bulk_updates", upsert(doc! { "n": -5 }))), [(0, 61)]);
    let made = peer.run("bulk_updates", upsert(doc! { "_id": 2000 }));
    assert_eq!((errors(&made), number(&made, "n")), (vec![], 1.0), "{made}");
    // One of many, without the key: exactly one is changed, whichever it is.
    let one = peer.run(
        "bulk_updates",
        doc! { "update": "c", "updates": [{ "q": { "n": 0 }, "u": { "$set": { "one": 1 } } }] },
    );
    assert_eq!(number(&one, "nModified"), 1.0);
    assert_eq!(peer.all("bulk_updates", doc! { "find": "c", "filter": { "one": 1 } }).len(), 1);
}

#[test]
fn deletes() {
    let cluster = Cluster::shared();
    let mut peer = cluster.connect();
    sharded(&mut peer, "bulk_deletes");
    let documents: Vec<Bson> = (0..100).map(|id| doc! { "_id": id, "n": id % 4 }.into()).collect();
    peer.run("bulk_deletes", doc! { "insert": "c", "documents": documents });
    let reply = peer.run(
        "bulk_deletes",
        doc! { "delete": "c", "deletes": [
            { "q": { "_id": 7 }, "limit": 1 },
            { "q": { "n": 0 }, "limit": 0 },
            { "q": { "n": 1 }, "limit": 1 },
            { "q": { "_id": 7 }, "limit": 1 },
        ] },
    );
    assert_eq!(number(&reply, "n"), 27.0, "{reply}");
    assert_eq!(ids(&mut peer, "bulk_deletes").len(), 73);
}

#[test]
fn find_and_modify() {
    let cluster = Cluster::shared();
    let mut peer = cluster.connect();
    sharded(&mut peer, "bulk_modify");
    peer.run(
        "bulk_modify",
        doc! { "insert": "c", "documents": [{ "_id": 1, "n": 1 }, { "_id": 2, "n": 2 }] },
    );
    let rows = [
        (doc! { "query": { "_id": 1 }, "update": { "$inc": { "n": 10 } } }, Some(doc! { "_id": 1, "n": 1 })),
        (
            doc! { "query": { "_id": 1 }, "update": { "$inc": { "n": 10 } }, "new": true },
            Some(doc! { "_id": 1, "n": 21 }),
        ),
        (doc! { "query": { "n": 2 }, "remove": true }, Some(doc! { "_id": 2, "n": 2 })),
        (doc! { "query": { "_id": 9 }, "remove": true }, None),
        (
            doc! { "query": { "_id": 3 }, "update": { "$set": { "n": 3 } }, "upsert": true, "new": true },
            Some(doc! { "_id": 3, "n": 3 }),
        ),
        (
            doc! { "query": {}, "sort": { "n": -1 }, "update": { "$set": { "top": true } }, "new": true, "fields": { "n": 1 } },
            Some(doc! { "_id": 1, "n": 21 }),
        ),
    ];
    for (extra, expected) in rows {
        let mut command = doc! { "findAndModify": "c" };
        command.extend(extra.clone());
        let reply = peer.run("bulk_modify", command);
        assert_eq!(reply.get_document("value").ok(), expected.as_ref(), "{extra}: {reply}");
    }
}

/// Unique indexes hold across a batch; the shard key is their prefix.
#[test]
fn unique_indexes_hold() {
    let cluster = Cluster::shared();
    let mut peer = cluster.connect();
    peer.run("admin", doc! { "shardCollection": "bulk_unique.c", "key": { "email": 1 }, "unique": true });
    let reply = peer.run(
        "bulk_unique",
        doc! { "insert": "c", "ordered": false, "documents": [
            { "_id": 1, "email": "a" }, { "_id": 2, "email": "b" }, { "_id": 3, "email": "a" },
        ] },
    );
    assert_eq!((number(&reply, "n"), errors(&reply)), (2.0, vec![(2, DUPLICATE)]));
    let other = doc! { "key": { "other": 1 }, "name": "other", "unique": true };
    let error = peer.fail("bulk_unique", doc! { "createIndexes": "c", "indexes": [other] });
    assert_eq!(error.code, 67, "{error}");
}
