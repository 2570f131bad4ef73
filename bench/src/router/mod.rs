//! `bench router`: what the router adds to an operation, what one operation costs the servers, how fast a cluster comes up and
//! takes an import, and what its processes hold when idle.

mod cost;
pub(crate) mod documents;
pub(crate) mod latency;

use crate::cluster::{Cluster, shoal};
use crate::process::{Watch, resident_kib};
use crate::report::{Report, Target};
use crate::{Options, Result, cities, pause};
use bson::doc;
use documents::{COLLECTION, DB};
use std::time::{Duration, Instant};

/// What is idle has nothing left to do so long after its last command.
const SETTLE: Duration = Duration::from_secs(3);

pub(crate) fn run(options: &Options) -> Result<Report> {
    let mut report = Report::new("router");
    let cluster = Cluster::start(&options.dir.join("cluster"), options.port)?;
    first_write(&cluster, &mut report)?;
    if options.wants("idle") {
        idle(&cluster, &mut report)?;
    }
    if options.wants("latency") || options.wants("cost") {
        documents::load(&cluster)?;
    }
    if options.wants("latency") {
        latency::measure(&cluster, options, &mut report)?;
    }
    if options.wants("cost") {
        cost::measure(&cluster, options, &mut report)?;
    }
    if options.wants("import") {
        import(&cluster, options, &mut report)?;
    }
    Ok(report)
}

/// `shoal up` and a write of a sharded collection's first document.
fn first_write(cluster: &Cluster, report: &mut Report) -> Result<()> {
    let begin = Instant::now();
    let mut router = cluster.connect()?;
    let ns = format!("{DB}.{COLLECTION}");
    router.run("admin", doc! { "shardCollection": ns, "key": { "_id": "hashed" } })?;
    router.run(DB, doc! { "insert": COLLECTION, "documents": [{ "_id": -1_i64 }] })?;
    let seconds = (cluster.up + begin.elapsed()).as_secs_f64();
    report.add("shoal up, 2 shards, to the first sharded write", seconds, " s", Target::AtMost(5.0));
    Ok(())
}

fn idle(cluster: &Cluster, report: &mut Report) -> Result<()> {
    pause(SETTLE);
    let mib = |pid: u32| resident_kib(pid).map(|kib| kib as f64 / 1024.0);
    report
        .add("idle router, resident", mib(cluster.router.pid)?, " MiB", Target::AtMost(30.0))
        .anchor("30 MB");
    let mut largest = 0.0_f64;
    for shard in &cluster.shards {
        largest = largest.max(mib(shard.pid)?);
    }
    report.add("idle shard, resident (the larger one)", largest, " MiB", Target::AtMost(60.0));
    report
        .add("idle config server, resident", mib(cluster.config.pid)?, " MiB", Target::None)
        .anchor("72 MB");
    Ok(())
}

fn import(cluster: &Cluster, options: &Options, report: &mut Report) -> Result<()> {
    let (file, what) = cities::file(&options.dir)?;
    shoal(&["shard-collection", "geo.cities", r#"{"_id":"hashed"}"#, "--uri", &cluster.uri])?;
    let watch = Watch::start(&cluster.pids())?;
    let file = file.to_str().ok_or("a path that is not UTF-8")?;
    let printed = shoal(&["import", file, "--ns", "geo.cities", "--uri", &cluster.uri, "--json"])?;
    let used = watch.stop()?;
    let outcome: serde_json::Value = serde_json::from_str(printed.trim())?;
    let documents = outcome["documents"].as_f64().unwrap_or_default();
    let speed = documents / outcome["seconds"].as_f64().unwrap_or(f64::INFINITY);
    report
        .add("import of the cities, hashed _id, documents/s", speed, "", Target::AtLeast(20_000.0))
        .others(used.others)
        .note(what);
    let micros = |nth: usize| used.each.get(nth).copied().unwrap_or_default() as f64 / documents.max(1.0);
    report.add("  router CPU per document", micros(0), " µs", Target::None);
    report.add("  shards' CPU per document", micros(2) + micros(3), " µs", Target::None);
    Ok(())
}
