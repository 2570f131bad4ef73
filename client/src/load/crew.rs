//! The threads of a load: one blocking connection each, started together, watched by a progress bar, added up at the end.

use super::cpu::Watched;
use super::measure::Measured;
use super::request::Client;
use crate::failure::Failure;
use crate::link::{Error, Uri};
use crate::pause::pause;
use crate::progress;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Between two attempts to reach a server that is gone.
const RECONNECT_PAUSE: Duration = Duration::from_millis(100);
/// A thread gives up when the server is gone for so long.
const RECONNECT_FOR: Duration = Duration::from_secs(30);

/// What the threads share.
pub(crate) struct Pace {
    done: AtomicU64,
    stop: AtomicBool,
    /// Between two operations of one thread.
    interval: Option<Duration>,
    begin: Instant,
}

/// How much, by how many, for how long.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) what: String,
    pub(crate) threads: usize,
    pub(crate) operations: u64,
    pub(crate) target_ops: Option<u64>,
    pub(crate) seconds: Option<u64>,
    /// Processes whose processor time is wanted.
    pub(crate) pids: Vec<u32>,
}

/// The outcome of a phase.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) measured: Measured,
    pub(crate) seconds: f64,
    /// Microseconds of processor time of this program.
    pub(crate) client_cpu: u64,
    /// The same of the processes asked for; `None` if one was gone.
    pub(crate) process_cpu: Vec<(u32, Option<u64>)>,
}

impl Pace {
    /// Before the `nth` operation of a thread: waits for its time, and answers whether to go on.
    pub(crate) fn next(&self, nth: u64) -> bool {
        if let Some(interval) = self.interval {
            let due = self.begin + interval.mul_f64(nth as f64);
            pause(due.saturating_duration_since(Instant::now()));
        }
        !self.stop.load(Ordering::Relaxed)
    }

    /// After operations, failed or not.
    pub(crate) fn did(&self, operations: u64) {
        self.done.fetch_add(operations, Ordering::Relaxed);
    }

    /// After an error that ended the connection: waits until the server is back. Answers with the last error if it stays away.
    pub(crate) fn wait_for_server(&self, client: &mut Client<'_>) -> Result<(), Error> {
        let deadline = Instant::now() + RECONNECT_FOR;
        loop {
            match client.reconnect() {
                Ok(()) => return Ok(()),
                Err(error) if Instant::now() >= deadline || self.stop.load(Ordering::Relaxed) => {
                    return Err(error);
                }
                Err(_) => pause(RECONNECT_PAUSE),
            }
        }
    }
}

/// Runs `work` in each thread with its connection, its number, and how many operations are its share.
pub(crate) fn run(
    uri: &Uri,
    plan: &Plan,
    work: impl Fn(Client<'_>, usize, u64, &Pace) -> Result<Measured, Failure> + Sync,
) -> Result<Outcome, Failure> {
    let clients = (0..plan.threads).map(|nth| Client::open(uri, nth)).collect::<Result<Vec<_>, _>>()?;
    let watched: Vec<Watched> = plan.pids.iter().map(|pid| Watched(Some(*pid))).collect();
    let bar = progress::operations(plan.operations, &plan.what);
    let per_thread = |target: u64| Duration::from_secs_f64(plan.threads as f64 / target.max(1) as f64);
    let own_before = Watched(None).micros().unwrap_or(0);
    let before: Vec<Option<u64>> = watched.iter().map(|one| one.micros()).collect();
    let begin = Instant::now();
    let pace = Pace {
        done: AtomicU64::new(0),
        stop: AtomicBool::new(false),
        interval: plan.target_ops.map(per_thread),
        begin,
    };
    let mut measured = Measured::default();
    thread::scope(|scope| {
        let (to_main, parts) = channel();
        for (nth, client) in clients.into_iter().enumerate() {
            let (to_main, work, pace) = (to_main.clone(), &work, &pace);
            let share = share_of(plan.operations, plan.threads, nth);
            // The main thread listens until all have reported.
            scope.spawn(move || to_main.send(work(client, nth, share, pace)).ok());
        }
        drop(to_main);
        loop {
            match parts.recv_timeout(progress::TICK) {
                Ok(part) => measured.add(part?)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok::<(), Failure>(()),
            }
            bar.set_position(pace.done.load(Ordering::Relaxed));
            if plan.seconds.is_some_and(|seconds| begin.elapsed() >= Duration::from_secs(seconds)) {
                pace.stop.store(true, Ordering::Relaxed);
            }
        }
    })?;
    let seconds = begin.elapsed().as_secs_f64();
    bar.finish_and_clear();
    let since = |before: Option<u64>, now: Option<u64>| Some(now?.saturating_sub(before?));
    Ok(Outcome {
        measured,
        seconds,
        client_cpu: Watched(None).micros().unwrap_or(0).saturating_sub(own_before),
        process_cpu: plan
            .pids
            .iter()
            .zip(watched.iter().zip(before))
            .map(|(pid, (one, before))| (*pid, since(before, one.micros())))
            .collect(),
    })
}

/// The `nth` of the parts that add up to `total`.
pub(crate) fn share_of(total: u64, parts: usize, nth: usize) -> u64 {
    let parts = parts.max(1) as u64;
    total / parts + u64::from((nth as u64) < total % parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up() {
        for (total, parts) in [(0, 3), (10, 3), (10, 1), (2, 8), (100, 7)] {
            let shares: Vec<u64> = (0..parts).map(|nth| share_of(total, parts, nth)).collect();
            assert_eq!(shares.iter().sum::<u64>(), total);
            assert!(shares.iter().max().unwrap() - shares.iter().min().unwrap() <= 1);
        }
    }
}
