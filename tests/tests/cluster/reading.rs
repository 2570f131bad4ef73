//! Reads over two shards give what one sorted list would give.

use bson::{Document, doc};
use tests::Cluster;
use tests::cities::City;
use tests::driver::{Connection, number};

fn ids(documents: &[Document]) -> Vec<i32> {
    documents.iter().map(|document| document.get_i32("_id").unwrap()).collect()
}

fn find(peer: &mut Connection, db: &str, extra: Document) -> Vec<i32> {
    let mut command = doc! { "find": "cities" };
    command.extend(extra);
    ids(&peer.all(db, command))
}

fn expected(
    rows: &[City],
    keep: impl Fn(&City) -> bool,
    order: impl Fn(&City, &City) -> std::cmp::Ordering,
) -> Vec<i32> {
    let mut kept: Vec<(i32, &City)> = (0..).zip(rows).filter(|(_, city)| keep(city)).collect();
    kept.sort_by(|(_, a), (_, b)| order(a, b));
    kept.into_iter().map(|(id, _)| id).collect()
}

#[test]
fn finds_agree_with_a_sorted_list() {
    let cluster = Cluster::shared();
    let mut peer = cluster.connect();
    for (db, key) in
        [("read_hashed", doc! { "_id": "hashed" }), ("read_ranged", doc! { "country": 1, "name": 1 })]
    {
        let rows = crate::cities(&mut peer, db, key);
        let by_name = |a: &City, b: &City| (&a.name, &a.country, &a.lat).cmp(&(&b.name, &b.country, &b.lat));
        let sort = doc! { "name": 1, "country": 1, "lat": 1 };
        let whole = expected(&rows, |_| true, by_name);
        assert_eq!(find(&mut peer, db, doc! { "sort": sort.clone(), "batchSize": 100 }), whole);
        for (skip, limit) in [(0, 1), (0, 100), (150, 30), (1_990, 100), (5_000, 1)] {
            let got = find(&mut peer, db, doc! { "sort": sort.clone(), "skip": skip, "limit": limit });
            let wanted: Vec<i32> = whole.iter().copied().skip(skip as usize).take(limit as usize).collect();
            assert_eq!(got, wanted, "{db}: skip {skip}, limit {limit}");
        }
        let reversed =
            find(&mut peer, db, doc! { "sort": { "name": -1, "country": -1, "lat": -1 }, "batchSize": 77 });
        assert_eq!(reversed, whole.iter().rev().copied().collect::<Vec<_>>());
        for (filter, keep) in [
            (
                doc! { "country": "US" },
                Box::new(|city: &City| city.country == "US") as Box<dyn Fn(&City) -> bool>,
            ),
            (
                doc! { "country": { "$in": ["IS", "CH", "XX"] } },
                Box::new(|city| ["IS", "CH"].contains(&city.country.as_str())),
            ),
            (
                doc! { "country": { "$gte": "D", "$lt": "G" } },
                Box::new(|city| ("D".."G").contains(&city.country.as_str())),
            ),
            (
                doc! { "country": "FR", "name": { "$gt": "M" } },
                Box::new(|city| city.country == "FR" && city.name.as_str() > "M"),
            ),
            (doc! { "name": { "$regex": "^San " } }, Box::new(|city| city.name.starts_with("San "))),
            (
                doc! { "$or": [{ "country": "IT" }, { "admin1": "05" }] },
                Box::new(|city| city.country == "IT" || city.admin1 == "05"),
            ),
            (doc! { "admin2": { "$ne": "" } }, Box::new(|city| !city.admin2.is_empty())),
            (
                doc! { "$expr": { "$eq": ["$admin1", "$admin2"] } },
                Box::new(|city| city.admin1 == city.admin2),
            ),
        ] {
            let wanted = expected(&rows, &keep, by_name);
            let got = find(&mut peer, db, doc! { "filter": filter.clone(), "sort": sort.clone() });
            assert_eq!(got, wanted, "{db}: {filter}");
            let count = peer.run(db, doc! { "count": "cities", "query": filter.clone() });
            assert_eq!(number(&count, "n"), wanted.len() as f64, "{db}: count of {filter}");
        }
    }
}

#[test]
fn projections_and_distinct() {
    let cluster = Cluster::shared();
    let mut peer = cluster.connect();
    let rows = crate::cities(&mut peer, "read_parts", doc! { "_id": "hashed" });
    let found = peer.all(
        "read_parts",
        doc! { "find": "cities", "projection": { "_id": 0, "name": 1 }, "sort": { "_id": 1 }, "limit": 10 },
    );
    let names: Vec<Document> = rows.iter().take(10).map(|city| doc! { "name": &city.name }).collect();
    assert_eq!(found, names);
    let reply = peer.run("read_parts", doc! { "distinct": "cities", "key": "country" });
    let mut got: Vec<&str> =
        reply.get_array("values").unwrap().iter().map(|value| value.as_str().unwrap()).collect();
    got.sort_unstable();
    let mut wanted: Vec<&str> = rows.iter().map(|city| city.country.as_str()).collect();
    wanted.sort_unstable();
    wanted.dedup();
    assert_eq!(got, wanted);
}

/// Unsharded collections live on their database's home shard, and nothing else about them differs.
#[test]
fn unsharded_collections_read_the_same() {
    let cluster = Cluster::shared();
    let mut peer = cluster.connect();
    let rows = crate::fill(&mut peer, "read_plain");
    let all = find(&mut peer, "read_plain", doc! { "sort": { "_id": 1 } });
    assert_eq!(all, (0..i32::try_from(rows.len()).unwrap()).collect::<Vec<_>>());
    let counts = crate::on_shards(&cluster, "read_plain", "cities");
    assert!(counts.contains(&0), "on both shards: {counts:?}");
}

#[test]
fn what_is_not_there_is_empty() {
    let cluster = Cluster::shared();
    let mut peer = cluster.connect();
    assert_eq!(peer.all("no_such_db", doc! { "find": "c" }), [] as [Document; 0]);
    assert_eq!(number(&peer.run("no_such_db", doc! { "count": "c" }), "n"), 0.0);
    assert_eq!(
        peer.run("no_such_db", doc! { "distinct": "c", "key": "a" }).get_array("values").unwrap().len(),
        0
    );
    let pipeline = [doc! { "$group": { "_id": 1 } }];
    assert_eq!(
        peer.all("no_such_db", doc! { "aggregate": "c", "pipeline": pipeline.to_vec(), "cursor": {} }).len(),
        0
    );
}
