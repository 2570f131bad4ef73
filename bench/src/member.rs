//! `bench member`: what one member costs, asked straight over the wire, and what a large insert through the router to two shards
//! reaches. Eight connections, documents of 1.1 KB; processor time travels between machines, rates do not.

use crate::cluster::Cluster;
use crate::connection::Connection;
use crate::process::{Used, Watch};
use crate::report::{Report, Target};
use crate::router::documents::{document, text};
use crate::router::latency::median;
use crate::{Options, Result, pause};
use bson::{RawDocumentBuf, doc, rawdoc};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

const DB: &str = "bench";
const STRAIGHT: &str = "straight";
const SHARDED: &str = "many";
const CONNECTIONS: usize = 8;
const ROUNDS: usize = 3;
const WARM_UP: Duration = Duration::from_millis(300);
/// Documents that are there before the first measurement.
const COUNT: i64 = 20_000;
const RANGE: i64 = 100;
const MANY: i64 = 1000;
/// Connections of the large inserts: each has most of the time something under way.
const MANY_CONNECTIONS: usize = 4;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Insert,
    InsertJournaled,
    Find,
    Range,
    InsertMany,
}

/// Kind, name, most microseconds of the server, MongoDB's.
const KINDS: [(Kind, &str, f64, &str); 4] = [
    (Kind::Insert, "insertOne w:1", 45.0, "31 µs"),
    (Kind::InsertJournaled, "insertOne j:true", 60.0, "–"),
    (Kind::Find, "findOne", 40.0, "35 µs"),
    (Kind::Range, "range of 100", 200.0, "–"),
];

struct Round {
    operations: f64,
    used: Used,
}

pub(crate) fn run(options: &Options) -> Result<Report> {
    let mut report = Report::new("member");
    let cluster = Cluster::start(&options.dir.join("cluster"), options.port)?;
    let next_id = AtomicI64::new(0);
    let shard = cluster.shards.first().ok_or("no shard")?;
    let mut connection = Connection::open(&shard.host)?;
    for _ in 0..COUNT / MANY {
        connection.exchange(&insert_many(STRAIGHT, &next_id)?)?;
    }
    let mut rounds: Vec<Vec<Round>> = KINDS.iter().map(|_| Vec::new()).collect();
    for _ in 0..ROUNDS {
        for ((kind, ..), rounds) in KINDS.iter().zip(&mut rounds) {
            // What inserts left to do is not for the next kind to pay.
            connection.run("admin", doc! { "fsync": 1 })?;
            rounds.push(round(&cluster, *kind, options.seconds, &next_id)?);
        }
    }
    for ((_, name, most, anchor), rounds) in KINDS.iter().zip(rounds) {
        let of = |figure: &dyn Fn(&Round) -> f64| median(rounds.iter().map(figure).collect());
        let shard =
            of(&|round| round.used.each.get(2).copied().unwrap_or_default() as f64 / round.operations);
        report
            .add(format!("{name}, 8 connections, CPU of the member"), shard, " µs", Target::AtMost(*most))
            .anchor(anchor)
            .others(of(&|round| round.used.others))
            .note(format!("{:.0} ops/s", of(&|round| round.operations / round.used.seconds)));
    }
    let ns = format!("{DB}.{SHARDED}");
    cluster.connect()?.run("admin", doc! { "shardCollection": ns, "key": { "_id": "hashed" } })?;
    let rounds: Vec<Round> = (0..ROUNDS)
        .map(|_| round(&cluster, Kind::InsertMany, options.seconds, &next_id))
        .collect::<Result<_>>()?;
    let of = |figure: &dyn Fn(&Round) -> f64| median(rounds.iter().map(figure).collect());
    let documents = of(&|round| round.operations * MANY as f64 / round.used.seconds);
    report
        .add(
            "insertMany of 1,000, router and two shards, documents/s",
            documents,
            "",
            Target::AtLeast(60_000.0),
        )
        .anchor("68,000 to one shard")
        .others(of(&|round| round.used.others))
        .note(format!("{MANY_CONNECTIONS} connections"));
    let per = |nth: usize| {
        of(&|round| {
            round.used.each.get(nth).copied().unwrap_or_default() as f64 / round.operations / MANY as f64
        })
    };
    report.add("  router CPU per document", per(0), " µs", Target::None);
    report.add("  shards' CPU per document", per(2) + per(3), " µs", Target::None);
    let client = of(&|round| round.used.own as f64 / round.operations / MANY as f64);
    report.add("  client CPU per document", client, " µs", Target::None);
    Ok(report)
}

fn round(cluster: &Cluster, kind: Kind, seconds: u64, next_id: &AtomicI64) -> Result<Round> {
    let (host, connections) = match kind {
        Kind::InsertMany => (&cluster.router.host, MANY_CONNECTIONS),
        _ => (&cluster.shards.first().ok_or("no shard")?.host, CONNECTIONS),
    };
    let (measuring, stop) = (AtomicBool::new(false), AtomicBool::new(false));
    let done = AtomicU64::new(0);
    thread::scope(|scope| {
        let clients: Vec<_> = (0..connections)
            .map(|nth| {
                let (measuring, stop, done) = (&measuring, &stop, &done);
                scope.spawn(move || -> Result<()> {
                    let mut connection = Connection::open(host)?;
                    let mut state = nth as u64 + 1;
                    while !stop.load(Ordering::Relaxed) {
                        connection.exchange(&command(kind, &mut state, next_id)?)?;
                        if measuring.load(Ordering::Relaxed) {
                            done.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                    Ok(())
                })
            })
            .collect();
        pause(WARM_UP);
        let watch = Watch::start(&cluster.pids());
        measuring.store(true, Ordering::Relaxed);
        pause(Duration::from_secs(seconds));
        measuring.store(false, Ordering::Relaxed);
        let used = watch.and_then(Watch::stop);
        stop.store(true, Ordering::Relaxed);
        for client in clients {
            client.join().map_err(|_| "a client panicked")??;
        }
        Ok(Round { operations: (done.load(Ordering::Relaxed) as f64).max(1.0), used: used? })
    })
}

fn command(kind: Kind, state: &mut u64, next_id: &AtomicI64) -> Result<RawDocumentBuf> {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    let id = (*state >> 33).cast_signed() % (COUNT - RANGE);
    Ok(match kind {
        Kind::Insert | Kind::InsertJournaled => {
            let id = next_id.fetch_add(1, Ordering::Relaxed);
            let command = doc! {
                "insert": STRAIGHT, "documents": [document(id)],
                "writeConcern": { "w": 1, "j": kind == Kind::InsertJournaled }, "$db": DB,
            };
            RawDocumentBuf::try_from(&command)?
        }
        Kind::Find => {
            rawdoc! { "find": STRAIGHT, "filter": { "_id": id }, "limit": 1, "singleBatch": true, "$db": DB }
        }
        Kind::Range => rawdoc! {
            "find": STRAIGHT, "filter": { "_id": { "$gte": id, "$lt": id + RANGE } }, "$db": DB,
        },
        Kind::InsertMany => insert_many(SHARDED, next_id)?,
    })
}

/// As cheap as can be: the client shares the cores with the servers.
fn insert_many(collection: &str, next_id: &AtomicI64) -> Result<RawDocumentBuf> {
    let first = next_id.fetch_add(MANY, Ordering::Relaxed);
    let mut one = rawdoc! { "_id": first };
    for field in 0..10 {
        one.append(bson::raw::CString::try_from(format!("field{field}"))?, text(first + field));
    }
    let mut documents = bson::RawArrayBuf::new();
    for id in first..first + MANY {
        let mut bytes = one.as_bytes().to_vec();
        // Length, type and name are in front of the value.
        let place = bytes.get_mut(9..17).ok_or("a document without an _id")?;
        place.copy_from_slice(&id.to_le_bytes());
        documents.push(RawDocumentBuf::from_bytes(bytes)?);
    }
    Ok(rawdoc! {
        "insert": collection, "documents": documents, "ordered": false, "writeConcern": { "w": 1 }, "$db": DB,
    })
}
