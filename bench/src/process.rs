//! What processes and the machine use, as /proc tells it.

use crate::Result;
use std::fs;
use std::time::Instant;

/// Microseconds of processor time of a process so far; right for runs of seconds, because it is counted in ticks.
pub(crate) fn cpu_micros(pid: u32) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name in parentheses may contain anything; user and system time are the 12th and 13th field after it.
    let (_, fields) = text.rsplit_once(')').ok_or("/proc/PID/stat")?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let mut next = || fields.next().unwrap_or_default().parse::<u64>();
    Ok(ticks_to_micros(next()? + next()?))
}

/// Resident memory of a process in KiB.
pub(crate) fn resident_kib(pid: u32) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// Processor time of the whole machine so far, idle and waiting left out, in microseconds.
fn busy_micros() -> Result<u64> {
    let text = fs::read_to_string("/proc/stat")?;
    let line = text.lines().next().ok_or("/proc/stat")?;
    let numbers: Vec<u64> = line.split_ascii_whitespace().skip(1).flat_map(str::parse).collect();
    // user nice system idle iowait irq softirq steal; what follows is part of user already.
    let busy = [0, 1, 2, 5, 6, 7].iter().filter_map(|&nth| numbers.get(nth)).sum();
    Ok(ticks_to_micros(busy))
}

fn ticks_to_micros(ticks: u64) -> u64 {
    ticks * 1_000_000 / rustix::param::clock_ticks_per_second().max(1)
}

/// Cores of this machine.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Load average of the last minute.
pub(crate) fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("?").to_owned()
}

/// The processor time of some processes and of the rest of the machine between two moments.
pub(crate) struct Watch {
    pids: Vec<u32>,
    own: u64,
    each: Vec<u64>,
    busy: u64,
    begin: Instant,
}

/// What [`Watch`] saw.
#[derive(Debug, Clone)]
pub(crate) struct Used {
    pub(crate) seconds: f64,
    /// Microseconds of each watched process.
    pub(crate) each: Vec<u64>,
    /// Microseconds of the bench itself.
    pub(crate) own: u64,
    /// Cores kept busy by anything else.
    pub(crate) others: f64,
}

impl Watch {
    pub(crate) fn start(pids: &[u32]) -> Result<Watch> {
        Ok(Watch {
            pids: pids.to_vec(),
            own: cpu_micros(std::process::id())?,
            each: pids.iter().map(|&pid| cpu_micros(pid)).collect::<Result<_>>()?,
            busy: busy_micros()?,
            begin: Instant::now(),
        })
    }

    pub(crate) fn stop(self) -> Result<Used> {
        let seconds = self.begin.elapsed().as_secs_f64();
        let busy = busy_micros()?.saturating_sub(self.busy);
        let own = cpu_micros(std::process::id())?.saturating_sub(self.own);
        let mut each = Vec::new();
        for (pid, before) in self.pids.iter().zip(&self.each) {
            each.push(cpu_micros(*pid)?.saturating_sub(*before));
        }
        let others = busy.saturating_sub(own + each.iter().sum::<u64>()) as f64 / 1e6 / seconds;
        Ok(Used { seconds, each, own, others })
    }
}
