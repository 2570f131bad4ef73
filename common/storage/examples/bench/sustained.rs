//! Updates for a long time over data four times the memory budgets: stalls, memory, disk.

use crate::report::{Report, Target};
use crate::shoal::{Bench, Wall};
use crate::{Draw, Result};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use storage::{EngineKind, Options};

const MIB: usize = 1024 * 1024;
const CACHE_BYTES: usize = 32 * MIB;
const VERSIONS_BYTES: usize = 32 * MIB;
const OPLOG_BYTES: u64 = 64 * MIB as u64;
/// About 1.1 KB each: four times both budgets.
const DOCUMENTS: i32 = 240_000;
const WRITERS: usize = 4;
/// Shorter runs show, but do not judge.
const JUDGED_FROM: u64 = 300;
/// The program, its threads and what is in flight: log buffer, a checkpoint's round.
const PROCESS_BYTES: usize = 64 * MIB;

/// What the process for [`run`] found out.
struct Outcome {
    rate: f64,
    slowest_millis: f64,
    grown_bytes: f64,
    base_bytes: f64,
    logical_bytes: f64,
}

/// In a process of its own, whose memory is nobody else's.
pub(crate) fn run(dir: &Path, engine: EngineKind, seconds: u64, report: &mut Report) -> Result<()> {
    let mut command = Command::new(std::env::current_exe()?);
    let output = command.arg("sustained").arg(dir).arg(engine.name()).arg(seconds.to_string()).output()?;
    let text = String::from_utf8(output.stdout)?;
    let numbers: Vec<f64> = text.split_whitespace().map(str::parse).collect::<std::result::Result<_, _>>()?;
    let [rate, slowest_millis, grown_bytes, base_bytes, logical_bytes] = numbers[..] else {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    };
    let outcome = Outcome { rate, slowest_millis, grown_bytes, base_bytes, logical_bytes };
    tell(engine, seconds, &outcome, report);
    Ok(())
}

fn tell(engine: EngineKind, seconds: u64, outcome: &Outcome, report: &mut Report) {
    let only_long = |target: Target| if seconds >= JUDGED_FROM { target } else { Target::None };
    let prefix = format!("{}: sustained {seconds} s,", engine.name());
    report.add(format!("{prefix} updates"), outcome.rate, "/s", Target::None);
    let stall = outcome.slowest_millis;
    report.add(format!("{prefix} slowest write"), stall, " ms", only_long(Target::AtMost(250.0)));
    // fjall: the budgets plus 20 %; sled: three times its cache, and the versions.
    let bound = match engine {
        EngineKind::Fjall => (CACHE_BYTES + VERSIONS_BYTES) * 12 / 10,
        _ => CACHE_BYTES * 3 + VERSIONS_BYTES,
    };
    let bound = (bound + PROCESS_BYTES) as f64 / MIB as f64;
    let grown = outcome.grown_bytes / MIB as f64;
    report.add(format!("{prefix} memory it grew by"), grown, " MB", only_long(Target::AtMost(bound)));
    let most = if engine == EngineKind::Fjall { 2.0 } else { 3.0 };
    let ratio = outcome.base_bytes / outcome.logical_bytes;
    report.add(format!("{prefix} base on disk"), ratio, "x", only_long(Target::AtMost(most)));
    let logical = outcome.logical_bytes / MIB as f64;
    report.note(format!("{logical:.0} MB of documents and index entries"));
}

/// The process for [`run`].
pub(crate) fn child(arguments: &[String]) -> Result<()> {
    let [dir, engine, seconds] = arguments else {
        return Err("usage: bench sustained DIR ENGINE SECONDS".into());
    };
    let engine = if engine == "fjall" { EngineKind::Fjall } else { EngineKind::Sled };
    let options = Options {
        engine,
        cache_bytes: CACHE_BYTES,
        versions_bytes_max: VERSIONS_BYTES,
        oplog_bytes_max: OPLOG_BYTES,
        oplog_segment_bytes: 16 * MIB as u64,
        ..Options::new(dir, Wall::new())
    };
    let before = resident()?;
    let bench = Bench::with(options)?;
    for start in (0..DOCUMENTS).step_by(100) {
        bench.insert(start..start + 100)?;
    }
    bench.store.force_checkpoint()?;
    let slowest = Mutex::new(Duration::ZERO);
    let highest = AtomicUsize::new(0);
    let length = Duration::from_secs(seconds.parse()?);
    let rate = crate::threads(WRITERS, length, |number, draw: &mut Draw| {
        let begun = Instant::now();
        bench.update(draw.below(DOCUMENTS), draw.below(1000))?;
        let took = begun.elapsed();
        let mut slowest = slowest.lock().unwrap_or_else(PoisonError::into_inner);
        *slowest = (*slowest).max(took);
        drop(slowest);
        if number == 0 && draw.below(200) == 0 {
            highest.fetch_max(resident()?, Ordering::Relaxed);
        }
        Ok(())
    })?;
    bench.store.force_checkpoint()?;
    let slowest = slowest.into_inner().unwrap_or_else(PoisonError::into_inner).as_secs_f64() * 1e3;
    let grown = highest.into_inner().saturating_sub(before);
    let stats = bench.store.stats(&bench.collection);
    let logical = stats.bytes + stats.indexes.iter().map(|(_, _, bytes)| bytes).sum::<u64>();
    println!("{rate} {slowest} {grown} {} {logical}", bench.store.metrics().base_bytes);
    bench.close()
}

/// Bytes of this process in memory.
fn resident() -> Result<usize> {
    let text = std::fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    let kib: usize = line.trim().trim_end_matches(" kB").trim().parse()?;
    Ok(kib * 1024)
}
