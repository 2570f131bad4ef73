//! Inserts of 1.1 KB, journalled: `w: "majority"` beside `w: 1` in alternating slices of one run, so that whatever else the machine
//! does falls on both.

use super::{COLLECTION, DB};
use crate::connection::Connection;
use crate::process::Watch;
use crate::report::{Report, Target};
use crate::router::documents::document;
use crate::router::latency::median;
use crate::set::Set;
use crate::{Options, Result, pause};
use bson::{Bson, RawDocumentBuf, doc};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const CLIENTS: usize = 16;
/// Slices of each kind.
const ROUNDS: u64 = 5;
const WARM_UP: Duration = Duration::from_millis(500);

/// One slice.
struct Slice {
    /// Microseconds of each insert.
    times: Vec<f64>,
    seconds: f64,
    /// Microseconds of processor time of all members.
    cpu: f64,
    /// Groups of entries applied by all members, and messages between them.
    groups: f64,
    messages: f64,
    others: f64,
}

pub(crate) fn measure(set: &Set, options: &Options, report: &mut Report) -> Result<()> {
    let next_id = AtomicI64::new(0);
    let primary = set.primary()?;
    let majority = Bson::from("majority");
    let slice = Duration::from_secs(options.seconds.max(1));
    run(set, &primary, CLIENTS, &majority, WARM_UP, &next_id)?;
    for clients in [CLIENTS, 1] {
        let (mut safe, mut fast) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            fast.push(run(set, &primary, clients, &Bson::from(1), slice, &next_id)?);
            safe.push(run(set, &primary, clients, &majority, slice, &next_id)?);
        }
        let p50 = |slices: &[Slice]| median(slices.iter().flat_map(|slice| slice.times.clone()).collect());
        let per =
            |slices: &[Slice], figure: &dyn Fn(&Slice) -> f64| median(slices.iter().map(figure).collect());
        let cpu = |slices: &[Slice]| per(slices, &|slice| slice.cpu / slice.times.len().max(1) as f64);
        let rate = |slices: &[Slice]| per(slices, &|slice| slice.times.len() as f64 / slice.seconds);
        let others = |slices: &[Slice]| per(slices, &|slice| slice.others);
        let (of_safe, of_fast) = (p50(&safe), p50(&fast));
        let who = if clients == 1 { "1 client".to_owned() } else { format!("{clients} clients") };
        report
            .add(format!("insert w:1 j:true, {who}, p50"), of_fast / 1e3, " ms", Target::None)
            .others(others(&fast))
            .note(format!("{:.0}/s, CPU of all members {:.0} µs", rate(&fast), cpu(&fast)));
        let target = if clients == 1 { Target::AtMost(1.5) } else { Target::None };
        report
            .add(format!("insert w:majority j:true, {who}, p50"), of_safe / 1e3, " ms", target)
            .anchor(if clients == 1 { "3.0 ms" } else { "" })
            .others(others(&safe))
            .note(format!("{:.0}/s", rate(&safe)));
        if clients > 1 {
            report
                .add(format!("p50 majority / w:1, {who}"), of_safe / of_fast, "", Target::AtMost(2.0))
                .anchor("2.4");
            report
                .add(
                    format!("CPU of all members per majority insert, {who}"),
                    cpu(&safe),
                    " µs",
                    Target::AtMost(250.0),
                )
                .anchor("777 µs")
                .note(format!(
                    "groups of {:.1} entries; {:.2} messages per insert",
                    2.0 / per(&safe, &|slice| slice.groups / slice.times.len().max(1) as f64),
                    per(&safe, &|slice| slice.messages / slice.times.len().max(1) as f64)
                ));
        }
    }
    Ok(())
}

/// Groups applied and messages sent by all members so far.
fn traffic(set: &Set) -> Result<(f64, f64)> {
    let (mut groups, mut messages) = (0.0, 0.0);
    for member in &set.members {
        let status = Connection::open(&member.host)?.run("admin", doc! { "serverStatus": 1 })?;
        let counters = status.get_document("shoalReplication")?;
        let count = |name: &str| counters.get_i64(name).map(|count| count as f64);
        groups += count("applied_batches")?;
        messages += count("sent_batches")? + count("sent_reports")?;
    }
    Ok((groups, messages))
}

fn run(
    set: &Set,
    primary: &str,
    clients: usize,
    w: &Bson,
    length: Duration,
    next_id: &AtomicI64,
) -> Result<Slice> {
    let stop = AtomicBool::new(false);
    let before = traffic(set)?;
    thread::scope(|scope| {
        let watch = Watch::start(&set.pids())?;
        let begin = Instant::now();
        let threads: Vec<_> = (0..clients)
            .map(|_| {
                let stop = &stop;
                scope.spawn(move || -> Result<Vec<f64>> {
                    let mut connection = Connection::open(primary)?;
                    let mut times = Vec::new();
                    while !stop.load(Ordering::Relaxed) {
                        let id = next_id.fetch_add(1, Ordering::Relaxed);
                        let command = doc! {
                            "insert": COLLECTION, "documents": [document(id)],
                            "writeConcern": { "w": w.clone(), "j": true }, "$db": DB,
                        };
                        let command = RawDocumentBuf::try_from(&command)?;
                        let begin = Instant::now();
                        connection.exchange(&command)?;
                        times.push(begin.elapsed().as_nanos() as f64 / 1_000.0);
                    }
                    Ok(times)
                })
            })
            .collect();
        pause(length);
        stop.store(true, Ordering::Relaxed);
        let mut times = Vec::new();
        for thread in threads {
            times.extend(thread.join().map_err(|_| "a client panicked")??);
        }
        let used = watch.stop()?;
        let cpu = used.each.iter().sum::<u64>() as f64;
        let seconds = begin.elapsed().as_secs_f64();
        let after = traffic(set)?;
        let (groups, messages) = (after.0 - before.0, after.1 - before.1);
        Ok(Slice { times, seconds, cpu, groups, messages, others: used.others })
    })
}
