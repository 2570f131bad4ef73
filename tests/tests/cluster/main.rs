//! How a cluster behaves, seen by a client on the wire: one running cluster of two shards, a file per subject, a database
//! per test.

#![allow(clippy::unwrap_used)]

mod aggregation;
mod bulk;
mod collections;
mod cursors;
mod explain;
mod handshake;
mod indexes;
mod reading;
mod routers;
mod sharding;

use bson::{Bson, Document, doc};
use tests::cities::{self, City};
use tests::driver::Connection;

/// Rows that go into one insert.
const BATCH: usize = 500;

/// Shards `db.cities` by `key`, and fills it with the sample. `_id` is the row's number.
fn cities(peer: &mut Connection, db: &str, key: Document) -> Vec<City> {
    peer.run("admin", doc! { "shardCollection": format!("{db}.cities"), "key": key });
    fill(peer, db)
}

/// Fills `db.cities` with the sample.
fn fill(peer: &mut Connection, db: &str) -> Vec<City> {
    let rows = cities::sample();
    let documents: Vec<Bson> = (0_i32..).zip(&rows).map(|(id, city)| stored(id, city).into()).collect();
    for batch in documents.chunks(BATCH) {
        let reply = peer.run(db, doc! { "insert": "cities", "documents": batch.to_vec() });
        assert_eq!(reply.get_i32("n").unwrap(), i32::try_from(batch.len()).unwrap(), "{reply}");
    }
    rows
}

fn stored(id: i32, city: &City) -> Document {
    let mut document = doc! { "_id": id };
    document.extend(city.document());
    document
}

/// The shards' own counts of a collection.
fn on_shards(cluster: &tests::Cluster, db: &str, collection: &str) -> Vec<i32> {
    ["shard1", "shard2"]
        .iter()
        .map(|shard| cluster.connect_to(shard).run(db, doc! { "count": collection }).get_i32("n").unwrap())
        .collect()
}
