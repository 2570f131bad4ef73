//! Moves versions to the base: those no newer than the stable time, in small rounds, index entries before records, then a sync,
//! then the checkpoint time, then old log segments go. Nothing newer than what a majority has, and is synced, reaches the base.
//! A version leaves memory only after the base has it.

use crate::Error;
use crate::base::Write;
use crate::brake::{SLOW_PERCENT, SPILL_PERCENT, URGENT_PERCENT};
use crate::error::Failure;
use crate::fail;
use crate::keyspace;
use crate::options::EngineKind;
use crate::snapshot::join_base;
use crate::store::Shared;
use crate::versions::Visible;
use bson::RawBson;
use bytes::Bytes;
use parking_lot::{Condvar, Mutex};
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use types::Timestamp;

/// A round: larger ones stall writers.
const ROUND_BYTES: usize = 2 * 1024 * 1024;
/// While the base has to clean up.
const ROUND_BYTES_SLOW: usize = 64 * 1024;
const ROUND_KEYS: usize = 1024;
/// By interval, but after a quarter of it already when more than this part of the budget is used: it need not stay for a minute.
const EARLY_PART: usize = 8;
/// What a base may take on its disk, however little it holds.
const BASE_BYTES_FREE: u64 = 64 * 1024 * 1024;
/// Rounds wait so long for a base that cleans up behind its writer, from when its files are too large up to when they are by half
/// of what it holds more.
const CLEAN_WAIT_MIN: Duration = Duration::from_millis(20);
const CLEAN_WAIT_MAX: Duration = Duration::from_secs(2);
/// Of it after one small round: what writers wait for at most before more memory is freed.
const CLEAN_WAIT_ROUND: Duration = Duration::from_millis(50);
/// More is not remembered.
const CLEAN_OWED_MAX: Duration = Duration::from_secs(4);
/// Rounds that remove what was dropped, while nothing else is to be done.
const PURGE_EVERY: Duration = Duration::from_millis(20);
/// A failed base is tried again after this long.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Control facts of this crate.
pub(crate) const CHECKPOINT: &str = "storage.checkpoint";
/// What the base may hold when a checkpoint was not completed: nothing newer.
pub(crate) const CHECKPOINTING: &str = "storage.checkpointing";
pub(crate) const SYNCED: &str = "storage.synced";

#[derive(Debug, Default)]
struct Wish {
    stop: bool,
    urgent: bool,
}

/// Figures.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct CheckpointStats {
    pub at: Timestamp,
    pub count: u64,
    pub millis: u64,
    /// Those because memory filled.
    pub urgent: u64,
    /// Snapshots that were let go because memory ran out.
    pub expired: u64,
}

/// State of the checkpoint thread.
#[derive(Debug, Default)]
pub(crate) struct Checkpointer {
    wish: Mutex<Wish>,
    wake: Condvar,
    /// One pass at a time.
    pub(crate) pass: Mutex<()>,
    at: AtomicU64,
    count: AtomicU64,
    millis: AtomicU64,
    urgent: AtomicU64,
    expired: AtomicU64,
    /// The thread's own checkpoints wait for a base that has to clean up; those that somebody waits for do not.
    unhurried: AtomicBool,
    /// What a base that has to clean up is still to be given.
    owed_micros: AtomicU64,
    /// The size of the base after the last round, where that matters.
    base_bytes: AtomicU64,
    /// Why the last checkpoint failed, until one succeeds.
    failure: Mutex<Option<Failure>>,
}

impl Checkpointer {
    pub(crate) fn new(at: Timestamp) -> Checkpointer {
        Checkpointer { at: AtomicU64::new(at.0), ..Checkpointer::default() }
    }

    pub(crate) fn stop(&self) {
        self.wish.lock().stop = true;
        self.wake.notify_all();
    }

    /// Memory fills: a checkpoint is due, and none may dawdle.
    pub(crate) fn nudge(&self) {
        self.wish.lock().urgent = true;
        self.wake.notify_all();
    }

    /// Why nothing left memory the last time.
    pub(crate) fn failure(&self) -> Option<Failure> {
        self.failure.lock().clone()
    }

    /// After everything was removed.
    pub(crate) fn restart(&self) {
        self.at.store(0, Ordering::Release);
    }

    /// The time of the last complete checkpoint.
    pub(crate) fn at(&self) -> Timestamp {
        Timestamp(self.at.load(Ordering::Acquire))
    }

    pub(crate) fn stats(&self) -> CheckpointStats {
        CheckpointStats {
            at: self.at(),
            count: self.count.load(Ordering::Relaxed),
            millis: self.millis.load(Ordering::Relaxed),
            urgent: self.urgent.load(Ordering::Relaxed),
            expired: self.expired.load(Ordering::Relaxed),
        }
    }
}

impl Shared {
    /// The thread: by interval, and at once when memory fills.
    pub(crate) fn run_checkpointer(&self) {
        let mut last = Instant::now();
        loop {
            let urgent = {
                let mut wish = self.checkpointer.wish.lock();
                if !wish.stop && !wish.urgent {
                    let purge = if self.purge.is_due() { PURGE_EVERY } else { Duration::MAX };
                    let time = purge.min(self.options.checkpoint_interval / 4);
                    self.checkpointer.wake.wait_for(&mut wish, time);
                }
                if wish.stop {
                    return;
                }
                std::mem::take(&mut wish.urgent)
            };
            let much = self.versions.bytes() > self.options.versions_bytes_max / EARLY_PART;
            let early = much && last.elapsed() >= self.options.checkpoint_interval / 4;
            if !urgent && !early && last.elapsed() < self.options.checkpoint_interval {
                if self.purge.is_due()
                    && let Err(error) = self.purge_next()
                {
                    tracing::error!(%error, "what was dropped could not be removed");
                    self.pause(RETRY_AFTER);
                }
                continue;
            }
            last = Instant::now();
            if urgent && (self.pressed(SLOW_PERCENT) || self.brake.is_used()) {
                let expired = self.pins.expire(self.options.snapshot_age_max);
                if expired > 0 {
                    self.checkpointer.expired.fetch_add(expired as u64, Ordering::Relaxed);
                    tracing::warn!(expired, "old snapshots were let go because memory ran out");
                }
            }
            let before = self.checkpointer.at();
            self.checkpointer.unhurried.store(true, Ordering::Release);
            if urgent {
                self.checkpointer.urgent.fetch_add(1, Ordering::Relaxed);
            }
            let done = self.checkpoint_pass(urgent).and_then(|()| {
                let moved = self.checkpointer.at() != before;
                self.relieve(moved, urgent)
            });
            if let Err(error) = done {
                tracing::error!(%error, "checkpoint failed");
                *self.checkpointer.failure.lock() = Some(Failure::of(&error));
                self.pause(RETRY_AFTER);
            }
        }
    }

    /// After an urgent checkpoint that did not free enough, for the majority or a snapshot holds the stable time back.
    fn relieve(&self, moved: bool, urgent: bool) -> Result<(), Error> {
        if !urgent {
            return Ok(());
        }
        if self.pressed(SPILL_PERCENT) {
            let mut bytes = self.spill(URGENT_PERCENT)?;
            if self.pressed(SLOW_PERCENT) || (self.pressed(SPILL_PERCENT) && self.brake.is_used()) {
                bytes += self.spill_past_readers(URGENT_PERCENT)?;
            }
            tracing::debug!(bytes, "spilled");
            if bytes > 0 {
                *self.checkpointer.failure.lock() = None;
                self.brake.freed();
                return Ok(());
            }
            // Only what is synced may go.
            self.log.hurry(self.pins.committed());
        }
        if !moved {
            // The same again at once would spin.
            self.pause(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Where somebody reads at an old time, and holds back with it what was written since: it goes to the spill space as well, which
    /// keeps every version. Batches that rest on older snapshots have to be prepared again.
    fn spill_past_readers(&self, percent: usize) -> Result<usize, Error> {
        let goal = self.options.versions_bytes_max / 100 * percent;
        let _pass = self.checkpointer.pass.lock();
        self.check_last_room()?;
        let at = {
            // Who is in the commit section has looked for conflicts in memory.
            let _section = self.commit.lock();
            let at = self.pins.committed().min(self.log.durable_ts());
            self.spill.claim(at);
            at
        };
        self.spill.fill(&self.versions, at, &|| self.versions.bytes() <= goal)
    }

    /// Lets time go by, unless somebody waits for the checkpoint or the store stops.
    fn wait(&self, time: Duration) {
        let until = Instant::now() + time;
        let mut wish = self.checkpointer.wish.lock();
        while !wish.stop && self.checkpointer.unhurried.load(Ordering::Acquire) {
            if self.checkpointer.wake.wait_until(&mut wish, until).timed_out() {
                break;
            }
        }
    }

    /// Lets time go by, whatever memory wants.
    fn pause(&self, time: Duration) {
        let until = Instant::now() + time;
        let mut wish = self.checkpointer.wish.lock();
        while !wish.stop && !self.checkpointer.wake.wait_until(&mut wish, until).timed_out() {}
    }

    /// How far the floor may rise: what is synced and what a majority has; without need, not into the history window.
    fn stable(&self, urgent: bool) -> Timestamp {
        let mut stable = self.log.durable_ts();
        if let Some(majority) = &self.options.majority_point {
            stable = stable.min(majority());
        }
        if !urgent {
            let back = self.options.history_window.as_secs();
            if back > 0 {
                // By the wall as well: after the last commit nothing else moves the window on. Commits may be ahead of it.
                let wall = self.options.clock.wall_millis().max(0) as u64 / 1000;
                let newest = self.pins.committed().0.max(wall << 32);
                stable = stable.min(Timestamp(newest.saturating_sub(back << 32)));
            }
        }
        stable
    }

    pub(crate) fn pressed(&self, percent: usize) -> bool {
        self.versions.bytes() > self.options.versions_bytes_max / 100 * percent
    }

    /// After every sync of the log: what is stable now lets superseded versions go.
    pub(crate) fn after_sync(&self) {
        self.pins.raise_floor(self.stable(self.pressed(URGENT_PERCENT)));
    }

    /// One checkpoint that the caller waits for. With `urgent` it takes everything that is stable, history window or not.
    pub(crate) fn checkpoint(&self, urgent: bool) -> Result<(), Error> {
        // Also one that runs already.
        self.checkpointer.unhurried.store(false, Ordering::Release);
        self.checkpointer.wake.notify_all();
        self.checkpoint_pass(urgent)
    }

    fn checkpoint_pass(&self, urgent: bool) -> Result<(), Error> {
        let _pass = self.checkpointer.pass.lock();
        let start = Instant::now();
        let Some(at) = self.pins.begin_checkpoint(self.stable(urgent), self.checkpointer.at()) else {
            return Ok(());
        };
        let done = self.control.put(CHECKPOINTING, time(at)).and_then(|()| self.write_base(at));
        self.pins.end_checkpoint();
        done?;
        let synced = self.log.durable_ts();
        fail::point("control-written");
        self.control.put_all([(CHECKPOINT, time(at)), (SYNCED, time(synced))])?;
        fail::point("checkpoint-noted");
        *self.checkpointer.failure.lock() = None;
        self.checkpointer.at.store(at.0, Ordering::Release);
        self.checkpointer.count.fetch_add(1, Ordering::Relaxed);
        self.checkpointer.millis.store(start.elapsed().as_millis() as u64, Ordering::Relaxed);
        tracing::debug!(%at, millis = start.elapsed().as_millis() as u64, "checkpoint");
        self.purge_dropped()?;
        match self.options.engine {
            EngineKind::Sled | EngineKind::Fjall => {
                let kept = self.options.oplog_min_retention.as_secs();
                let kept = if kept == 0 {
                    Timestamp::MAX
                } else {
                    Timestamp(self.pins.committed().0.saturating_sub(kept << 32))
                };
                self.log.truncate(self.options.oplog_bytes_max, at, kept)
            }
            // The log is all that outlives the process.
            EngineKind::Memory => Ok(()),
        }
    }

    fn write_base(&self, at: Timestamp) -> Result<(), Error> {
        fail::point("checkpoint-begun");
        let records = Bytes::from_static(keyspace::RECORDS_START);
        self.move_range(&[], &records, at)?;
        // Entries must not come after their record, whatever the engine keeps of what it was given.
        self.base.flush()?;
        fail::point("entries-flushed");
        self.move_range(&records, &[u8::MAX], at)?;
        self.base.flush()?;
        fail::point("records-flushed");
        let counts = self.counts.fold(at);
        let mut writes: Vec<Write> = counts
            .iter()
            .map(|(ident, count)| {
                let key = Bytes::from(keyspace::count(*ident));
                let value = Some(join_base(&key, at, &count.to_bytes()));
                Write { key, value }
            })
            .collect();
        // The last thing: a base without it has lost something that was written before.
        writes.push(Write {
            key: Bytes::from_static(keyspace::COMPLETE_KEY),
            value: Some(join_base(keyspace::COMPLETE_KEY, at, &[])),
        });
        self.base.write(&writes)?;
        self.base.flush()?;
        fail::point("counts-flushed");
        self.counts.folded(&counts);
        self.spill.settled(at)?;
        Ok(())
    }

    /// Moves one stretch of the key space, in rounds.
    fn move_range(&self, start: &[u8], end: &[u8], at: Timestamp) -> Result<(), Error> {
        self.spill.settle(start, end, at)?;
        let mut from = Bound::Included(Bytes::copy_from_slice(start));
        let mut round: Vec<Visible> = Vec::new();
        let mut bytes = 0;
        loop {
            let mut found = Vec::new();
            let place = from.as_ref().map(|key| key.as_ref());
            self.versions.collect_forward(place, end, at, ROUND_KEYS, &mut found);
            let last = found.last().map(|visible| visible.key.clone());
            for visible in found {
                bytes += visible.key.len() + visible.value.as_ref().map_or(0, Bytes::len);
                round.push(visible);
                let is_slow = self.checkpointer.owed_micros.load(Ordering::Acquire) > 0;
                if bytes >= if is_slow { ROUND_BYTES_SLOW } else { ROUND_BYTES } {
                    self.move_round(&mut round)?;
                    bytes = 0;
                }
            }
            match last {
                Some(last) => from = Bound::Excluded(last),
                None => return self.move_round(&mut round),
            }
        }
    }

    fn move_round(&self, round: &mut Vec<Visible>) -> Result<(), Error> {
        self.check_last_room()?;
        let writes: Vec<Write> = round
            .iter()
            .map(|visible| Write {
                key: visible.key.clone(),
                value: visible.value.as_ref().map(|value| join_base(&visible.key, visible.time, value)),
            })
            .collect();
        self.base.write(&writes)?;
        // Only up to what was written: an index build may have added an entry meanwhile.
        self.versions.evict(round.iter().map(|visible| (visible.key.as_ref(), visible.time)));
        round.clear();
        self.brake.freed();
        if let Some(beyond) = self.base.cleans_beyond() {
            self.let_clean(beyond);
        }
        Ok(())
    }

    /// Gives a base time to clean up whose files grew although they are too large for what they hold: the more, the larger they are.
    /// What it owes is waited for a little after each round, and rounds are small meanwhile: memory is freed slowly then, but
    /// all the time, so writers are slowed and none of them stands still.
    fn let_clean(&self, beyond: f64) {
        let size = self.base.size();
        // Since the round before: an engine writes behind its writer.
        let before = self.checkpointer.base_bytes.swap(size, Ordering::AcqRel);
        let held = self.counts.total_bytes().max(1);
        let over = 2.0 * (size as f64 / held as f64 - beyond);
        if over <= 0.0 || !self.checkpointer.unhurried.load(Ordering::Acquire) {
            self.checkpointer.owed_micros.store(0, Ordering::Release);
            return;
        }
        let grown = if before == 0 { 0 } else { size.saturating_sub(before.max(BASE_BYTES_FREE)) };
        let each = CLEAN_WAIT_MIN + CLEAN_WAIT_MAX.mul_f64((over * over).min(1.0));
        let more = each.mul_f64(grown as f64 / ROUND_BYTES as f64).min(CLEAN_OWED_MAX);
        let owed = Duration::from_micros(self.checkpointer.owed_micros.load(Ordering::Acquire)) + more;
        let now = owed.min(CLEAN_WAIT_ROUND);
        let later = (owed.min(CLEAN_OWED_MAX) - now).as_micros() as u64;
        self.checkpointer.owed_micros.store(later, Ordering::Release);
        if !now.is_zero() {
            self.wait(now);
        }
    }

    /// Remembers how far the log is on disk, so that a log that ends earlier is known to be damaged.
    pub(crate) fn note_synced(&self) -> Result<(), Error> {
        self.control.put(SYNCED, time(self.log.durable_ts()))
    }
}

pub(crate) fn time(at: Timestamp) -> RawBson {
    RawBson::Timestamp(at.into())
}
