//! Recent versions: key → its versions by time, in a concurrent ordered map.
//! A version that is in here is never changed, only removed once the base has it or no reader can want it.
//! Knows nothing of what keys mean.
//!
//! Two levels: leaves of sorted keys, each behind a lock of its own, and the lowest key of each leaf in a map above them.
//! A key with all its versions is in one leaf, so what is done to a key is seen whole or not at all. Whoever holds a leaf holds
//! the map above it for reading; leaves come and go only while it is held for writing, which is short.

use bytes::Bytes;
use parking_lot::{RwLock, RwLockReadGuard};
use std::borrow::Borrow;
use std::cmp::Ordering as Order;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicUsize, Ordering};
use types::Timestamp;

/// Keys in a leaf: few enough that adding one is cheap.
const LEAF_KEYS_MAX: usize = 64;
/// A leaf that shrank to this joins the one before it.
const LEAF_KEYS_FEW: usize = 8;
/// What a key costs beside its bytes: entry, slot in a leaf that is not full, what shares the key.
const KEY_OVERHEAD_BYTES: usize = 176;
/// What a version costs beside its value.
const VERSION_OVERHEAD_BYTES: usize = 16;
/// What shares a value.
const VALUE_OVERHEAD_BYTES: usize = 32;

/// A value, or `None` for a tombstone.
pub(crate) type Value = Option<Bytes>;

/// A key as of some time.
#[derive(Debug, Clone)]
pub(crate) struct Visible {
    pub key: Bytes,
    pub value: Value,
    pub time: Timestamp,
}

/// The first bytes of a key as numbers, zero where it is shorter: most comparisons need no look at the key itself.
type Prefix = (u64, u64);

fn prefix(key: &[u8]) -> Prefix {
    let mut first = [0; 16];
    let length = key.len().min(16);
    if let (Some(to), Some(from)) = (first.get_mut(..length), key.get(..length)) {
        to.copy_from_slice(from);
    }
    let both = u128::from_be_bytes(first);
    ((both >> 64) as u64, both as u64)
}

/// A key with its prefix, owned or borrowed: what the upper map compares, so that a look-up allocates nothing.
trait Place {
    fn place(&self) -> (Prefix, &[u8]);
}

struct Low {
    prefix: Prefix,
    key: Bytes,
}

struct Probe<'a>(Prefix, &'a [u8]);

impl<'a> Probe<'a> {
    fn new(key: &'a [u8]) -> Probe<'a> {
        Probe(prefix(key), key)
    }
}

impl Place for Low {
    fn place(&self) -> (Prefix, &[u8]) {
        (self.prefix, &self.key)
    }
}

impl Place for Probe<'_> {
    fn place(&self) -> (Prefix, &[u8]) {
        (self.0, self.1)
    }
}

impl Ord for dyn Place + '_ {
    fn cmp(&self, other: &Self) -> Order {
        self.place().cmp(&other.place())
    }
}

impl PartialOrd for dyn Place + '_ {
    fn partial_cmp(&self, other: &Self) -> Option<Order> {
        Some(self.cmp(other))
    }
}

impl PartialEq for dyn Place + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for dyn Place + '_ {}

impl Ord for Low {
    fn cmp(&self, other: &Low) -> Order {
        self.place().cmp(&other.place())
    }
}

impl PartialOrd for Low {
    fn partial_cmp(&self, other: &Low) -> Option<Order> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Low {
    fn eq(&self, other: &Low) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Low {}

impl<'a> Borrow<dyn Place + 'a> for Low {
    fn borrow(&self) -> &(dyn Place + 'a) {
        self
    }
}

type Version = (Timestamp, Value);

/// A key with its versions; at least one.
struct Entry {
    key: Bytes,
    newest: Version,
    /// Ascending by time.
    older: Vec<Version>,
}

impl Entry {
    fn at(&self, at: Timestamp) -> Option<&Version> {
        if self.newest.0 <= at {
            return Some(&self.newest);
        }
        let newer = self.older.partition_point(|(time, _)| *time <= at);
        self.older.get(newer.checked_sub(1)?)
    }

    fn visible(&self, at: Timestamp) -> Option<Visible> {
        self.at(at).map(|(time, value)| Visible { key: self.key.clone(), value: value.clone(), time: *time })
    }

    /// Adds a version; returns the one it replaces, of the same time.
    fn put(&mut self, version: Version) -> Option<Version> {
        match version.0.cmp(&self.newest.0) {
            Order::Greater => {
                let before = std::mem::replace(&mut self.newest, version);
                self.older.push(before);
                None
            }
            Order::Equal => Some(std::mem::replace(&mut self.newest, version)),
            Order::Less => match self.older.binary_search_by(|(time, _)| time.cmp(&version.0)) {
                Ok(place) => self.older.get_mut(place).map(|older| std::mem::replace(older, version)),
                Err(place) => {
                    self.older.insert(place, version);
                    None
                }
            },
        }
    }

    /// Removes what the newest version no newer than `limit` supersedes.
    fn supersede(&mut self, gone: &mut Gone, limit: Timestamp) {
        if let Some(keep) = self.older.first().and_then(|_| self.at(limit)).map(|(time, _)| *time) {
            self.remove(gone, |time| time < keep);
        }
    }

    /// Removes what `doomed` says. Returns whether nothing is left, and adds up what went.
    fn remove(&mut self, gone: &mut Gone, doomed: impl Fn(Timestamp) -> bool) -> bool {
        self.older.retain(|(time, value)| {
            let keep = !doomed(*time);
            if !keep {
                gone.version(value);
            }
            keep
        });
        if doomed(self.newest.0) {
            gone.version(&self.newest.1);
            match self.older.pop() {
                Some(next) => self.newest = next,
                None => {
                    gone.bytes += key_cost(&self.key);
                    return true;
                }
            }
        }
        if self.older.is_empty() && self.older.capacity() > 0 {
            self.older = Vec::new();
        }
        false
    }
}

/// What was removed.
#[derive(Default)]
struct Gone {
    bytes: usize,
    versions: usize,
}

impl Gone {
    fn version(&mut self, value: &Value) {
        self.bytes += version_cost(value);
        self.versions += 1;
    }
}

struct Slot {
    prefix: Prefix,
    entry: Box<Entry>,
}

/// Keys in order.
#[derive(Default)]
struct Leaf {
    slots: Vec<Slot>,
}

impl Leaf {
    fn search(&self, probe: &Probe<'_>) -> Result<usize, usize> {
        self.slots.binary_search_by(|slot| {
            slot.prefix.cmp(&probe.0).then_with(|| slot.entry.key.as_ref().cmp(probe.1))
        })
    }

    fn find(&self, probe: &Probe<'_>) -> Option<&Entry> {
        let place = self.search(probe).ok()?;
        self.slots.get(place).map(|slot| slot.entry.as_ref())
    }

    fn start(&self, bound: Bound<&Probe<'_>>) -> usize {
        match bound {
            Bound::Included(probe) => self.search(probe).unwrap_or_else(|place| place),
            Bound::Excluded(probe) => self.search(probe).map_or_else(|place| place, |place| place + 1),
            Bound::Unbounded => 0,
        }
    }
}

type Top = BTreeMap<Low, RwLock<Leaf>>;

/// The map.
pub(crate) struct Versions {
    /// The lowest key that each leaf may hold; the first one's is empty.
    top: RwLock<Top>,
    bytes: AtomicUsize,
    versions: AtomicUsize,
}

impl Default for Versions {
    fn default() -> Versions {
        let first = Low { prefix: (0, 0), key: Bytes::new() };
        Versions {
            top: RwLock::new(BTreeMap::from([(first, RwLock::default())])),
            bytes: AtomicUsize::new(0),
            versions: AtomicUsize::new(0),
        }
    }
}

/// The leaf for a key, with the lowest key that it may hold.
fn leaf_of<'a>(top: &'a Top, probe: &Probe<'_>) -> Option<(&'a Low, &'a RwLock<Leaf>)> {
    let bounds: (Bound<&dyn Place>, Bound<&dyn Place>) = (Bound::Unbounded, Bound::Included(probe));
    top.range::<dyn Place, _>(bounds).next_back()
}

fn next_low(top: &Top, low: &Low) -> Option<Bytes> {
    let bounds: (Bound<&dyn Place>, Bound<&dyn Place>) = (Bound::Excluded(low), Bound::Unbounded);
    top.range::<dyn Place, _>(bounds).next().map(|(next, _)| next.key.clone())
}

impl Versions {
    /// What all of it costs.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn len(&self) -> usize {
        self.versions.load(Ordering::Acquire)
    }

    fn read(&self) -> RwLockReadGuard<'_, Top> {
        self.top.read()
    }

    /// Adds a version. Only the commit section, index builds and recovery do.
    pub(crate) fn put(&self, key: &[u8], at: Timestamp, value: Value) {
        self.put_over(key, at, value, Timestamp::ZERO);
    }

    /// As [`Versions::put`], and removes what the key's newest version no newer than `limit` supersedes.
    pub(crate) fn put_over(&self, key: &[u8], at: Timestamp, value: Value, limit: Timestamp) {
        let probe = Probe::new(key);
        let mut bytes = version_cost(&value);
        let mut version = Some((at, value));
        // Before it can be found: whoever sees that there are none need not look.
        self.versions.fetch_add(1, Ordering::AcqRel);
        loop {
            {
                let top = self.read();
                let Some((_, leaf)) = leaf_of(&top, &probe) else { return };
                let mut leaf = leaf.write();
                let place = leaf.search(&probe);
                let full = leaf.slots.len() >= LEAF_KEYS_MAX;
                match (place, version.take()) {
                    (Ok(place), Some(version)) => {
                        if let Some(slot) = leaf.slots.get_mut(place) {
                            let mut gone = Gone::default();
                            if let Some((_, replaced)) = slot.entry.put(version) {
                                gone.version(&replaced);
                            }
                            slot.entry.supersede(&mut gone, limit);
                            self.took(&gone);
                        }
                    }
                    (Err(place), Some(newest)) if !full => {
                        bytes += key_cost(key);
                        // A copy: what came with a batch or from the log may hold more than itself in memory.
                        let key = Bytes::copy_from_slice(key);
                        let entry = Box::new(Entry { key, newest, older: Vec::new() });
                        leaf.slots.insert(place, Slot { prefix: probe.0, entry });
                    }
                    (_, other) => version = other,
                }
            }
            if version.is_none() {
                self.bytes.fetch_add(bytes, Ordering::Relaxed);
                return;
            }
            self.split(&probe);
        }
    }

    /// Makes room in a full leaf.
    fn split(&self, probe: &Probe<'_>) {
        let mut top = self.top.write();
        let Some((_, leaf)) = leaf_of(&top, probe) else { return };
        let mut lower = leaf.write();
        if lower.slots.len() < LEAF_KEYS_MAX {
            return;
        }
        // Keys that come in order fill their leaves.
        let place = lower.start(Bound::Included(probe));
        let at = if place == lower.slots.len() { place } else { LEAF_KEYS_MAX / 2 };
        let mut slots = Vec::with_capacity(LEAF_KEYS_MAX);
        slots.extend(lower.slots.drain(at..));
        drop(lower);
        let low = match slots.first() {
            Some(slot) => Low { prefix: slot.prefix, key: slot.entry.key.clone() },
            None => Low { prefix: probe.0, key: Bytes::copy_from_slice(probe.1) },
        };
        top.insert(low, RwLock::new(Leaf { slots }));
    }

    /// Joins a leaf that has few keys left with the one before it.
    fn join(&self, key: &[u8]) {
        let mut top = self.top.write();
        let probe = Probe::new(key);
        let bounds: (Bound<&dyn Place>, Bound<&dyn Place>) = (Bound::Unbounded, Bound::Included(&probe));
        let mut back = top.range::<dyn Place, _>(bounds);
        let (Some((low, leaf)), Some((_, before))) = (back.next_back(), back.next_back()) else { return };
        {
            let (mut leaf, mut before) = (leaf.write(), before.write());
            if leaf.slots.len() > LEAF_KEYS_FEW || leaf.slots.len() + before.slots.len() > LEAF_KEYS_MAX {
                return;
            }
            before.slots.append(&mut leaf.slots);
        }
        let low = Low { prefix: low.prefix, key: low.key.clone() };
        top.remove::<dyn Place>(&low);
    }

    fn took(&self, gone: &Gone) {
        self.bytes.fetch_sub(gone.bytes, Ordering::Relaxed);
        if gone.versions > 0 {
            self.versions.fetch_sub(gone.versions, Ordering::AcqRel);
        }
    }

    /// The newest version no newer than `at`.
    pub(crate) fn get(&self, key: &[u8], at: Timestamp) -> Option<(Timestamp, Value)> {
        if self.len() == 0 {
            return None;
        }
        let probe = Probe::new(key);
        let top = self.read();
        let leaf = leaf_of(&top, &probe)?.1.read();
        leaf.find(&probe)?.at(at).cloned()
    }

    /// The time of the newest version.
    pub(crate) fn newest(&self, key: &[u8]) -> Option<Timestamp> {
        if self.len() == 0 {
            return None;
        }
        let probe = Probe::new(key);
        let top = self.read();
        let leaf = leaf_of(&top, &probe)?.1.read();
        leaf.find(&probe).map(|entry| entry.newest.0)
    }

    /// Calls `each` for the keys from a place on, a leaf held at a time, until it says to stop at one: returns that.
    fn walk(&self, start: Bound<&[u8]>, mut each: impl FnMut(&Entry) -> bool) -> Option<Bytes> {
        if self.len() == 0 {
            return None;
        }
        let (key, excluded) = match start {
            Bound::Included(key) => (key, false),
            Bound::Excluded(key) => (key, true),
            Bound::Unbounded => (&[][..], false),
        };
        let mut low;
        let mut probe = Probe::new(key);
        let mut from = if excluded { Bound::Excluded(&probe) } else { Bound::Included(&probe) };
        loop {
            let next = {
                let top = self.read();
                let (low, leaf) = leaf_of(&top, &probe)?;
                let leaf = leaf.read();
                for slot in leaf.slots.get(leaf.start(from)..).unwrap_or_default() {
                    if !each(&slot.entry) {
                        return Some(slot.entry.key.clone());
                    }
                }
                next_low(&top, low)?
            };
            low = next;
            probe = Probe::new(&low);
            from = Bound::Included(&probe);
        }
    }

    /// Up to `limit` keys before `end` that have a version no newer than `at`, ascending, tombstones included.
    pub(crate) fn collect_forward(
        &self,
        start: Bound<&[u8]>,
        end: &[u8],
        at: Timestamp,
        limit: usize,
        out: &mut Vec<Visible>,
    ) {
        self.walk(start, |entry| {
            if entry.key.as_ref() >= end || out.len() >= limit {
                return false;
            }
            out.extend(entry.visible(at));
            true
        });
    }

    /// As [`Versions::collect_forward`], from before `end` down to `start`.
    pub(crate) fn collect_backward(
        &self,
        start: &[u8],
        end: &[u8],
        at: Timestamp,
        limit: usize,
        out: &mut Vec<Visible>,
    ) {
        if self.len() == 0 {
            return;
        }
        let mut to = Bytes::copy_from_slice(end);
        loop {
            let top = self.read();
            let probe = Probe::new(&to);
            // The leaf below `to`, which may be where `to` itself would begin.
            let bounds: (Bound<&dyn Place>, Bound<&dyn Place>) = (Bound::Unbounded, Bound::Excluded(&probe));
            let Some((low, leaf)) = top.range::<dyn Place, _>(bounds).next_back() else { return };
            let leaf = leaf.read();
            let below = leaf.start(Bound::Included(&probe));
            for slot in leaf.slots.get(..below).unwrap_or_default().iter().rev() {
                if slot.entry.key.as_ref() < start || out.len() >= limit {
                    return;
                }
                out.extend(slot.entry.visible(at));
            }
            let next = low.key.clone();
            drop(leaf);
            drop(top);
            to = next;
        }
    }

    /// Removes versions of one key. `act` says whether none is left.
    fn edit(&self, key: &[u8], act: impl FnOnce(&mut Entry, &mut Gone) -> bool) {
        let probe = Probe::new(key);
        let mut gone = Gone::default();
        let few = {
            let top = self.read();
            let Some((_, leaf)) = leaf_of(&top, &probe) else { return };
            let mut leaf = leaf.write();
            let Ok(place) = leaf.search(&probe) else { return };
            let empty = leaf.slots.get_mut(place).is_some_and(|slot| act(&mut slot.entry, &mut gone));
            if empty {
                leaf.slots.remove(place);
            }
            empty && [0, LEAF_KEYS_FEW].contains(&leaf.slots.len())
        };
        self.took(&gone);
        if few {
            self.join(key);
        }
    }

    /// Removes the versions of a key up to a time: the base has the last of them, and nobody reads before it.
    pub(crate) fn evict(&self, key: &[u8], floor: Timestamp) {
        self.edit(key, |entry, gone| entry.remove(gone, |time| time <= floor));
    }

    /// Every version no newer than `at` of the keys from `from` on, newest first, up to a number of versions or bytes. Returns the
    /// key to go on with, `None` at the end of the map.
    pub(crate) fn collect_old(
        &self,
        from: &[u8],
        at: Timestamp,
        limit: usize,
        bytes_max: usize,
        out: &mut Vec<Visible>,
    ) -> Option<Bytes> {
        let (mut bytes, mut steps) = (0, 0);
        self.walk(Bound::Included(from), |entry| {
            if steps >= limit || bytes >= bytes_max {
                return false;
            }
            for (time, value) in std::iter::once(&entry.newest).chain(entry.older.iter().rev()) {
                steps += 1;
                if *time <= at {
                    bytes += entry.key.len() + value.as_ref().map_or(0, Bytes::len);
                    out.push(Visible { key: entry.key.clone(), value: value.clone(), time: *time });
                }
            }
            true
        })
    }

    /// Removes one version.
    pub(crate) fn remove_one(&self, key: &[u8], at: Timestamp) {
        self.edit(key, |entry, gone| entry.remove(gone, |time| time == at));
    }

    /// Removes every version newer than `at`. While nothing is committed and nobody reads later than `at`.
    pub(crate) fn remove_newer(&self, at: Timestamp) {
        self.sweep(&[], None, |time| time > at);
    }

    /// Removes every version in a range of keys, whatever its time. For dropped collections that nobody can read.
    pub(crate) fn remove_range(&self, start: &[u8], end: &[u8]) {
        self.sweep(start, Some(end), |_| true);
    }

    fn sweep(&self, start: &[u8], end: Option<&[u8]>, doomed: impl Fn(Timestamp) -> bool) {
        let mut from = Bytes::copy_from_slice(start);
        loop {
            let mut gone = Gone::default();
            let probe = Probe::new(&from);
            let (next, few) = {
                let top = self.read();
                let Some((low, leaf)) = leaf_of(&top, &probe) else { return };
                let mut leaf = leaf.write();
                leaf.slots.retain_mut(|slot| {
                    let key = slot.entry.key.as_ref();
                    let within = key >= start && end.is_none_or(|end| key < end);
                    !(within && slot.entry.remove(&mut gone, &doomed))
                });
                (next_low(&top, low), leaf.slots.len() <= LEAF_KEYS_FEW)
            };
            self.took(&gone);
            if few {
                self.join(&from);
            }
            match next.filter(|next| end.is_none_or(|end| next.as_ref() < end)) {
                Some(next) => from = next,
                None => return,
            }
        }
    }
}

fn key_cost(key: &[u8]) -> usize {
    allocated(key.len()) + KEY_OVERHEAD_BYTES
}

fn version_cost(value: &Value) -> usize {
    let value = value.as_ref().map_or(0, |value| allocated(value.len()) + VALUE_OVERHEAD_BYTES);
    value + VERSION_OVERHEAD_BYTES
}

/// What an allocator hands out for so many bytes: four sizes for each power of two.
fn allocated(length: usize) -> usize {
    let step = (length.max(64).next_power_of_two() / 8).max(16);
    length.next_multiple_of(step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, Clone)]
    enum Step {
        Put { key: Vec<u8>, at: u64, limit: u64, tombstone: bool },
        Evict { key: Vec<u8>, at: u64 },
        RemoveOne { key: Vec<u8>, at: u64 },
        RemoveNewer { at: u64 },
        RemoveRange { start: Vec<u8>, end: Vec<u8> },
    }

    /// Short ones that are prefixes of each other, and some that differ only past the first sixteen bytes.
    fn key() -> impl Strategy<Value = Vec<u8>> {
        let short = proptest::collection::vec(0..4_u8, 0..4);
        (short, any::<bool>()).prop_map(|(tail, long)| {
            let mut key = if long { vec![1; 15] } else { Vec::new() };
            key.extend(tail);
            key
        })
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            8 => (key(), 1..30_u64, 0..30_u64, any::<bool>())
                .prop_map(|(key, at, limit, tombstone)| Step::Put { key, at, limit, tombstone }),
            4 => (key(), 0..30_u64).prop_map(|(key, at)| Step::Evict { key, at }),
            1 => (key(), 0..30_u64).prop_map(|(key, at)| Step::RemoveOne { key, at }),
            1 => (10..30_u64).prop_map(|at| Step::RemoveNewer { at }),
            1 => (key(), key()).prop_map(|(start, end)| Step::RemoveRange { start, end }),
        ]
    }

    type Model = BTreeMap<Vec<u8>, BTreeMap<u64, Value>>;

    fn apply(versions: &Versions, model: &mut Model, step: Step) {
        match step {
            Step::Put { key, at, limit, tombstone } => {
                let value = (!tombstone).then(|| Bytes::from(vec![7; at as usize * 10]));
                versions.put_over(&key, Timestamp(at), value.clone(), Timestamp(limit));
                let chain = model.entry(key).or_default();
                let known = !chain.is_empty();
                chain.insert(at, value);
                if known && let Some(keep) = chain.range(..=limit).next_back().map(|(time, _)| *time) {
                    *chain = chain.split_off(&keep);
                }
            }
            Step::Evict { key, at } => {
                versions.evict(&key, Timestamp(at));
                if let Some(chain) = model.get_mut(&key) {
                    *chain = chain.split_off(&(at + 1));
                }
            }
            Step::RemoveOne { key, at } => {
                versions.remove_one(&key, Timestamp(at));
                model.get_mut(&key).and_then(|chain| chain.remove(&at));
            }
            Step::RemoveNewer { at } => {
                versions.remove_newer(Timestamp(at));
                model.values_mut().for_each(|chain| chain.retain(|time, _| *time <= at));
            }
            Step::RemoveRange { start, end } => {
                versions.remove_range(&start, &end);
                model.retain(|key, _| *key < start || *key >= end);
            }
        }
        model.retain(|_, chain| !chain.is_empty());
    }

    fn check(versions: &Versions, model: &Model, at: u64) {
        let want: Vec<(Vec<u8>, u64)> = model
            .iter()
            .filter_map(|(key, chain)| Some((key.clone(), *chain.range(..=at).next_back()?.0)))
            .collect();
        let keys = |found: &[Visible]| -> Vec<(Vec<u8>, u64)> {
            found.iter().map(|visible| (visible.key.to_vec(), visible.time.0)).collect()
        };
        let mut found = Vec::new();
        versions.collect_forward(Bound::Unbounded, &[u8::MAX], Timestamp(at), usize::MAX, &mut found);
        assert_eq!(keys(&found), want);
        found.clear();
        versions.collect_backward(&[], &[u8::MAX], Timestamp(at), usize::MAX, &mut found);
        found.reverse();
        assert_eq!(keys(&found), want);
        // In stretches, as scans do.
        let (mut stretches, mut from) = (Vec::new(), Vec::new());
        loop {
            let mut found = Vec::new();
            let start =
                if stretches.is_empty() { Bound::Unbounded } else { Bound::Excluded(from.as_slice()) };
            versions.collect_forward(start, &[u8::MAX], Timestamp(at), 3, &mut found);
            let Some(last) = found.last() else { break };
            from = last.key.to_vec();
            stretches.extend(keys(&found));
        }
        assert_eq!(stretches, want);
        for (key, time) in &want {
            assert_eq!(versions.get(key, Timestamp(at)).map(|(time, _)| time.0), Some(*time));
        }
        let mut old = Vec::new();
        assert!(versions.collect_old(&[], Timestamp(at), usize::MAX, usize::MAX, &mut old).is_none());
        let all = model.iter().flat_map(|(key, chain)| {
            chain.range(..=at).rev().map(|(time, _)| (key.clone(), *time)).collect::<Vec<_>>()
        });
        assert_eq!(keys(&old), all.collect::<Vec<_>>());
        assert_eq!(versions.len(), model.values().map(BTreeMap::len).sum::<usize>());
    }

    proptest! {
        #[test]
        fn leaves_hold_what_a_plain_map_holds(steps in proptest::collection::vec(step(), 1..400), at in 0..31_u64) {
            let (versions, mut model) = (Versions::default(), Model::new());
            for step in steps {
                apply(&versions, &mut model, step);
            }
            check(&versions, &model, at);
            apply(&versions, &mut model, Step::RemoveRange { start: Vec::new(), end: vec![u8::MAX] });
            prop_assert_eq!((versions.bytes(), versions.len()), (0, 0));
        }
    }
}
