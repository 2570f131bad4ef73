//! A cluster whose config server and shards have three members each, seen through the router: elections cost no operation of a driver
//! that retries, reads go where their preference says, and the config server's losses are nobody's business.

#![allow(clippy::unwrap_used)]

use bson::{Bson, Document, doc};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tests::driver::Connection;
use tests::{Cluster, Error, wait};

fn session(number: u8) -> Document {
    doc! { "id": bson::Binary { subtype: bson::spec::BinarySubtype::Uuid, bytes: vec![number; 16] } }
}

fn sharded(cluster: &Cluster, ns: &str) {
    cluster.connect().run("admin", doc! { "shardCollection": ns, "key": { "_id": "hashed" } });
}

/// One numbered `$inc`, as a retrying driver sends it, but without the driver's own second try.
fn increment(peer: &mut Connection, id: i32, number: i64) -> Result<(), Error> {
    let update = doc! {
        "update": "counters", "updates": [{ "q": { "_id": id }, "u": { "$inc": { "n": 1 } }, "upsert": true }],
        "writeConcern": { "w": "majority" }, "lsid": session(u8::try_from(id).unwrap()), "txnNumber": number,
    };
    let reply = peer.command("routed", update)?;
    assert!(!reply.contains_key("writeErrors"), "{reply}");
    Ok(())
}

fn labelled(error: &Error) -> bool {
    error.labels.iter().any(|label| label == "RetryableWriteError")
}

/// Writers and readers through the router while `disturb` runs; every write that was acknowledged counts once, and a write that fails
/// says that it may be retried, which works.
fn undisturbed(cluster: &Cluster, what: &str, disturb: impl FnOnce()) {
    sharded(cluster, "routed.counters");
    let stop = AtomicBool::new(false);
    let (retried, longest) = (AtomicU64::new(0), AtomicU64::new(0));
    let counts: Vec<i64> = std::thread::scope(|scope| {
        let (stop, retried, longest) = (&stop, &retried, &longest);
        let writers: Vec<_> = (1..=4)
            .map(|id| {
                scope.spawn(move || {
                    let (mut peer, mut number) = (cluster.connect(), 0);
                    while !stop.load(Ordering::Relaxed) {
                        number += 1;
                        let begin = Instant::now();
                        if let Err(error) = increment(&mut peer, id, number) {
                            assert!(labelled(&error), "{error}");
                            retried.fetch_add(1, Ordering::Relaxed);
                            increment(&mut peer, id, number)
                                .unwrap_or_else(|error| panic!("retried: {error}"));
                        }
                        longest.fetch_max(begin.elapsed().as_millis() as u64, Ordering::Relaxed);
                        let found = peer.all("routed", doc! { "find": "counters", "filter": { "_id": id } });
                        let count = found[0].get_i32("n").unwrap();
                        assert_eq!(i64::from(count), number, "a write was lost or done twice");
                    }
                    number
                })
            })
            .collect();
        disturb();
        wait::pause(Duration::from_secs(1));
        stop.store(true, Ordering::Relaxed);
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    });
    tests::process::say(&format!(
        "{what}: {} increments, {} retried by the client, longest {} ms",
        counts.iter().sum::<i64>(),
        retried.into_inner(),
        longest.into_inner()
    ));
}

#[test]
fn elections_of_a_shard_cost_no_operation() {
    let cluster = Cluster::start_replicated(1, 3);
    undisturbed(&cluster, "kill -9 and step-down of a shard's primary", || {
        wait::pause(Duration::from_secs(1));
        let primary = cluster.members_of("shard1").remove(0);
        cluster.kill(&primary);
        wait::pause(Duration::from_secs(3));
        cluster.up();
        wait::pause(Duration::from_secs(2));
        let primary = cluster.members_of("shard1").remove(0);
        let down = doc! { "replSetStepDown": 10, "secondaryCatchUpPeriodSecs": 5 };
        cluster.connect_to(&primary).run("admin", down);
        wait::until("another primary", || (cluster.members_of("shard1")[0] != primary).then_some(()));
        wait::pause(Duration::from_secs(2));
    });
}

#[test]
fn losses_of_the_config_server_cost_no_operation_on_cached_routes() {
    let cluster = Cluster::start_replicated(1, 3);
    undisturbed(&cluster, "loss of the config server's primary, then of its majority", || {
        wait::pause(Duration::from_secs(1));
        let members = cluster.members_of("config");
        cluster.kill(&members[0]);
        wait::pause(Duration::from_secs(3));
        // The next primary changes metadata.
        let mut peer = cluster.connect();
        peer.run("admin", doc! { "shardCollection": "routed.later", "key": { "_id": 1 } });
        let members = cluster.members_of("config");
        cluster.kill(&members[0]);
        wait::pause(Duration::from_secs(3));
        peer.run("admin", doc! { "setParameter": 1, "serverSelectionTimeoutMS": 1_000 });
        peer.fail("admin", doc! { "shardCollection": "routed.never", "key": { "_id": 1 } });
        peer.run("admin", doc! { "setParameter": 1, "serverSelectionTimeoutMS": 15_000 });
        cluster.up();
        cluster.members_of("config");
    });
}

/// How often each member of a shard ran finds.
fn finds(cluster: &Cluster, members: &[String]) -> Vec<i64> {
    let count = |name: &String| {
        let status = cluster.connect_to(name).run("admin", doc! { "serverStatus": 1 });
        let finds =
            status.get_document("metrics").and_then(|metrics| metrics.get_document("commands")).unwrap();
        match finds.get_document("find").unwrap().get("total") {
            Some(Bson::Int64(total)) => *total,
            Some(Bson::Int32(total)) => i64::from(*total),
            other => panic!("find.total is {other:?}"),
        }
    };
    members.iter().map(count).collect()
}

#[test]
fn reads_go_where_their_preference_says() {
    let cluster = Cluster::start_replicated(1, 3);
    let mut peer = cluster.connect();
    sharded(&cluster, "routed.c");
    let documents: Vec<Bson> = (0..500).map(|id| doc! { "_id": id }.into()).collect();
    peer.run("routed", doc! { "insert": "c", "documents": documents, "writeConcern": { "w": 3 } });
    let members = cluster.members_of("shard1");
    let mut run = |preference: Document| {
        let before = finds(&cluster, &members);
        for id in 0..20 {
            // Several batches: the later ones must come from the member that has the cursor.
            let find = doc! { "find": "c", "filter": { "_id": { "$gte": id } }, "batchSize": 100, "$readPreference": preference.clone() };
            assert_eq!(peer.all("routed", find).len(), 500 - id as usize, "{preference}");
        }
        let after = finds(&cluster, &members);
        after.iter().zip(before).map(|(after, before)| after - before).collect::<Vec<i64>>()
    };
    let primary = run(doc! { "mode": "primary" });
    assert!(primary[0] >= 20 && primary[1] + primary[2] == 0, "{primary:?}");
    for mode in ["secondary", "secondaryPreferred"] {
        let spread = run(doc! { "mode": mode });
        assert!(spread[0] == 0 && spread[1] + spread[2] >= 20, "{mode}: {spread:?}");
    }
    let nearest = run(doc! { "mode": "nearest" });
    assert!(nearest.iter().sum::<i64>() >= 20, "{nearest:?}");

    for (preference, code) in [
        (doc! { "mode": "secondary", "maxStalenessSeconds": 10 }, 160),
        (doc! { "mode": "primary", "tags": [{ "a": "b" }] }, 2),
        (doc! { "mode": "sometimes" }, 9),
    ] {
        let error = peer.fail("routed", doc! { "find": "c", "$readPreference": preference.clone() });
        assert_eq!(error.code, code, "{preference}: {error}");
    }
    peer.run("admin", doc! { "setParameter": 1, "serverSelectionTimeoutMS": 300 });
    let nobody = doc! { "mode": "secondary", "tags": [{ "dc": "nowhere" }] };
    let error = peer.fail("routed", doc! { "find": "c", "$readPreference": nobody });
    assert_eq!(error.code, 133, "{error}");
    assert!(error.message.contains("shard1") && error.message.contains("secondary"), "{error}");
    peer.run("admin", doc! { "setParameter": 1, "serverSelectionTimeoutMS": 15_000 });

    // Without a primary those reads go on that need none.
    cluster.kill(&members[0]);
    cluster.kill(&members[1]);
    wait::until("the last member to be no primary", || {
        let find = doc! { "find": "c", "batchSize": 1000, "$readPreference": { "mode": "nearest" } };
        peer.command("routed", find).ok().map(|_| ())
    });
    peer.run("admin", doc! { "setParameter": 1, "serverSelectionTimeoutMS": 1_000 });
    wait::until("writes to wait in vain", || {
        let error = peer.command("routed", doc! { "insert": "c", "documents": [{ "_id": 1_000 }] }).err()?;
        (error.code == 133).then_some(())
    });
}

#[test]
fn a_shard_is_added_by_any_of_its_hosts_and_its_members_are_followed() {
    let cluster = Cluster::start_replicated(1, 1);
    let set = tests::ReplicaSet::prepare(4, None, &[]);
    set.initiate(&set.config(3));
    let mut peer = cluster.connect();
    let wrong = peer.fail("admin", doc! { "addShard": format!("other/{}", set.host(0)) });
    assert!(wrong.message.contains("rs"), "{wrong}");
    let secondary = set.secondary();
    let reply = peer.run("admin", doc! { "addShard": format!("rs/{}", set.host(secondary)) });
    assert_eq!(reply.get_str("shardAdded").unwrap(), "rs");
    let hosts = |peer: &mut Connection| -> Vec<String> {
        let reply = peer.run("admin", doc! { "listShards": 1 });
        let shards = reply.get_array("shards").unwrap().iter().map(|shard| shard.as_document().unwrap());
        let host = shards
            .clone()
            .find(|shard| shard.get_str("_id").is_ok_and(|id| id == "rs"))
            .unwrap()
            .get_str("host")
            .unwrap();
        let (name, hosts) = host.split_once('/').unwrap();
        assert_eq!(name, "rs");
        let mut hosts: Vec<String> = hosts.split(',').map(str::to_owned).collect();
        hosts.sort();
        hosts
    };
    let expected = |members: &[usize]| -> Vec<String> {
        let mut hosts: Vec<String> = members.iter().map(|member| set.host(*member).to_owned()).collect();
        hosts.sort();
        hosts
    };
    assert_eq!(hosts(&mut peer), expected(&[0, 1, 2]));
    // A member more.
    let primary = set.primary();
    let mut config = set.config(4);
    let now = set.connect(primary).run("admin", doc! { "replSetGetConfig": 1 });
    let version = tests::driver::number(now.get_document("config").unwrap(), "version") as i64;
    config.insert("version", version + 1);
    set.connect(primary).run("admin", doc! { "replSetReconfig": config });
    wait::until("config.shards to name the new member", || {
        (hosts(&mut peer) == expected(&[0, 1, 2, 3])).then_some(())
    });
}
