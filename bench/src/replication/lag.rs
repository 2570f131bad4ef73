//! How long after its acknowledgement a `w: 1` insert can be read on a secondary, while one client loads at full speed.

use super::{COLLECTION, DB};
use crate::connection::Connection;
use crate::process::Watch;
use crate::report::{Report, Target};
use crate::router::documents::document;
use crate::set::Set;
use crate::{Options, Result, pause};
use bson::{Bson, doc};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Documents of one batch of the loading client.
const BATCH: i64 = 100;
/// Where the loader's ids begin, far from those of other parts.
const FIRST_ID: i64 = 1_000_000_000;
/// Between two probes.
const PROBE_INTERVAL: Duration = Duration::from_millis(10);
/// A write that is not seen within this time ends the bench.
const LOST: Duration = Duration::from_secs(30);

pub(crate) fn measure(set: &Set, options: &Options, report: &mut Report) -> Result<()> {
    let primary = set.primary()?;
    let secondaries = set.secondaries();
    let (stop, loaded) = (AtomicBool::new(false), AtomicI64::new(FIRST_ID));
    let (times, seconds, used) = thread::scope(|scope| {
        let (stop, loaded, primary) = (&stop, &loaded, &primary);
        let loader = scope.spawn(move || -> Result<()> {
            let mut connection = Connection::open(primary)?;
            while !stop.load(Ordering::Relaxed) {
                let first = loaded.load(Ordering::Relaxed);
                let documents: Vec<_> = (first..first + BATCH).map(document).collect();
                connection.run(
                    DB,
                    doc! { "insert": COLLECTION, "documents": documents, "ordered": false, "writeConcern": { "w": 1 } },
                )?;
                loaded.fetch_add(BATCH, Ordering::Relaxed);
            }
            Ok(())
        });
        let watch = Watch::start(&set.pids())?;
        let begin = Instant::now();
        let probes: Vec<_> = secondaries
            .iter()
            .zip(0_i64..)
            .map(|(secondary, nth)| scope.spawn(move || probe(primary, secondary, nth, stop)))
            .collect();
        pause(Duration::from_secs((options.seconds * 5).max(5)));
        stop.store(true, Ordering::Relaxed);
        let used = watch.stop()?;
        let seconds = begin.elapsed().as_secs_f64();
        let mut times = Vec::new();
        for probe in probes {
            times.extend(probe.join().map_err(|_| "a probe panicked")??);
        }
        loader.join().map_err(|_| "the loader panicked")??;
        Ok::<_, crate::Error>((times, seconds, used))
    })?;
    let rate = (loaded.into_inner() - FIRST_ID) as f64 / seconds;
    let note = format!("{} probes, beside {rate:.0} inserts/s in batches of {BATCH}", times.len());
    let mut times = times;
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times.get((times.len() as f64 * share) as usize).copied().unwrap_or(f64::NAN);
    report.add("lag under one client at full speed, p50", at(0.5), " ms", Target::None).others(used.others);
    report
        .add("lag under one client at full speed, p99", at(0.99), " ms", Target::AtMost(100.0))
        .others(used.others)
        .note(note);
    Ok(())
}

/// Writes to the primary, then reads from the secondary until the write is there.
fn probe(primary: &str, secondary: &str, nth: i64, stop: &AtomicBool) -> Result<Vec<f64>> {
    let (mut writer, mut reader) = (Connection::open(primary)?, Connection::open(secondary)?);
    let (mut times, mut value) = (Vec::new(), 0_i64);
    while !stop.load(Ordering::Relaxed) {
        value += 1;
        let update = doc! { "q": { "_id": nth }, "u": { "$set": { "v": value } }, "upsert": true };
        writer.run(DB, doc! { "update": "probe", "updates": [update], "writeConcern": { "w": 1 } })?;
        let begin = Instant::now();
        loop {
            let find = doc! {
                "find": "probe", "filter": { "_id": nth }, "limit": 1, "singleBatch": true,
                "$readPreference": { "mode": "secondaryPreferred" },
            };
            let reply = reader.run(DB, find)?;
            let batch = reply.get_document("cursor")?.get_array("firstBatch")?;
            let seen = batch.first().and_then(Bson::as_document).and_then(|doc| doc.get_i64("v").ok());
            if seen == Some(value) {
                break;
            }
            if begin.elapsed() > LOST {
                return Err(format!("{secondary} has {seen:?} instead of {value} after {LOST:?}").into());
            }
        }
        times.push(begin.elapsed().as_nanos() as f64 / 1e6);
        pause(PROBE_INTERVAL);
    }
    Ok(times)
}
