//! Updates for a long time over data four times the memory budgets: stalls, memory, disk.

use crate::report::{Report, Target};
use crate::shoal::{Bench, Wall};
use crate::{Draw, Result};
use std::path::Path;
use std::sync::Mutex;
use std::sync::PoisonError;
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
const JUDGED_FROM: Duration = Duration::from_secs(300);
/// The program, its threads and what is in flight: log buffer, a checkpoint's round.
const PROCESS_BYTES: usize = 64 * MIB;

pub(crate) fn run(dir: &Path, engine: EngineKind, length: Duration, report: &mut Report) -> Result<()> {
    let name = engine.name();
    let judged = length >= JUDGED_FROM;
    let options = Options {
        engine,
        cache_bytes: CACHE_BYTES,
        versions_bytes_max: VERSIONS_BYTES,
        oplog_bytes_max: OPLOG_BYTES,
        oplog_segment_bytes: 16 * MIB as u64,
        ..Options::new(dir, Wall::new())
    };
    let bench = Bench::with(options)?;
    let before = resident()?;
    for start in (0..DOCUMENTS).step_by(100) {
        bench.insert(start..start + 100)?;
    }
    bench.store.force_checkpoint()?;
    let slowest = Mutex::new(Duration::ZERO);
    let highest = Mutex::new(0_usize);
    let start = Instant::now();
    let rate = crate::threads(WRITERS, length, |number, draw: &mut Draw| {
        let begun = Instant::now();
        bench.update(draw.below(DOCUMENTS), draw.below(1000))?;
        let took = begun.elapsed();
        let mut slowest = slowest.lock().unwrap_or_else(PoisonError::into_inner);
        *slowest = (*slowest).max(took);
        drop(slowest);
        if number == 0 && draw.below(200) == 0 {
            let mut highest = highest.lock().unwrap_or_else(PoisonError::into_inner);
            *highest = (*highest).max(resident()?);
        }
        Ok(())
    })?;
    let seconds = start.elapsed().as_secs();
    bench.store.force_checkpoint()?;
    let only_long = |target: Target| if judged { target } else { Target::None };
    let prefix = format!("{name}: sustained {seconds} s,");
    report.add(format!("{prefix} updates"), rate, "/s", Target::None);
    let stall = slowest.into_inner().unwrap_or_else(PoisonError::into_inner).as_secs_f64() * 1e3;
    report.add(format!("{prefix} slowest write"), stall, " ms", only_long(Target::AtMost(250.0)));
    let grown = highest.into_inner().unwrap_or_else(PoisonError::into_inner).saturating_sub(before);
    // fjall: the budgets plus 20 %; sled: three times its cache, and the versions.
    let bound = match engine {
        EngineKind::Fjall => (CACHE_BYTES + VERSIONS_BYTES) * 12 / 10,
        _ => CACHE_BYTES * 3 + VERSIONS_BYTES,
    };
    let bound = (bound + PROCESS_BYTES) as f64 / MIB as f64;
    report.add(
        format!("{prefix} memory it grew by"),
        grown as f64 / MIB as f64,
        " MB",
        only_long(Target::AtMost(bound)),
    );
    let stats = bench.store.stats(&bench.collection);
    let logical = stats.bytes + stats.indexes.iter().map(|(_, _, bytes)| bytes).sum::<u64>();
    let ratio = bench.store.metrics().base_bytes as f64 / logical as f64;
    let most = if engine == EngineKind::Fjall { 2.0 } else { 3.0 };
    report.add(format!("{prefix} base on disk"), ratio, "x", only_long(Target::AtMost(most)));
    report.note(format!("{} MB of documents and index entries", logical / MIB as u64));
    bench.close()
}

/// Bytes of this process in memory.
fn resident() -> Result<usize> {
    let text = std::fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    let kib: usize = line.trim().trim_end_matches(" kB").trim().parse()?;
    Ok(kib * 1024)
}
