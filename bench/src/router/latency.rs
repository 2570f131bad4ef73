//! One connection: the same find through the router and straight to the shard that owns the document, in alternating slices,
//! so that whatever else the machine does falls on both.

use super::documents::{self, find_one};
use crate::cluster::Cluster;
use crate::connection::Connection;
use crate::process::Watch;
use crate::report::{Report, Target};
use crate::{Options, Result};
use bson::{RawDocument, rawdoc};
use std::time::Instant;

/// Operations before the other side has its turn.
const SLICE: usize = 250;
/// Pairs of slices for each second that one measurement may take.
const PAIRS_PER_SECOND: u64 = 12;

pub(crate) fn measure(cluster: &Cluster, options: &Options, report: &mut Report) -> Result<()> {
    let shard = cluster.shards.first().ok_or("no shard")?;
    let ids = documents::ids_on(&shard.host)?;
    if ids.is_empty() {
        return Err("the first shard has no documents".into());
    }
    let mut router = cluster.connect()?;
    let mut direct = Connection::open(&shard.host)?;
    let (mut routed_times, mut direct_times, mut ping_times) = (Vec::new(), Vec::new(), Vec::new());
    let ping = rawdoc! { "ping": 1, "$db": "admin" };
    let mut next = ids.iter().cycle();
    let watch = Watch::start(&cluster.pids())?;
    for pair in 0..=options.seconds * PAIRS_PER_SECOND {
        for _ in 0..SLICE {
            routed_times.push(found(&mut router, &find_one(*next.next().unwrap_or(&0)))?);
        }
        for _ in 0..SLICE {
            direct_times.push(found(&mut direct, &find_one(*next.next().unwrap_or(&0)))?);
        }
        for _ in 0..SLICE / 5 {
            let begin = Instant::now();
            router.exchange(&ping)?;
            ping_times.push(micros(begin));
        }
        if pair == 0 {
            // The first pair was the warm-up.
            routed_times.clear();
            direct_times.clear();
            ping_times.clear();
        }
    }
    let others = watch.stop()?.others;
    let (routed, direct, ping) = (median(routed_times), median(direct_times), median(ping_times));
    report
        .add("findOne p50, 1 connection, through the router", routed, " µs", Target::None)
        .anchor("350 µs")
        .others(others);
    report
        .add("findOne p50, 1 connection, straight to the shard", direct, " µs", Target::None)
        .anchor("130 µs")
        .others(others);
    report
        .add("findOne p50, routed / straight", routed / direct, "", Target::AtMost(1.6))
        .anchor("2.7")
        .others(others);
    report.add("ping p50, 1 connection, router", ping, " µs", Target::None).others(others);
    Ok(())
}

/// Microseconds of a find that must find its one document.
fn found(connection: &mut Connection, command: &RawDocument) -> Result<f64> {
    let begin = Instant::now();
    let reply = connection.exchange(command)?;
    let taken = micros(begin);
    let batch = reply.get_document("cursor")?.get_array("firstBatch")?;
    if batch.into_iter().count() != 1 {
        return Err(format!("{command:?} answered {reply:?}").into());
    }
    Ok(taken)
}

fn micros(begin: Instant) -> f64 {
    begin.elapsed().as_nanos() as f64 / 1_000.0
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
