//! Sharding a collection: what the catalogue says afterwards, where documents go, and what is refused.

use bson::{Bson, Document, doc};
use tests::Cluster;
use tests::driver::Connection;

fn chunks(peer: &mut Connection, ns: &str) -> Vec<Document> {
    let collections = peer.all("config", doc! { "find": "collections", "filter": { "_id": ns } });
    let uuid = collections[0].get("uuid").unwrap().clone();
    peer.all("config", doc! { "find": "chunks", "filter": { "uuid": uuid }, "sort": { "min": 1 } })
}

fn owners(chunks: &[Document], shard: &str) -> usize {
    chunks.iter().filter(|chunk| chunk.get_str("shard").unwrap() == shard).count()
}

/// Chunks tile the key space: each begins where the one before ends.
fn assert_tiling(chunks: &[Document], key: &str) {
    assert_eq!(chunks[0].get_document("min").unwrap().get(key), Some(&Bson::MinKey));
    assert_eq!(chunks.last().unwrap().get_document("max").unwrap().get(key), Some(&Bson::MaxKey));
    for pair in chunks.windows(2) {
        assert_eq!(pair[0].get_document("max").unwrap(), pair[1].get_document("min").unwrap());
    }
}

#[test]
fn hashed_chunks_are_dealt_evenly() {
    let cluster = Cluster::shared();
    let mut peer = cluster.connect();
    for (collection, wanted) in [("default", None), ("eight", Some(8)), ("one", Some(1))] {
        let ns = format!("hashing.{collection}");
        let mut command = doc! { "shardCollection": &ns, "key": { "_id": "hashed" } };
        if let Some(wanted) = wanted {
            command.insert("numInitialChunks", wanted);
        }
        let reply = peer.run("admin", command);
        assert_eq!(reply.get_str("collectionsharded").unwrap(), ns);
        let chunks = chunks(&mut peer, &ns);
        assert_tiling(&chunks, "_id");
        if let Some(wanted) = wanted {
            assert_eq!(chunks.len(), wanted as usize, "{ns}");
        }
        let (first, second) = (owners(&chunks, "shard1"), owners(&chunks, "shard2"));
        assert_eq!(first + second, chunks.len());
        assert!(first.abs_diff(second) <= 1, "{ns}: {first} and {second}");
    }
}

#[test]
fn the_catalogue_has_mongodbs_shapes() {
    let cluster = Cluster::shared();
    let mut peer = cluster.connect();
    peer.run("admin", doc! { "enableSharding": "shapes" });
    peer.run(
        "admin",
        doc! { "shardCollection": "shapes.c", "key": { "country": 1, "name": 1 }, "unique": true },
    );
    let first = |peer: &mut Connection, collection: &str, filter: Document| {
        let found = peer.all("config", doc! { "find": collection, "filter": filter, "limit": 1 });
        found.into_iter().next().unwrap_or_else(|| panic!("nothing in config.{collection}"))
    };
    let database = first(&mut peer, "databases", doc! { "_id": "shapes" });
    assert!(database.get_str("primary").unwrap().starts_with("shard"));
    let version = database.get_document("version").unwrap();
    assert!(matches!(version.get("uuid"), Some(Bson::Binary(_))), "{database}");
    assert!(matches!(version.get("timestamp"), Some(Bson::Timestamp(_))), "{database}");
    assert_eq!(version.get_i32("lastMod").unwrap(), 1);

    let collection = first(&mut peer, "collections", doc! { "_id": "shapes.c" });
    assert_eq!(collection.get_document("key").unwrap(), &doc! { "country": 1, "name": 1 });
    assert_eq!(
        (collection.get_bool("unique").ok(), collection.get_bool("noBalance").ok()),
        (Some(true), Some(false))
    );
    assert!(matches!(collection.get("uuid"), Some(Bson::Binary(_))), "{collection}");
    assert!(matches!(collection.get("timestamp"), Some(Bson::Timestamp(_))), "{collection}");
    assert!(matches!(collection.get("lastmodEpoch"), Some(Bson::ObjectId(_))), "{collection}");

    let chunk = chunks(&mut peer, "shapes.c").remove(0);
    assert_eq!(chunk.get("uuid"), collection.get("uuid"));
    assert!(matches!(chunk.get("_id"), Some(Bson::ObjectId(_))), "{chunk}");
    assert!(matches!(chunk.get("lastmod"), Some(Bson::Timestamp(_))), "{chunk}");
    assert!(chunk.get_array("history").is_ok_and(|history| !history.is_empty()), "{chunk}");

    let shards = peer.all("config", doc! { "find": "shards", "sort": { "_id": 1 } });
    assert_eq!(shards.len(), 2);
    for (shard, name) in shards.iter().zip(["shard1", "shard2"]) {
        assert_eq!(shard.get_str("_id").unwrap(), name);
        assert_eq!(shard.get_str("host").unwrap(), format!("{name}/{}", cluster.address(name)));
        assert_eq!(shard.get_i32("state").unwrap(), 1);
    }
    let version = first(&mut peer, "version", doc! {});
    assert!(matches!(version.get("clusterId"), Some(Bson::ObjectId(_))), "{version}");
    let router = first(&mut peer, "mongos", doc! {});
    assert!(matches!(router.get("ping"), Some(Bson::DateTime(_))), "{router}");
}

#[test]
fn documents_lie_where_the_catalogue_says() {
    let cluster = Cluster::shared();
    let mut peer = cluster.connect();
    let rows = crate::cities(&mut peer, "lying", doc! { "_id": "hashed" });
    let counts = crate::on_shards(&cluster, "lying", "cities");
    assert_eq!(counts.iter().sum::<i32>(), i32::try_from(rows.len()).unwrap());
    // Evenly dealt halves of a hash: a quarter of the rows on one side would be a wonder.
    assert!(counts.iter().all(|count| *count > i32::try_from(rows.len()).unwrap() / 4), "{counts:?}");
}

#[test]
fn chunks_are_split() {
    let cluster = Cluster::shared();
    let mut peer = cluster.connect();
    let rows = crate::cities(&mut peer, "splitting", doc! { "country": 1, "name": 1 });
    let ns = "splitting.cities";
    assert_eq!(chunks(&mut peer, ns).len(), 1);
    peer.run("admin", doc! { "split": ns, "middle": { "country": "FR", "name": "Paris" } });
    let two = chunks(&mut peer, ns);
    assert_eq!(two.len(), 2);
    assert_eq!(two[1].get_document("min").unwrap(), &doc! { "country": "FR", "name": "Paris" });
    assert_tiling(&two, "country");
    // At its median: both halves hold documents.
    peer.run("admin", doc! { "split": ns, "find": { "country": "US", "name": "Boston" } });
    let three = chunks(&mut peer, ns);
    assert_eq!(three.len(), 3);
    assert_tiling(&three, "country");
    let border = three[2].get_document("min").unwrap();
    let border = (border.get_str("country").unwrap(), border.get_str("name").unwrap());
    let in_chunk =
        |city: &tests::cities::City| (city.country.as_str(), city.name.as_str()) >= ("FR", "Paris");
    let in_last = |city: &tests::cities::City| (city.country.as_str(), city.name.as_str()) >= border;
    let (whole, last) =
        (rows.iter().filter(|city| in_chunk(city)).count(), rows.iter().filter(|city| in_last(city)).count());
    assert!(last * 3 > whole && last * 3 < whole * 2, "{last} of {whole} behind the border {border:?}");
    for (command, code) in [
        (doc! { "split": ns, "middle": { "country": "FR", "name": "Paris" } }, [656452, 2].as_slice()),
        (doc! { "split": ns, "middle": { "country": "FR" } }, &[2, 61]),
        (doc! { "split": ns }, &[2, 9, 72]),
        (doc! { "split": "splitting.nothing", "middle": { "a": 1 } }, &[118, 26]),
    ] {
        let error = peer.fail("admin", command.clone());
        assert!(code.contains(&error.code), "{command}: {error}");
    }
    assert_eq!(chunks(&mut peer, ns).len(), 3);
}

#[test]
fn what_mongodb_refuses_is_refused() {
    let cluster = Cluster::shared();
    let mut peer = cluster.connect();
    let db = "refusals";
    let shard = |ns: &str, key: Document| doc! { "shardCollection": format!("{db}.{ns}"), "key": key };
    let with = |mut command: Document, extra: Document| {
        command.extend(extra);
        command
    };
    peer.run(db, doc! { "insert": "full", "documents": [{ "_id": 1, "a": 1 }, { "_id": 2, "a": 1 }, { "_id": 3, "a": [1] }] });
    peer.run("admin", shard("done", doc! { "a": 1 }));
    let rows: Vec<(Document, &[i32])> = vec![
        (shard("c", doc! {}), &[2]),
        (shard("c", doc! { "a": 2 }), &[2]),
        (shard("c", doc! { "a": "text" }), &[2]),
        (shard("c", doc! { "a": "hashed", "b": "hashed" }), &[2, 67]),
        (with(shard("c", doc! { "a": "hashed" }), doc! { "unique": true }), &[2, 72]),
        (with(shard("c", doc! { "a": 1 }), doc! { "numInitialChunks": 4 }), &[72, 2]),
        (with(shard("c", doc! { "a": 1 }), doc! { "noSuchField": 1 }), &[40415]),
        (doc! { "shardCollection": "refusals", "key": { "a": 1 } }, &[73]),
        (doc! { "shardCollection": "config.c", "key": { "a": 1 } }, &[20, 72, 73]),
        // Other keys of a collection that has one.
        (shard("done", doc! { "b": 1 }), &[20, 23]),
        // Documents are there, but no index that begins with the key.
        (shard("full", doc! { "a": 1 }), &[72]),
    ];
    for (command, codes) in rows {
        let error = peer.fail("admin", command.clone());
        assert!(codes.contains(&error.code), "{command}: {error}");
    }
    // The same again is no error.
    peer.run("admin", shard("done", doc! { "a": 1 }));
    let only_on_admin = peer.fail(db, shard("c", doc! { "a": 1 }));
    assert_eq!(only_on_admin.code, 13);
}

#[test]
fn a_filled_collection_is_sharded_where_it_lies() {
    let cluster = Cluster::shared();
    let mut peer = cluster.connect();
    let rows = crate::fill(&mut peer, "later");
    let index = doc! { "key": { "country": 1, "name": 1 }, "name": "by_country" };
    peer.run("later", doc! { "createIndexes": "cities", "indexes": [index] });
    peer.run("admin", doc! { "shardCollection": "later.cities", "key": { "country": 1, "name": 1 } });
    assert!(!chunks(&mut peer, "later.cities").is_empty());
    assert_eq!(
        peer.run("later", doc! { "count": "cities" }).get_i32("n").unwrap(),
        i32::try_from(rows.len()).unwrap()
    );
}

#[test]
fn every_key_shape_takes_documents() {
    let cluster = Cluster::shared();
    let mut peer = cluster.connect();
    let keys = [
        doc! { "a": 1 },
        doc! { "a": "hashed" },
        doc! { "a": 1, "b": 1 },
        doc! { "a": 1, "b": "hashed" },
        doc! { "a": "hashed", "b": 1 },
        doc! { "x.y": 1 },
        doc! { "x.y": "hashed" },
    ];
    let documents = vec![
        doc! { "_id": 1, "a": 1, "b": 2, "x": { "y": 3 } },
        doc! { "_id": 2, "a": "text", "b": 2.5 },
        doc! { "_id": 3 },
        doc! { "_id": 4, "a": Bson::Null, "b": true, "x": { "y": Bson::Null } },
        doc! { "_id": 5, "a": { "n": 1 }, "b": 7 },
    ];
    for (number, key) in keys.into_iter().enumerate() {
        let name = format!("c{number}");
        peer.run("admin", doc! { "shardCollection": format!("key_shapes.{name}"), "key": key.clone() });
        let reply = peer.run("key_shapes", doc! { "insert": &name, "documents": documents.clone() });
        assert_eq!((reply.get_i32("n").unwrap(), reply.get("writeErrors")), (5, None), "{key}: {reply}");
        let all = peer.all("key_shapes", doc! { "find": &name, "sort": { "_id": 1 } });
        assert_eq!(all, documents, "{key}");
        for document in &documents {
            let filter: Document =
                document.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
            let found = peer.all("key_shapes", doc! { "find": &name, "filter": filter });
            assert_eq!(found, std::slice::from_ref(document), "{key}");
        }
        // An array is no key.
        if key.contains_key("a") {
            let reply = peer.command("key_shapes", doc! { "insert": &name, "documents": [{ "a": [1, 2] }] });
            let failed = reply.map_or(true, |reply| reply.contains_key("writeErrors"));
            assert!(failed, "{key} takes an array");
        }
    }
}

#[test]
fn the_balancer_tells_its_state() {
    let cluster = Cluster::shared();
    let reply = cluster.connect().run("admin", doc! { "balancerStatus": 1 });
    assert!(reply.get_str("mode").is_ok(), "{reply}");
    assert!(reply.get_bool("inBalancerRound").is_ok(), "{reply}");
    assert!(reply.contains_key("numBalancerRounds"), "{reply}");
}
