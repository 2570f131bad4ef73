//! Who syncs: a thread does for all that wait. Who waits alone, on a thread of its own, does it itself: to hand it over and back
//! costs as much as the disk.
//!
//! Futures and threads wait in a list by time, so that a sync wakes those whose entries it brought to the disk and nobody else, each
//! without a lock that all of them would want next. Those that it answered are likely to come back with their next write at once;
//! the thread gives them a moment before it syncs for the ones that came meanwhile: few would go on as two groups that take turns,
//! with twice the syncs. Many shall do so, for each group then works while the disk has the other one.

use super::append::Log;
use crate::Error;
use parking_lot::MutexGuard;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Thread;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use types::Timestamp;

/// The part of a sync's time that others are waited for.
const COMPANY_PART: u32 = 2;
/// The longest that others are waited for.
const COMPANY_WAIT_MAX: Duration = Duration::from_micros(500);
/// Less is not worth going to sleep.
const COMPANY_WAIT_MIN: Duration = Duration::from_micros(20);
/// A group of so many is worth a sync of its own: while the disk has it, the others work, and the two groups take turns.
const GROUP_ENOUGH: usize = 16;
/// After a wait in vain so many syncs go without one.
const VAIN_PAUSE: u32 = 32;

/// Somebody who waits for a time.
#[derive(Debug)]
enum Waiter {
    Future(oneshot::Sender<()>),
    Thread(Arc<Parked>),
}

impl Waiter {
    /// Lets it go on, to see for itself how far the log is.
    fn wake(self) {
        match self {
            // Whoever does not wait any more need not be told.
            Waiter::Future(answer) => drop(answer.send(())),
            Waiter::Thread(parked) => {
                parked.is_told.store(true, Ordering::Release);
                parked.thread.unpark();
            }
        }
    }
}

/// A thread that waits.
#[derive(Debug)]
struct Parked {
    thread: Thread,
    is_told: AtomicBool,
}

impl Parked {
    fn new() -> Arc<Parked> {
        Arc::new(Parked { thread: std::thread::current(), is_told: AtomicBool::new(false) })
    }

    /// Until it is told.
    fn wait(&self) {
        while !self.is_told.load(Ordering::Acquire) {
            std::thread::park();
        }
    }
}

/// What those who wait and those who sync tell each other.
#[derive(Debug, Default)]
pub(super) struct Signal {
    pub(super) wanted: Timestamp,
    stop: bool,
    /// The thread is gone.
    ended: bool,
    /// Somebody syncs now; whoever comes meanwhile waits for the next sync.
    syncing: bool,
    /// Not to wait for company: memory fills.
    hurry: bool,
    /// By the time that they wait for; nearly in order.
    waiting: Vec<(Timestamp, Waiter)>,
    /// How many are on their way, as far as known: those that the last sync answered, and those that came during it.
    company: usize,
    /// The thread sleeps, and is to be woken when as many wait.
    wake_at: usize,
    /// Syncs that still go without waiting for company.
    vain: u32,
}

impl Log {
    /// Runs until [`Log::stop`] or the first failure. `after` is called after every sync.
    pub(crate) fn run_syncer(self: &Arc<Log>, interval: Duration, after: &dyn Fn()) -> Result<(), Error> {
        let outcome = self.sync_until_stopped(interval, after);
        self.signal.lock().ended = true;
        self.release_all();
        outcome
    }

    fn sync_until_stopped(&self, interval: Duration, after: &dyn Fn()) -> Result<(), Error> {
        let mut took = Duration::ZERO;
        loop {
            let stop = {
                let mut signal = self.signal.lock();
                if !signal.stop && (signal.syncing || signal.wanted <= self.durable_ts()) {
                    signal.wake_at = 1;
                    self.wake.wait_for(&mut signal, interval);
                }
                self.gather(&mut signal, took);
                signal.stop
            };
            if self.last().ts > self.durable_ts() {
                let start = Instant::now();
                self.sync_for_all()?;
                took = start.elapsed();
            }
            after();
            if stop {
                return Ok(());
            }
        }
    }

    /// Waits a moment for those who were just answered.
    fn gather(&self, signal: &mut MutexGuard<'_, Signal>, took: Duration) {
        let before = signal.waiting.len();
        let enough = signal.company.min(GROUP_ENOUGH.max(signal.company / 2));
        let wait = (took / COMPANY_PART).min(COMPANY_WAIT_MAX);
        if before == 0 || before >= enough || wait < COMPANY_WAIT_MIN {
            return;
        }
        if signal.vain > 0 {
            signal.vain -= 1;
            return;
        }
        let until = Instant::now() + wait;
        while signal.waiting.len() < enough && !signal.hurry && !signal.stop {
            signal.wake_at = enough;
            if self.wake.wait_until(signal, until).timed_out() {
                break;
            }
        }
        if signal.waiting.len() == before {
            signal.vain = VAIN_PAUSE;
        }
    }

    /// Ends when everything up to `at` is synced, which is asked for.
    ///
    /// # Errors
    /// If the log is poisoned or closed, or was cut back below `at` since `epoch`.
    pub(crate) async fn durable_at(&self, at: Timestamp, epoch: u64) -> Result<(), Error> {
        let mut counted = false;
        loop {
            let answered = {
                let mut signal = self.signal.lock();
                if let Some(outcome) = self.outcome(at, epoch) {
                    return outcome;
                }
                if signal.ended {
                    return Err(Error::Closed);
                }
                let (answer, answered) = oneshot::channel();
                self.enlist(&mut signal, at, Waiter::Future(answer));
                answered
            };
            if !counted {
                counted = true;
                self.count_wait();
            }
            // Gone without an answer, with the log: looked at anew all the same.
            answered.await.ok();
            if self.reached(at, epoch) {
                return Ok(());
            }
        }
    }

    fn enlist(&self, signal: &mut Signal, at: Timestamp, waiter: Waiter) {
        signal.waiting.push((at, waiter));
        signal.wanted = signal.wanted.max(at);
        if signal.waiting.len() == signal.wake_at && !signal.syncing {
            self.wake.notify_one();
        }
    }

    /// Whether a time is on disk and was not cut away, as far as can be told without the lock that all who were just woken would
    /// otherwise queue up for. The epoch is read after the time: it rises after a cut has lowered that.
    fn reached(&self, at: Timestamp, epoch: u64) -> bool {
        self.durable_ts() >= at && self.epoch() == epoch
    }

    /// Whether a wait is over, and how.
    fn outcome(&self, at: Timestamp, epoch: u64) -> Option<Result<(), Error>> {
        if self.epoch() != epoch && self.cut_since(epoch) < at {
            return Some(Err(Error::RolledBack { to: self.cut_since(epoch) }));
        }
        if self.durable_ts() >= at {
            return Some(Ok(()));
        }
        let failed = self.durable.borrow().failed.clone();
        failed.map(|reason| Err(Error::poisoned(&reason)))
    }

    /// Waits until everything up to `at` is synced, on this thread.
    ///
    /// # Errors
    /// As [`Log::durable_at`].
    pub(crate) fn wait_durable(&self, at: Timestamp, epoch: u64) -> Result<(), Error> {
        let mut counted = false;
        loop {
            let mut signal = self.signal.lock();
            if let Some(outcome) = self.outcome(at, epoch) {
                return outcome;
            }
            if !counted {
                counted = true;
                self.count_wait();
            }
            // The thread that syncs for many may be gone, too.
            if signal.ended || !signal.syncing && signal.waiting.is_empty() && signal.company <= 1 {
                drop(signal);
                self.sync_for_all()?;
                continue;
            }
            let parked = Parked::new();
            self.enlist(&mut signal, at, Waiter::Thread(parked.clone()));
            drop(signal);
            parked.wait();
            if self.reached(at, epoch) {
                return Ok(());
            }
        }
    }

    /// Syncs, or waits for whoever does; then lets the thread go on if more came meanwhile.
    fn sync_for_all(&self) -> Result<(), Error> {
        let mut signal = self.signal.lock();
        if signal.syncing {
            self.synced.wait(&mut signal);
            return Ok(());
        }
        signal.syncing = true;
        signal.hurry = false;
        drop(signal);
        let outcome = self.sync();
        let mut signal = self.signal.lock();
        signal.syncing = false;
        let durable = self.durable_ts();
        signal.company = signal.waiting.len();
        let answered: Vec<_> = signal.waiting.extract_if(.., |(at, _)| *at <= durable).collect();
        let more = signal.wanted > durable;
        drop(signal);
        self.synced.notify_all();
        answered.into_iter().for_each(|(_, waiter)| waiter.wake());
        if more {
            self.wake.notify_one();
        }
        outcome
    }

    /// Lets everybody who waits look anew: the log failed, or was cut back.
    pub(super) fn release_all(&self) {
        let waiting = std::mem::take(&mut self.signal.lock().waiting);
        self.synced.notify_all();
        waiting.into_iter().for_each(|(_, waiter)| waiter.wake());
    }

    /// Asks the thread to sync up to a time now.
    pub(crate) fn hurry(&self, at: Timestamp) {
        let mut signal = self.signal.lock();
        if at > signal.wanted || !signal.hurry {
            signal.wanted = signal.wanted.max(at);
            signal.hurry = true;
            self.wake.notify_one();
        }
    }

    /// Lets the syncer sync once more and end.
    pub(crate) fn stop(&self) {
        self.signal.lock().stop = true;
        self.wake.notify_all();
    }
}
