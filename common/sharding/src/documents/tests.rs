use super::*;
use crate::sample::{key, map};
use crate::{Error, ShardKey};
use bson::oid::ObjectId;
use bson::{Bson, Document, doc};
use types::{Timestamp, Uuid};

fn uuid() -> bson::Binary {
    Uuid([7; 16]).to_bson()
}

fn ts(seconds: u32, increment: u32) -> bson::Timestamp {
    bson::Timestamp { time: seconds, increment }
}

fn date(millis: i64) -> bson::DateTime {
    bson::DateTime::from_millis(millis)
}

/// A document reads, and writes back byte for byte.
fn check<T>(
    document: Document,
    read: impl Fn(&Document) -> Result<T, Error>,
    write: impl Fn(&T) -> Document,
) {
    let written = write(&read(&document).unwrap());
    assert_eq!(
        bson::RawDocumentBuf::try_from(&written).unwrap(),
        bson::RawDocumentBuf::try_from(&document).unwrap()
    );
    // Without any one of its fields it reads or is refused by name, but never panics.
    for name in document.keys() {
        let mut less = document.clone();
        less.remove(name);
        if let Err(error) = read(&less) {
            assert!(error.to_string().contains(name.as_str()), "{error} names {name}");
        }
        let mut wrong = document.clone();
        wrong.insert(name.as_str(), Bson::MaxKey);
        let _outcome = read(&wrong);
    }
}

#[test]
fn shapes() {
    check(
        doc! {"_id": "shop", "primary": "s1", "version": {"uuid": uuid(), "timestamp": ts(5, 1), "lastMod": 1}},
        DatabaseEntry::from_document,
        DatabaseEntry::to_document,
    );
    check(
        doc! {
            "_id": "shop.orders", "lastmodEpoch": ObjectId::from_bytes([1; 12]), "lastmod": date(1000), "timestamp": ts(5, 2),
            "uuid": uuid(), "key": {"a": 1, "b": "hashed"}, "unique": false, "noBalance": false,
        },
        CollectionEntry::from_document,
        CollectionEntry::to_document,
    );
    check(
        doc! {
            "_id": "shop.orders", "lastmodEpoch": ObjectId::from_bytes([1; 12]), "lastmod": date(1000), "timestamp": ts(5, 2),
            "uuid": uuid(), "defaultCollation": {"locale": "de"}, "key": {"_id": 1}, "unique": true, "unsplittable": true,
            "noBalance": true, "maxChunkSizeBytes": 1i64 << 20, "enableAutoMerge": false, "allowMigrations": false,
            "reshardingFields": {"state": "cloning"},
        },
        CollectionEntry::from_document,
        CollectionEntry::to_document,
    );
    let ranged = key(doc! {"a": 1});
    check(
        doc! {
            "_id": ObjectId::from_bytes([2; 12]), "uuid": uuid(), "min": {"a": Bson::MinKey}, "max": {"a": 7}, "shard": "s1",
            "lastmod": ts(3, 1), "onCurrentShardSince": ts(9, 0),
            "history": [{"validAfter": ts(9, 0), "shard": "s1"}, {"validAfter": ts(4, 0), "shard": "s0"}], "jumbo": true,
        },
        |document| chunk_from_document(&ranged, document),
        |(uuid, chunk)| chunk_to_document(*uuid, chunk),
    );
    check(
        doc! {
            "_id": "s1", "host": "s1/a:1,b:2", "state": 1, "topologyTime": ts(5, 3), "replSetConfigVersion": 2i64,
            "tags": ["x", "y"], "draining": true,
        },
        ShardEntry::from_document,
        ShardEntry::to_document,
    );
    check(
        doc! {"_id": ObjectId::from_bytes([3; 12]), "ns": "d.c", "min": {"a": 1}, "max": {"a": 2}, "tag": "x"},
        TagEntry::from_document,
        TagEntry::to_document,
    );
    check(
        doc! {"_id": 1, "clusterId": ObjectId::from_bytes([4; 12])},
        ClusterVersion::from_document,
        ClusterVersion::to_document,
    );
    check(
        doc! {
            "_id": "h:27017", "ping": date(5000), "up": 60i64, "waiting": true, "mongoVersion": "8.0.0", "created": date(1),
            "advisoryHostFQDNs": [],
        },
        RouterEntry::from_document,
        RouterEntry::to_document,
    );
}

#[test]
fn chunks_of_a_map_read_back() {
    let key: ShardKey = key(doc! {"a": "hashed"});
    let points = crate::split::hashed_points(&key, 4).unwrap();
    let chunks = map(&key, &points, &[0, 1]);
    for chunk in chunks.chunks() {
        let read = chunk_from_document(&key, &chunk_to_document(Uuid([7; 16]), chunk)).unwrap();
        assert_eq!(read, (Uuid([7; 16]), chunk.as_ref().clone()));
    }
}

#[test]
fn hosts_of_shards() {
    let shard = |host: &str| ShardEntry::from_document(&doc! {"_id": "s", "host": host, "state": 1}).unwrap();
    assert_eq!(shard("rs/a:1,b:2").members(), (Some("rs"), vec!["a:1", "b:2"]));
    assert_eq!(shard("a:1").members(), (None, vec!["a:1"]));
    assert_eq!(shard("a:1").topology_time, Timestamp::ZERO);
}

#[test]
fn settings() {
    let size = |value: Bson| chunk_size_bytes(Some(&doc! {"_id": "chunksize", "value": value})).ok();
    assert_eq!(chunk_size_bytes(None).unwrap(), 128 << 20);
    assert_eq!(size(Bson::Int32(64)), Some(64 << 20));
    assert_eq!(size(Bson::Double(1.0)), Some(1 << 20));
    for bad in [Bson::Int32(0), Bson::Int32(1025), Bson::Double(1.5), Bson::String("64".into())] {
        assert_eq!(size(bad.clone()), None, "{bad}");
    }
    let balancer = |setting: Document| BalancerSettings::from_document(Some(&setting)).ok();
    let mode = |setting: Document| balancer(setting).map(|settings| settings.mode);
    assert_eq!(BalancerSettings::from_document(None).unwrap().mode, BalancerMode::Full);
    assert_eq!(mode(doc! {"mode": "full", "stopped": false}), Some(BalancerMode::Full));
    assert_eq!(mode(doc! {"mode": "off", "stopped": true}), Some(BalancerMode::Off));
    assert_eq!(mode(doc! {"stopped": true}), Some(BalancerMode::Off));
    assert_eq!(mode(doc! {"mode": "sometimes"}), None);
    let window = |start: &str, stop: &str| {
        balancer(doc! {"activeWindow": {"start": start, "stop": stop}})
            .and_then(|settings| settings.active_window)
    };
    let night = window("23:00", "6:00").unwrap();
    assert!(
        night.contains(23 * 60) && night.contains(0) && night.contains(6 * 60) && !night.contains(12 * 60)
    );
    let day = window("09:30", "17:00").unwrap();
    assert!(day.contains(10 * 60) && !day.contains(9 * 60) && !day.contains(18 * 60));
    for (start, stop) in
        [("24:00", "1:00"), ("9", "10:00"), ("9:60", "10:00"), ("9:00", "9:00"), ("-1:00", "2:00")]
    {
        assert_eq!(window(start, stop), None, "{start} {stop}");
    }
}

#[test]
fn events() {
    let event = Event {
        server: "h:27019".into(),
        shard: "config".into(),
        client_address: String::new(),
        time: date(0),
        what: "split".into(),
        ns: "d.c".into(),
        details: doc! {"number": 1},
    };
    let document = event.to_document(ObjectId::from_bytes([5; 12]));
    let names: Vec<_> = document.keys().map(String::as_str).collect();
    assert_eq!(names, ["_id", "server", "shard", "clientAddr", "time", "what", "ns", "details"]);
    assert_eq!(document.get_str("_id").unwrap(), "h:27019-1970-01-01T00:00:00Z-050505050505050505050505");
}
