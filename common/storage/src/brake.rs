//! What holds writers back: memory for recent versions is a bound. From most of it on a commit waits a little, the longer the fuller
//! memory is and the more it brings; what does not fit waits until there is room, one after the other. What is let in counts until
//! it is in memory, so many at once do not pass the bound together.
//! Waiting ends while the checkpointer takes something away; where nothing leaves memory, with an error that says so.

use crate::Error;
use crate::store::Shared;
use crate::versions::Value;
use crate::versions::entry_cost;
use bytes::Bytes;
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use types::Timestamp;

/// Writers are slowed from this share of the memory budget on, in percent; a checkpoint starts at half of it.
pub(crate) const SLOW_PERCENT: usize = 80;
pub(crate) const URGENT_PERCENT: usize = 50;
/// Versions are spilled when a checkpoint left more than this. Below it something is let in alone, however large it is.
pub(crate) const SPILL_PERCENT: usize = 65;
/// The longest that a commit of this size is held back while it would fit; larger ones in proportion, up to so many times.
const SLOW_MAX: Duration = Duration::from_millis(40);
const SLOW_BYTES: usize = 64 * 1024;
const SLOW_TIMES_MAX: f64 = 6.0;
/// Whoever waits looks again this often, beside when it is told.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Nothing has left memory for so long: it is not to be expected any more.
const STUCK_AFTER: Duration = Duration::from_secs(if cfg!(test) { 6 } else { 30 });

/// What writes will take in memory.
pub(crate) fn cost<'a>(writes: impl IntoIterator<Item = (&'a Bytes, &'a Value)>) -> usize {
    writes.into_iter().map(|(key, value)| entry_cost(key, value)).sum()
}

/// Who waits, and what is on its way into memory.
#[derive(Debug, Default)]
pub(crate) struct Brake {
    /// Of those who were let in and are not done.
    coming: AtomicUsize,
    /// Tickets of those who do not fit, in the order they came.
    line: Mutex<Line>,
    /// How many stand there.
    waiting: AtomicUsize,
    /// Told after every round: memory was freed.
    freed: Condvar,
    rounds: AtomicU64,
    throttled: AtomicU64,
    throttled_micros: AtomicU64,
}

#[derive(Debug, Default)]
struct Line {
    next: u64,
    tickets: VecDeque<u64>,
}

/// Lets what was let in go again: it is in memory now, or will not come.
#[must_use]
pub(crate) struct Admitted<'a> {
    brake: &'a Brake,
    bytes: usize,
}

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        self.brake.coming.fetch_sub(self.bytes, Ordering::AcqRel);
        if self.brake.is_used() {
            self.brake.freed.notify_all();
        }
    }
}

/// A place in the line.
struct Place<'a> {
    brake: &'a Brake,
    ticket: u64,
}

impl Place<'_> {
    fn take(brake: &Brake) -> Place<'_> {
        let mut line = brake.line.lock();
        let ticket = line.next;
        line.next += 1;
        line.tickets.push_back(ticket);
        brake.waiting.fetch_add(1, Ordering::AcqRel);
        Place { brake, ticket }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.brake.line.lock().tickets.retain(|ticket| *ticket != self.ticket);
        self.brake.waiting.fetch_sub(1, Ordering::AcqRel);
        self.brake.freed.notify_all();
    }
}

impl Brake {
    /// Whether somebody stands in line: memory is at its bound.
    pub(crate) fn is_used(&self) -> bool {
        self.waiting.load(Ordering::Acquire) > 0
    }

    /// Something left memory.
    pub(crate) fn freed(&self) {
        self.rounds.fetch_add(1, Ordering::AcqRel);
        self.freed.notify_all();
    }

    /// Commits that were held back, and for how many microseconds altogether.
    pub(crate) fn stats(&self) -> (u64, u64) {
        (self.throttled.load(Ordering::Relaxed), self.throttled_micros.load(Ordering::Relaxed))
    }
}

impl Shared {
    /// Whether so many bytes are let in without a wait.
    pub(crate) fn has_room_for(&self, bytes: usize) -> bool {
        let used = self.versions.bytes() + self.brake.coming.load(Ordering::Acquire) + bytes;
        !self.brake.is_used() && used <= self.options.versions_bytes_max / 100 * SLOW_PERCENT
    }

    /// Before a commit that brings so many bytes: starts a checkpoint when memory fills, holds the writer back the more the fuller it
    /// is, and until there is room where there is none. With the time of a snapshot that the commit rests on.
    ///
    /// # Errors
    /// If the base cannot take anything, so that waiting would not help. [`Error::WriteConflict`] if the snapshot is of no use any more.
    pub(crate) fn throttle(&self, bytes: usize, snapshot: Option<Timestamp>) -> Result<Admitted<'_>, Error> {
        let brake = &self.brake;
        let max = self.options.versions_bytes_max.max(1);
        let coming = brake.coming.fetch_add(bytes, Ordering::AcqRel) + bytes;
        let admitted = Admitted { brake, bytes };
        let used = self.versions.bytes() + coming;
        if used <= max / 100 * URGENT_PERCENT && !brake.is_used() {
            return Ok(admitted);
        }
        self.checkpointer.nudge();
        if used <= max / 100 * SLOW_PERCENT && !brake.is_used() {
            return Ok(admitted);
        }
        // What waits is not on its way.
        drop(admitted);
        brake.throttled.fetch_add(1, Ordering::Relaxed);
        let start = Instant::now();
        self.slow(bytes, start);
        let admitted = self.stand_in_line(bytes, snapshot);
        brake.throttled_micros.fetch_add(start.elapsed().as_micros() as u64, Ordering::Relaxed);
        admitted
    }

    /// Waits in proportion, or until memory is well below its bound.
    fn slow(&self, bytes: usize, start: Instant) {
        let max = self.options.versions_bytes_max.max(1);
        let slow = max / 100 * SLOW_PERCENT;
        let used = self.versions.bytes() + bytes.min(max - slow);
        if used <= slow {
            return;
        }
        let over = ((used - slow) as f64 / (max - slow).max(1) as f64).min(1.0);
        let times = (bytes as f64 / SLOW_BYTES as f64).clamp(1.0, SLOW_TIMES_MAX);
        let until = start + SLOW_MAX.mul_f64(over * over * times);
        // Others that are let in wake it as well: only what left memory counts.
        let rounds = self.brake.rounds.load(Ordering::Acquire);
        let mut line = self.brake.line.lock();
        while self.versions.bytes() > slow && !self.brake.freed.wait_until(&mut line, until).timed_out() {
            if bytes <= SLOW_BYTES && self.brake.rounds.load(Ordering::Acquire) != rounds {
                return;
            }
        }
    }

    /// Waits until what came before is in and this fits.
    fn stand_in_line(&self, bytes: usize, snapshot: Option<Timestamp>) -> Result<Admitted<'_>, Error> {
        let brake = &self.brake;
        if !brake.is_used()
            && let Some(admitted) = self.admit(bytes)
        {
            return Ok(admitted);
        }
        let place = Place::take(brake);
        let (mut rounds, mut last) = (brake.rounds.load(Ordering::Acquire), Instant::now());
        let mut line = brake.line.lock();
        loop {
            let is_next = line.tickets.front() == Some(&place.ticket);
            drop(line);
            if is_next && let Some(admitted) = self.admit(bytes) {
                return Ok(admitted);
            }
            self.check_open()?;
            // It gives way to what it would not see anyway.
            if snapshot.is_some_and(|at| at < self.spill.newest_time()) {
                return Err(Error::WriteConflict);
            }
            if let Some(failure) = self.checkpointer.failure() {
                return Err(Error::poisoned(&failure));
            }
            let now = brake.rounds.load(Ordering::Acquire);
            if now != rounds {
                (rounds, last) = (now, Instant::now());
            } else if last.elapsed() > STUCK_AFTER {
                return Err(self.stuck());
            }
            self.checkpointer.nudge();
            line = brake.line.lock();
            brake.freed.wait_for(&mut line, LOOK_EVERY);
        }
    }

    /// Lets so many bytes in if there is room for them, or nothing else on its way.
    fn admit(&self, bytes: usize) -> Option<Admitted<'_>> {
        let max = self.options.versions_bytes_max;
        // Before it is looked: those who do not stand in line come and go meanwhile.
        let coming = self.brake.coming.fetch_add(bytes, Ordering::AcqRel);
        let held = self.versions.bytes();
        if held + coming + bytes <= max || (coming == 0 && held <= max / 100 * SPILL_PERCENT) {
            return Some(Admitted { brake: &self.brake, bytes });
        }
        self.brake.coming.fetch_sub(bytes, Ordering::AcqRel);
        None
    }

    fn stuck(&self) -> Error {
        let reason = format!(
            "for {} s nothing could be moved to the disk below {}; see whether it hangs, then write again, or give --versionsMB more",
            STUCK_AFTER.as_secs(),
            self.options.dir.display()
        );
        Error::MemoryFull { reason }
    }
}
