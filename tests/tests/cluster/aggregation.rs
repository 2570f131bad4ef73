//! Pipelines over two shards, split between shards and router: results equal to the same computed from the input.

use bson::{Bson, Document, doc};
use std::collections::BTreeMap;
use tests::Cluster;
use tests::cities::City;
use tests::driver::Connection;

fn aggregate(peer: &mut Connection, db: &str, pipeline: &[Document]) -> Vec<Document> {
    peer.all(db, doc! { "aggregate": "cities", "pipeline": pipeline.to_vec(), "cursor": { "batchSize": 50 } })
}

fn by_country(rows: &[City]) -> BTreeMap<&str, Vec<&City>> {
    let mut groups: BTreeMap<&str, Vec<&City>> = BTreeMap::new();
    for city in rows {
        groups.entry(&city.country).or_default().push(city);
    }
    groups
}

fn check(db: &str, key: Document) {
    let cluster = Cluster::shared();
    let mut peer = cluster.connect();
    let rows = crate::cities(&mut peer, db, key);
    let groups = by_country(&rows);
    let count = |number: usize| i32::try_from(number).unwrap();

    let counted = aggregate(
        &mut peer,
        db,
        &[doc! { "$group": { "_id": "$country", "n": { "$sum": 1 } } }, doc! { "$sort": { "_id": 1 } }],
    );
    let wanted: Vec<Document> =
        groups.iter().map(|(country, cities)| doc! { "_id": *country, "n": count(cities.len()) }).collect();
    assert_eq!(counted, wanted, "{db}: count by country");

    let mut largest: Vec<(&str, usize)> =
        groups.iter().map(|(country, cities)| (*country, cities.len())).collect();
    largest.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    let top = aggregate(
        &mut peer,
        db,
        &[
            doc! { "$match": { "country": { "$ne": "US" } } },
            doc! { "$group": { "_id": "$country", "n": { "$sum": 1 } } },
            doc! { "$sort": { "n": -1, "_id": 1 } },
            doc! { "$skip": 1 },
            doc! { "$limit": 5 },
            doc! { "$project": { "_id": 0, "country": "$_id", "n": 1 } },
        ],
    );
    let wanted: Vec<Document> = largest
        .iter()
        .filter(|(country, _)| *country != "US")
        .skip(1)
        .take(5)
        .map(|(country, n)| doc! { "n": count(*n), "country": *country })
        .collect();
    assert_eq!(top, wanted, "{db}: largest countries");

    // Averages must be merged from sums and counts, not from averages.
    let northern = aggregate(
        &mut peer,
        db,
        &[
            doc! { "$addFields": { "latitude": { "$toDouble": "$lat" } } },
            doc! { "$group": {
                "_id": { "$gt": ["$latitude", 0] },
                "mean": { "$avg": "$latitude" }, "least": { "$min": "$latitude" }, "most": { "$max": "$latitude" },
                "countries": { "$addToSet": "$country" },
            } },
            doc! { "$sort": { "_id": 1 } },
        ],
    );
    for (document, north) in northern.iter().zip([false, true]) {
        let latitudes: Vec<(f64, &str)> = rows
            .iter()
            .map(|city| (city.lat.parse::<f64>().unwrap(), city.country.as_str()))
            .filter(|(latitude, _)| (*latitude > 0.0) == north)
            .collect();
        let mean = latitudes.iter().map(|(latitude, _)| latitude).sum::<f64>() / latitudes.len() as f64;
        assert_eq!(document.get_bool("_id").unwrap(), north);
        assert!((document.get_f64("mean").unwrap() - mean).abs() < 1e-9, "{document}");
        let least = latitudes.iter().map(|(latitude, _)| *latitude).fold(f64::INFINITY, f64::min);
        let most = latitudes.iter().map(|(latitude, _)| *latitude).fold(f64::NEG_INFINITY, f64::max);
        assert_eq!((document.get_f64("least").unwrap(), document.get_f64("most").unwrap()), (least, most));
        let mut got: Vec<&str> =
            document.get_array("countries").unwrap().iter().map(|value| value.as_str().unwrap()).collect();
        let mut wanted: Vec<&str> = latitudes.iter().map(|(_, country)| *country).collect();
        got.sort_unstable();
        wanted.sort_unstable();
        wanted.dedup();
        assert_eq!(got, wanted);
    }

    let total = aggregate(&mut peer, db, &[doc! { "$match": { "admin2": "" } }, doc! { "$count": "n" }]);
    let wanted = rows.iter().filter(|city| city.admin2.is_empty()).count();
    assert_eq!(total, [doc! { "n": count(wanted) }]);

    // $unwind and $replaceRoot on what a group made.
    let longest = aggregate(
        &mut peer,
        db,
        &[
            doc! { "$match": { "country": { "$in": ["IS", "NZ", "CH"] } } },
            doc! { "$group": { "_id": "$country", "names": { "$push": "$name" } } },
            doc! { "$unwind": "$names" },
            doc! { "$replaceRoot": { "newRoot": { "name": "$names", "length": { "$strLenCP": "$names" } } } },
            doc! { "$sort": { "length": -1, "name": 1 } },
            doc! { "$limit": 3 },
        ],
    );
    let mut names: Vec<&str> = rows
        .iter()
        .filter(|city| ["IS", "NZ", "CH"].contains(&city.country.as_str()))
        .map(|city| city.name.as_str())
        .collect();
    names.sort_by(|a, b| b.chars().count().cmp(&a.chars().count()).then(a.cmp(b)));
    let wanted: Vec<Document> = names
        .iter()
        .take(3)
        .map(|name| doc! { "name": *name, "length": count(name.chars().count()) })
        .collect();
    assert_eq!(longest, wanted);

    // All documents through a sorted merge, in batches.
    let sorted = aggregate(
        &mut peer,
        db,
        &[
            doc! { "$sort": { "name": 1, "_id": 1 } },
            doc! { "$unset": ["lat", "lng", "country", "admin1", "admin2"] },
        ],
    );
    let mut wanted: Vec<(&str, i32)> = (0..).zip(&rows).map(|(id, city)| (city.name.as_str(), id)).collect();
    wanted.sort_unstable();
    let wanted: Vec<Document> =
        wanted.into_iter().map(|(name, id)| doc! { "_id": id, "name": name }).collect();
    assert_eq!(sorted, wanted);
}

#[test]
fn over_a_hashed_collection() {
    check("aggregate_hashed", doc! { "_id": "hashed" });
}

#[test]
fn over_a_ranged_collection() {
    check("aggregate_ranged", doc! { "country": 1, "name": 1 });
}

#[test]
fn missing_stages_are_refused_by_name() {
    let cluster = Cluster::shared();
    let mut peer = cluster.connect();
    peer.run("aggregate_missing", doc! { "insert": "cities", "documents": [{ "_id": 1 }] });
    for stage in [
        "$changeStream",
        "$geoNear",
        "$graphLookup",
        "$lookup",
        "$merge",
        "$out",
        "$search",
        "$setWindowFields",
        "$unionWith",
    ] {
        let pipeline = vec![Bson::from(doc! { stage: {} })];
        match peer
            .command("aggregate_missing", doc! { "aggregate": "cities", "pipeline": pipeline, "cursor": {} })
        {
            Ok(reply) => panic!("{stage} answered {reply}"),
            Err(error) => assert!(error.message.contains(stage) || error.code != 238, "{stage}: {error}"),
        }
    }
}
