//! `explain` through a router: which shards, and why.

use bson::{Document, doc};
use tests::Cluster;
use tests::driver::Connection;

fn plan(peer: &mut Connection, db: &str, filter: Document) -> Document {
    let reply = peer.run(
        db,
        doc! {
            "explain": { "find": "cities", "filter": filter }, "verbosity": "queryPlanner",
        },
    );
    reply.get_document("queryPlanner").unwrap().get_document("winningPlan").unwrap().clone()
}

fn shards(plan: &Document) -> Vec<String> {
    let shards = plan.get_array("shards").unwrap_or_else(|_| panic!("{plan}"));
    shards.iter().map(|shard| shard.as_document().unwrap().get_str("shardName").unwrap().to_owned()).collect()
}

#[test]
fn a_find_by_shard_key_names_one_shard() {
    let cluster = Cluster::shared();
    let mut peer = cluster.connect();
    crate::cities(&mut peer, "explained", doc! { "_id": "hashed" });
    let mut seen = std::collections::BTreeSet::new();
    for id in 0..20 {
        let plan = plan(&mut peer, "explained", doc! { "_id": id });
        assert_eq!(plan.get_str("stage").unwrap(), "SINGLE_SHARD", "{plan}");
        let shards = shards(&plan);
        assert_eq!(shards.len(), 1, "{plan}");
        // It is the shard that has the document.
        let there = cluster
            .connect_to(&shards[0])
            .all("explained", doc! { "find": "cities", "filter": { "_id": id } });
        assert_eq!(there.len(), 1, "_id {id} is not on {}", shards[0]);
        seen.extend(shards);
    }
    assert_eq!(seen.len(), 2, "all on one shard: {seen:?}");
    for filter in [doc! {}, doc! { "country": "FR" }, doc! { "_id": { "$gt": 5 } }] {
        let plan = plan(&mut peer, "explained", filter.clone());
        assert_eq!(plan.get_str("stage").unwrap(), "SHARD_MERGE", "{filter}: {plan}");
        assert_eq!(shards(&plan).len(), 2, "{filter}: {plan}");
    }
}

#[test]
fn verbosities() {
    let cluster = Cluster::shared();
    let mut peer = cluster.connect();
    crate::cities(&mut peer, "explained_more", doc! { "_id": "hashed" });
    for verbosity in ["queryPlanner", "executionStats", "allPlansExecution"] {
        for command in [
            doc! { "find": "cities", "filter": { "country": "FR" } },
            doc! { "count": "cities", "query": { "country": "FR" } },
            doc! { "distinct": "cities", "key": "country" },
            doc! { "update": "cities", "updates": [{ "q": { "_id": 1 }, "u": { "$set": { "a": 1 } } }] },
            doc! { "delete": "cities", "deletes": [{ "q": { "_id": 1 }, "limit": 1 }] },
        ] {
            let reply =
                peer.run("explained_more", doc! { "explain": command.clone(), "verbosity": verbosity });
            assert!(reply.contains_key("queryPlanner"), "{command}: {reply}");
            assert_eq!(
                reply.contains_key("executionStats"),
                verbosity != "queryPlanner",
                "{command}: {reply}"
            );
        }
    }
    // Explaining changes nothing.
    let one = peer.all("explained_more", doc! { "find": "cities", "filter": { "_id": 1 } });
    assert!(one.len() == 1 && !one[0].contains_key("a"));
    let stats = peer.run(
        "explained_more",
        doc! {
            "explain": { "find": "cities", "filter": { "country": "US" } }, "verbosity": "executionStats",
        },
    );
    let returned = tests::driver::number(stats.get_document("executionStats").unwrap(), "nReturned");
    let wanted = tests::cities::sample().iter().filter(|city| city.country == "US").count();
    assert_eq!(returned, wanted as f64);
    for wrong in
        [doc! { "explain": { "ping": 1 } }, doc! { "explain": { "find": "cities" }, "verbosity": "all" }]
    {
        let error = peer.fail("explained_more", wrong.clone());
        assert!([2, 9, 59].contains(&error.code), "{wrong}: {error}");
    }
}
