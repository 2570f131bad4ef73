//! Eight connections: processor time of the servers for one operation of each kind. This figure travels between machines, and
//! suffers least from whatever else runs.

use super::documents::{COLLECTION, COUNT, DB, document, find_one, text};
use super::latency::median;
use crate::cluster::Cluster;
use crate::connection::Connection;
use crate::process::{Used, Watch};
use crate::report::{Report, Target};
use crate::{Options, Result};
use bson::{RawDocumentBuf, doc, rawdoc};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const CONNECTIONS: usize = 8;
/// Times that each kind is measured, one after the other in turns; the median counts.
const ROUNDS: usize = 3;
const WARM_UP: Duration = Duration::from_millis(300);

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Find,
    Insert,
    Update,
    Range,
    /// The same find, straight to the shard.
    FindDirect,
}

/// Kind, name, MongoDB's ops/s and µs.
const KINDS: [(Kind, &str, &str); 5] = [
    (Kind::Find, "findOne", "211 µs"),
    (Kind::FindDirect, "findOne straight to the shard", "35 µs"),
    (Kind::Insert, "insertOne w:1", "355 µs"),
    (Kind::Update, "updateOne w:1", "286 µs"),
    (Kind::Range, "range of 100 over both shards", "1,210 µs"),
];

/// One measurement.
struct Round {
    operations: f64,
    used: Used,
    p50: f64,
}

pub(crate) fn measure(cluster: &Cluster, options: &Options, report: &mut Report) -> Result<()> {
    let shard = cluster.shards.first().ok_or("no shard")?;
    let ids = super::documents::ids_on(&shard.host)?;
    let next_id = AtomicI64::new(COUNT);
    let mut rounds: Vec<Vec<Round>> = KINDS.iter().map(|_| Vec::new()).collect();
    for _ in 0..ROUNDS {
        for ((kind, ..), rounds) in KINDS.iter().zip(&mut rounds) {
            rounds.push(round(cluster, *kind, options.seconds, &ids, &next_id)?);
        }
    }
    for ((kind, name, anchor), rounds) in KINDS.iter().zip(rounds) {
        let of = |figure: &dyn Fn(&Round) -> f64| median(rounds.iter().map(figure).collect());
        let per = |round: &Round, nth: usize| {
            round.used.each.get(nth).copied().unwrap_or_default() as f64 / round.operations
        };
        let router = of(&|round| per(round, 0));
        let shards = of(&|round| per(round, 2) + per(round, 3));
        let both = of(&|round| per(round, 0) + per(round, 2) + per(round, 3));
        let others = of(&|round| round.used.others);
        let client = of(&|round| round.used.own as f64 / round.operations);
        let (target_both, target_router) = match kind {
            Kind::Find => (Target::AtMost(70.0), Target::AtMost(25.0)),
            _ => (Target::None, Target::None),
        };
        report
            .add(format!("{name}, 8 connections, server CPU per operation"), both, " µs", target_both)
            .anchor(anchor)
            .others(others)
            .note(format!(
                "{:.0} ops/s, p50 {:.0} µs, client {client:.0} µs",
                of(&|round| round.operations / round.used.seconds),
                of(&|round| round.p50),
            ));
        if *kind != Kind::FindDirect {
            report.add("  of which the router", router, " µs", target_router);
            report.add("  of which the shards", shards, " µs", Target::None);
        }
    }
    Ok(())
}

fn round(cluster: &Cluster, kind: Kind, seconds: u64, ids: &[i64], next_id: &AtomicI64) -> Result<Round> {
    let host = match kind {
        Kind::FindDirect => &cluster.shards.first().ok_or("no shard")?.host,
        _ => &cluster.router.host,
    };
    let (measuring, stop) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CONNECTIONS)
            .map(|nth| {
                let mut source = Source { kind, ids, next_id, state: nth as u64 + 1 };
                let (measuring, stop) = (&measuring, &stop);
                scope.spawn(move || -> Result<Vec<f64>> {
                    let mut connection = Connection::open(host)?;
                    let mut times = Vec::new();
                    while !stop.load(Ordering::Relaxed) {
                        let command = source.command()?;
                        let begin = Instant::now();
                        connection.exchange(&command)?;
                        if measuring.load(Ordering::Relaxed) {
                            times.push(begin.elapsed().as_nanos() as f64 / 1_000.0);
                        }
                    }
                    Ok(times)
                })
            })
            .collect();
        crate::pause(WARM_UP);
        let watch = Watch::start(&cluster.pids());
        measuring.store(true, Ordering::Relaxed);
        crate::pause(Duration::from_secs(seconds));
        measuring.store(false, Ordering::Relaxed);
        let used = watch.and_then(Watch::stop);
        stop.store(true, Ordering::Relaxed);
        let mut times = Vec::new();
        for client in clients {
            times.extend(client.join().map_err(|_| "a client panicked")??);
        }
        Ok(Round { operations: (times.len() as f64).max(1.0), used: used?, p50: median(times) })
    })
}

/// Commands of one client.
struct Source<'a> {
    kind: Kind,
    ids: &'a [i64],
    next_id: &'a AtomicI64,
    /// Of a small generator: quality does not matter, speed does.
    state: u64,
}

impl Source<'_> {
    fn below(&mut self, bound: i64) -> i64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state >> 33).cast_signed() % bound.max(1)
    }

    fn command(&mut self) -> Result<RawDocumentBuf> {
        let id = self.below(COUNT);
        Ok(match self.kind {
            Kind::Find => find_one(id),
            Kind::FindDirect => {
                let nth = usize::try_from(id)? % self.ids.len().max(1);
                find_one(self.ids.get(nth).copied().unwrap_or_default())
            }
            Kind::Insert => {
                let id = self.next_id.fetch_add(1, Ordering::Relaxed);
                let command = doc! {
                    "insert": COLLECTION, "documents": [document(id)], "writeConcern": { "w": 1 }, "$db": DB,
                };
                RawDocumentBuf::try_from(&command)?
            }
            Kind::Update => rawdoc! {
                "update": COLLECTION, "updates": [{ "q": { "_id": id }, "u": { "$set": { "field3": text(id) } } }],
                "writeConcern": { "w": 1 }, "$db": DB,
            },
            Kind::Range => rawdoc! {
                "find": COLLECTION, "filter": { "_id": { "$gte": id, "$lt": id + 100 } }, "$db": DB,
            },
        })
    }
}
