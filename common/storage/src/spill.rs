//! Versions that memory has no room for while the stable time cannot advance: they go to a key space of their own in the base,
//! by key and descending time, and are read from there. A checkpoint moves them on as soon as the stable time allows.
//! Of one key, what is in memory is newer than what is here: a checkpoint writes this space first, and memory's part over it.
//! Whoever reads takes the newer of what memory and this space have; a version leaves memory only after it is here, and leaves
//! here only after the base proper has it. After a crash all of it is removed: the log has it still.

use crate::Error;
use crate::base::{BaseIter, Bounds, Engine, Write};
use crate::fail;
use crate::keyspace;
use crate::scan::Direction;
use crate::snapshot::{join_base, split_base};
use crate::store::Shared;
use crate::versions::{Value, Versions, Visible};
use bytes::Bytes;
use parking_lot::Mutex;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use types::Timestamp;

/// A round: larger ones stall writers.
const ROUND_BYTES: usize = 1024 * 1024;
const ROUND_KEYS: usize = 4096;
const TOMBSTONE: u8 = 0;
const VALUE: u8 = 1;
/// Ends the key within a spilled key; a zero byte inside is followed by 0xff.
const END: [u8; 2] = [0, 1];
const AFTER: [u8; 2] = [0, 2];

/// Figures.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SpillStats {
    pub keys: u64,
    pub bytes: u64,
    pub total_bytes: u64,
}

/// The space and what is known about it.
pub(crate) struct Spill {
    base: Arc<dyn Engine>,
    active: AtomicBool,
    /// Nothing in it is older.
    oldest: AtomicU64,
    /// Nothing in it is newer.
    newest: AtomicU64,
    /// Where the next pass goes on.
    cursor: Mutex<Bytes>,
    keys: AtomicU64,
    bytes: AtomicU64,
    total_bytes: AtomicU64,
}

impl Spill {
    /// Starts empty: removes what a run before left.
    pub(crate) fn open(base: Arc<dyn Engine>) -> Result<Spill, Error> {
        let spill = Spill {
            base,
            active: AtomicBool::new(false),
            oldest: AtomicU64::new(u64::MAX),
            newest: AtomicU64::new(0),
            cursor: Mutex::new(Bytes::new()),
            keys: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            total_bytes: AtomicU64::new(0),
        };
        spill.sweep(&|_| true)?;
        Ok(spill)
    }

    /// Whether anything may be in it. Asked after memory was looked at.
    pub(crate) fn active(&self) -> bool {
        self.active.load(Ordering::SeqCst)
    }

    /// The time of the newest version in it: memory alone does not know what was written up to there.
    pub(crate) fn newest_time(&self) -> Timestamp {
        Timestamp(self.newest.load(Ordering::SeqCst))
    }

    pub(crate) fn stats(&self) -> SpillStats {
        SpillStats {
            keys: self.keys.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            total_bytes: self.total_bytes.load(Ordering::Relaxed),
        }
    }

    /// In the commit section: versions up to there are about to leave memory, whoever reads. Batches that rest on an older snapshot
    /// are told by [`Spill::newest_time`].
    pub(crate) fn claim(&self, at: Timestamp) {
        self.newest.fetch_max(at.0, Ordering::SeqCst);
    }

    /// The newest spilled version of a key no newer than `at`.
    pub(crate) fn get(&self, key: &[u8], at: Timestamp) -> Result<Option<(Timestamp, Value)>, Error> {
        if !self.active() {
            return Ok(None);
        }
        let bounds = (Bound::Included(place(key, at)), Bound::Excluded(edge(key, AFTER)));
        match self.base.range(bounds, Direction::Forward).next() {
            Some(pair) => {
                let (key, stored) = pair?;
                let (time, value) = parse_value(&key, &stored)?;
                Ok(Some((time, value)))
            }
            None => Ok(None),
        }
    }

    /// The newest version no newer than `at` in memory and here.
    pub(crate) fn newest_of(
        &self,
        versions: &Versions,
        key: &[u8],
        at: Timestamp,
    ) -> Result<Option<(Timestamp, Value)>, Error> {
        let recent = versions.get(key, at);
        if !self.active() {
            return Ok(recent);
        }
        let spilled = self.get(key, at)?;
        Ok(match (recent, spilled) {
            (Some(recent), Some(spilled)) => Some(if spilled.0 > recent.0 { spilled } else { recent }),
            (recent, spilled) => recent.or(spilled),
        })
    }

    /// The keys of a range with their newest spilled version no newer than `at`; `None` if nothing is spilled.
    pub(crate) fn range(&self, bounds: &Bounds, at: Timestamp, direction: Direction) -> Option<SpillScan> {
        if !self.active() {
            return None;
        }
        let start = match &bounds.0 {
            Bound::Included(key) => edge(key, END),
            Bound::Excluded(key) => edge(key, AFTER),
            Bound::Unbounded => Bytes::from_static(&[keyspace::SPILL]),
        };
        let end = match &bounds.1 {
            Bound::Included(key) => edge(key, AFTER),
            Bound::Excluded(key) => edge(key, END),
            Bound::Unbounded => Bytes::from_static(&[keyspace::SPILL + 1]),
        };
        if start >= end {
            return None;
        }
        let inner = self.base.range((Bound::Included(start), Bound::Excluded(end)), direction);
        Some(SpillScan { inner, at, direction, pending: None, last: None })
    }

    /// Moves versions no newer than `at` out of memory until `enough` says so. Returns bytes that left memory.
    pub(crate) fn fill(
        &self,
        versions: &Versions,
        at: Timestamp,
        enough: &dyn Fn() -> bool,
    ) -> Result<usize, Error> {
        let before = versions.bytes();
        let mut wrapped = false;
        let mut from = self.cursor.lock().clone();
        while !enough() {
            let mut round = Vec::new();
            let next = versions.collect_old(&from, at, ROUND_KEYS, ROUND_BYTES, &mut round);
            self.write_round(versions, &round)?;
            match next {
                Some(next) => from = next,
                None if wrapped => break,
                None => (from, wrapped) = (Bytes::new(), true),
            }
        }
        *self.cursor.lock() = from;
        Ok(before.saturating_sub(versions.bytes()))
    }

    fn write_round(&self, versions: &Versions, round: &[Visible]) -> Result<(), Error> {
        self.put(round)?;
        // Oldest first, for the same reason as in `settle_key`.
        for visible in round.iter().rev() {
            versions.remove_one(&visible.key, visible.time);
        }
        Ok(())
    }

    /// Takes versions.
    pub(crate) fn put(&self, round: &[Visible]) -> Result<(), Error> {
        let (Some(oldest), Some(newest)) =
            (round.iter().map(|visible| visible.time).min(), round.iter().map(|visible| visible.time).max())
        else {
            return Ok(());
        };
        // Before anything leaves memory: whoever misses it there looks here.
        self.oldest.fetch_min(oldest.0, Ordering::SeqCst);
        self.newest.fetch_max(newest.0, Ordering::SeqCst);
        self.active.store(true, Ordering::SeqCst);
        let writes: Vec<Write> = round
            .iter()
            .map(|visible| {
                let key = place(&visible.key, visible.time);
                let value = Some(stored(&key, visible.time, &visible.value));
                Write { key, value }
            })
            .collect();
        let bytes: usize = writes.iter().map(size).sum();
        self.base.write(&writes)?;
        fail::point("spilled");
        self.keys.fetch_add(writes.len() as u64, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.total_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Whether there is a version of a key newer than `at`.
    pub(crate) fn has_newer(&self, key: &[u8], at: Timestamp) -> Result<bool, Error> {
        Ok(self.newest_time() > at && self.get(key, Timestamp::MAX)?.is_some_and(|(time, _)| time > at))
    }

    /// Moves the newest version no newer than `at` of each key in `[start, end)` to its place in the base. Before memory's part
    /// of the same stretch is moved, which may be newer.
    pub(crate) fn settle(&self, start: &[u8], end: &[u8], at: Timestamp) -> Result<(), Error> {
        if !self.active() || self.oldest.load(Ordering::SeqCst) > at.0 {
            return Ok(());
        }
        let bounds = (Bound::Included(edge(start, END)), Bound::Excluded(edge(end, END)));
        let mut round = Round::default();
        let mut bytes = 0;
        let mut moving: Option<Moving> = None;
        for pair in self.base.range(bounds, Direction::Forward) {
            let (spilled, value) = pair?;
            let (key, time) = parse_key(&spilled)?;
            if time > at {
                continue;
            }
            bytes += spilled.len() + value.len();
            match &mut moving {
                Some(moving) if moving.key == key => moving.spilled.push((spilled, value.len())),
                _ => {
                    if let Some(done) = moving.take() {
                        self.settle_key(done, &mut round);
                        if bytes >= ROUND_BYTES {
                            self.write_settled(&mut round)?;
                            bytes = 0;
                        }
                    }
                    // The first one no newer than `at` is the newest.
                    let (time, newest) = parse_value(&spilled, &value)?;
                    let newest = newest.map(|value| join_base(&key, time, &value));
                    moving = Some(Moving { key, newest, spilled: vec![(spilled, value.len())] });
                }
            }
        }
        if let Some(done) = moving {
            self.settle_key(done, &mut round);
        }
        self.write_settled(&mut round)
    }

    /// Two writes: whoever misses a version here must find it in the base, whose cache has it only when the write is done.
    fn write_settled(&self, round: &mut Round) -> Result<(), Error> {
        self.base.write(&round.settled)?;
        self.base.write(&round.gone)?;
        round.settled.clear();
        round.gone.clear();
        Ok(())
    }

    /// The base first, then out of here the oldest first: a reader finds the newest one here, or none and goes to the base.
    fn settle_key(&self, Moving { key, newest, spilled }: Moving, round: &mut Round) {
        round.settled.push(Write { key, value: newest });
        for (spilled, value_len) in spilled.into_iter().rev() {
            self.count_removed(spilled.len() + value_len);
            round.gone.push(Write { key: spilled, value: None });
        }
    }

    /// After a checkpoint at `at`: what is left is newer.
    pub(crate) fn settled(&self, at: Timestamp) -> Result<(), Error> {
        if !self.active() {
            return Ok(());
        }
        let space = keyspace::spill_space();
        let bounds = (Bound::Included(Bytes::from(space.start)), Bound::Excluded(Bytes::from(space.end)));
        if self.base.range(bounds, Direction::Forward).next().transpose()?.is_none() {
            self.active.store(false, Ordering::SeqCst);
            self.oldest.store(u64::MAX, Ordering::SeqCst);
            self.keys.store(0, Ordering::Relaxed);
            self.bytes.store(0, Ordering::Relaxed);
        } else {
            self.oldest.fetch_max(at.0.saturating_add(1), Ordering::SeqCst);
        }
        Ok(())
    }

    /// Removes everything newer than `to`.
    pub(crate) fn roll_back(&self, to: Timestamp) -> Result<(), Error> {
        if !self.active() {
            return Ok(());
        }
        self.sweep(&|time| time > to)?;
        self.newest.fetch_min(to.0, Ordering::SeqCst);
        Ok(())
    }

    /// After everything was removed from the base.
    pub(crate) fn reset(&self) {
        self.active.store(false, Ordering::SeqCst);
        self.oldest.store(u64::MAX, Ordering::SeqCst);
        self.newest.store(0, Ordering::SeqCst);
        *self.cursor.lock() = Bytes::new();
        self.keys.store(0, Ordering::Relaxed);
        self.bytes.store(0, Ordering::Relaxed);
    }

    fn count_removed(&self, bytes: usize) {
        let bytes = bytes as u64;
        // Leftovers of a run before were never counted.
        let less = |have: u64, less: u64| Some(have.saturating_sub(less));
        self.keys.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |have| less(have, 1)).ok();
        self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |have| less(have, bytes)).ok();
    }

    fn sweep(&self, doomed: &dyn Fn(Timestamp) -> bool) -> Result<(), Error> {
        let space = keyspace::spill_space();
        let bounds = (Bound::Included(Bytes::from(space.start)), Bound::Excluded(Bytes::from(space.end)));
        let mut round = Vec::new();
        for pair in self.base.range(bounds, Direction::Forward) {
            let (key, value) = pair?;
            if doomed(parse_key(&key)?.1) {
                self.count_removed(key.len() + value.len());
                round.push(Write { key, value: None });
            }
            if round.len() >= ROUND_KEYS {
                self.base.write(&round)?;
                round.clear();
            }
        }
        self.base.write(&round)
    }
}

/// What goes to the base proper, and then leaves this space.
#[derive(Default)]
struct Round {
    settled: Vec<Write>,
    gone: Vec<Write>,
}

/// A key on its way into the base, with its spilled versions, newest first.
struct Moving {
    key: Bytes,
    newest: Option<Bytes>,
    spilled: Vec<(Bytes, usize)>,
}

impl Shared {
    /// When a checkpoint could not free enough: what no running snapshot could miss in memory goes to the spill space.
    pub(crate) fn spill(&self, percent: usize) -> Result<usize, Error> {
        self.spill_to(self.options.versions_bytes_max / 100 * percent)
    }

    /// As [`Shared::spill`], down to a number of bytes. Returns how many left memory.
    pub(crate) fn spill_to(&self, goal: usize) -> Result<usize, Error> {
        if self.versions.bytes() <= goal {
            return Ok(0);
        }
        let _pass = self.checkpointer.pass.lock();
        self.spill_in_pass(goal)
    }

    /// As [`Shared::spill_to`], of whoever keeps checkpoints away meanwhile.
    pub(crate) fn spill_in_pass(&self, goal: usize) -> Result<usize, Error> {
        self.check_last_room()?;
        // A batch in progress must find in memory what was written after its snapshot.
        let at = self.pins.oldest_read().min(self.log.durable_ts());
        self.spill.fill(&self.versions, at, &|| self.versions.bytes() <= goal)
    }
}

/// Keys of a range with one version each.
pub(crate) struct SpillScan {
    inner: BaseIter,
    at: Timestamp,
    direction: Direction,
    /// Backward: the best version so far of the key that is being gone through.
    pending: Option<Visible>,
    last: Option<Bytes>,
}

impl SpillScan {
    fn read(&mut self) -> Result<Option<Visible>, Error> {
        loop {
            let Some(pair) = self.inner.next() else { return Ok(self.pending.take()) };
            let (spilled, stored) = pair?;
            let (key, time) = parse_key(&spilled)?;
            if time > self.at {
                continue;
            }
            let visible = || {
                parse_value(&spilled, &stored).map(|(time, value)| Visible { key: key.clone(), value, time })
            };
            match self.direction {
                Direction::Forward if self.last.as_ref() == Some(&key) => {}
                Direction::Forward => {
                    self.last = Some(key.clone());
                    return visible().map(Some);
                }
                // Oldest first: a later one of the same key is newer.
                Direction::Backward => {
                    let done = self.pending.replace(visible()?);
                    if let Some(done) = done.filter(|done| done.key != key) {
                        return Ok(Some(done));
                    }
                }
            }
        }
    }
}

impl Iterator for SpillScan {
    type Item = Result<Visible, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

fn size(write: &Write) -> usize {
    write.key.len() + write.value.as_ref().map_or(0, Bytes::len)
}

fn escaped(key: &[u8], room: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 + key.len() + 8 + room);
    out.push(keyspace::SPILL);
    for byte in key {
        out.push(*byte);
        if *byte == 0 {
            out.push(u8::MAX);
        }
    }
    out
}

/// Before (END) or after (AFTER) all versions of a key.
fn edge(key: &[u8], side: [u8; 2]) -> Bytes {
    let mut out = escaped(key, 2);
    out.extend_from_slice(&side);
    Bytes::from(out)
}

/// The spilled key of a version; newer ones come first.
pub(crate) fn place(key: &[u8], at: Timestamp) -> Bytes {
    let mut out = escaped(key, 10);
    out.extend_from_slice(&END);
    out.extend_from_slice(&(!at.0).to_be_bytes());
    Bytes::from(out)
}

fn parse_key(spilled: &[u8]) -> Result<(Bytes, Timestamp), Error> {
    let damaged = || Error::Damaged("spilled key".to_owned());
    let (rest, time) = spilled.split_last_chunk::<8>().ok_or_else(damaged)?;
    let rest = rest.get(1..).and_then(|rest| rest.strip_suffix(&END)).ok_or_else(damaged)?;
    let mut key = Vec::with_capacity(rest.len());
    let mut bytes = rest.iter();
    while let Some(byte) = bytes.next() {
        key.push(*byte);
        if *byte == 0 && bytes.next() != Some(&u8::MAX) {
            return Err(damaged());
        }
    }
    Ok((Bytes::from(key), Timestamp(!u64::from_be_bytes(*time))))
}

fn stored(key: &[u8], at: Timestamp, value: &Value) -> Bytes {
    let mut tagged = Vec::with_capacity(1 + value.as_ref().map_or(0, Bytes::len));
    tagged.push(if value.is_some() { VALUE } else { TOMBSTONE });
    tagged.extend_from_slice(value.as_deref().unwrap_or_default());
    join_base(key, at, &tagged)
}

fn parse_value(key: &[u8], stored: &Bytes) -> Result<(Timestamp, Value), Error> {
    let (time, tagged) = split_base(key, stored)?;
    match tagged.first() {
        Some(&VALUE) => Ok((time, Some(tagged.slice(1..)))),
        Some(&TOMBSTONE) => Ok((time, None)),
        _ => Err(Error::Damaged("spilled value with an unknown tag".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn spilled_keys_sort_by_key_then_newest_first(
            left in (proptest::collection::vec(0..3_u8, 0..6), 0..5_u64),
            right in (proptest::collection::vec(0..3_u8, 0..6), 0..5_u64),
        ) {
            let (a, b) = (place(&left.0, Timestamp(left.1)), place(&right.0, Timestamp(right.1)));
            prop_assert_eq!(a.cmp(&b), left.0.cmp(&right.0).then(right.1.cmp(&left.1)));
            prop_assert_eq!(parse_key(&a).unwrap(), (Bytes::from(left.0.clone()), Timestamp(left.1)));
            prop_assert!(edge(&left.0, END) < a && a < edge(&left.0, AFTER));
        }
    }
}
