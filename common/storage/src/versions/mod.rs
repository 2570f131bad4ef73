//! Recent versions: key → its versions by time, in a concurrent ordered map.
//! A version that is in here is never changed, only removed once the base has it or no reader can want it.
//! Knows nothing of what keys mean.
//!
//! Two levels: leaves of sorted keys, each behind a lock of its own, and the lowest key of each leaf in a map above them.
//! A key with all its versions is in one leaf, so what is done to a key is seen whole or not at all. Whoever holds a leaf holds
//! the map above it for reading; leaves come and go only while it is held for writing, which is short.

mod entry;
mod leaf;
mod top;

use bytes::Bytes;
pub(crate) use entry::entry_cost;
use entry::{Entry, Gone, key_cost, version_cost};
use leaf::LEAF_KEYS_MAX;
use parking_lot::RwLock;
use std::ops::Bound;
use std::sync::atomic::{AtomicUsize, Ordering};
use top::Top;
use types::Timestamp;

/// A leaf that shrank to this joins the one before it.
const LEAF_KEYS_FEW: usize = LEAF_KEYS_MAX / 8;
/// A value, or `None` for a tombstone.
pub(crate) type Value = Option<Bytes>;

/// A key as of some time.
#[derive(Debug, Clone)]
pub(crate) struct Visible {
    pub key: Bytes,
    pub value: Value,
    pub time: Timestamp,
}

/// The map.
#[derive(Default)]
pub(crate) struct Versions {
    top: RwLock<Top>,
    bytes: AtomicUsize,
    versions: AtomicUsize,
}

impl Versions {
    /// What all of it costs.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn len(&self) -> usize {
        self.versions.load(Ordering::Acquire)
    }

    /// Adds a version. Only the commit section, index builds and recovery do.
    pub(crate) fn put(&self, key: &[u8], at: Timestamp, value: Value) {
        self.put_over(key, at, value, Timestamp::ZERO);
    }

    /// As [`Versions::put`], and removes what the key's newest version no newer than `limit` supersedes.
    pub(crate) fn put_over(&self, key: &[u8], at: Timestamp, value: Value, limit: Timestamp) {
        let mut bytes = version_cost(&value);
        let mut version = Some((at, value));
        // Before it can be found: whoever sees that there are none need not look.
        self.versions.fetch_add(1, Ordering::AcqRel);
        loop {
            {
                let top = self.top.read();
                let Some((_, leaf)) = top.find(key) else { return };
                let mut leaf = leaf.write();
                let place = leaf.search(key);
                let full = leaf.is_full();
                match (place, version.take()) {
                    (Ok(place), Some(version)) => {
                        if let Some(entry) = leaf.entry_mut(place) {
                            let mut gone = Gone::default();
                            if let Some((_, replaced)) = entry.put(version) {
                                gone.version(&replaced);
                            }
                            entry.supersede(&mut gone, limit);
                            self.took(&gone);
                        }
                    }
                    (Err(place), Some(newest)) if !full => {
                        bytes += key_cost(key);
                        // A copy: what came with a batch or from the log may hold more than itself in memory.
                        let key = Bytes::copy_from_slice(key);
                        leaf.insert(place, Entry { key, newest, older: Vec::new() });
                    }
                    (_, other) => version = other,
                }
            }
            if version.is_none() {
                self.bytes.fetch_add(bytes, Ordering::Relaxed);
                return;
            }
            self.split(key);
        }
    }

    /// Makes room in a full leaf.
    fn split(&self, key: &[u8]) {
        let mut top = self.top.write();
        let Some((spot, leaf)) = top.find(key) else { return };
        let mut lower = leaf.write();
        if !lower.is_full() {
            return;
        }
        // Keys that come in order fill their leaves.
        let place = lower.start(Bound::Included(key));
        let at = if place == lower.len() { place } else { LEAF_KEYS_MAX / 2 };
        let upper = lower.split_off(at);
        drop(lower);
        let low = upper.first().map_or_else(|| Bytes::copy_from_slice(key), |entry| entry.key.clone());
        top.insert_after(spot, low, upper);
    }

    /// Joins a leaf that has few keys left with the one before it.
    fn join(&self, key: &[u8]) {
        let mut top = self.top.write();
        let Some((spot, leaf)) = top.find(key) else { return };
        let Some(before) = top.previous(spot) else { return };
        {
            let (mut leaf, mut before) = (leaf.write(), before.write());
            if leaf.len() > LEAF_KEYS_FEW || leaf.len() + before.len() > LEAF_KEYS_MAX {
                return;
            }
            before.append(&mut leaf);
        }
        top.remove(spot);
    }

    fn took(&self, gone: &Gone) {
        if gone.versions > 0 {
            self.bytes.fetch_sub(gone.bytes, Ordering::Relaxed);
            self.versions.fetch_sub(gone.versions, Ordering::AcqRel);
        }
    }

    /// The newest version no newer than `at`.
    pub(crate) fn get(&self, key: &[u8], at: Timestamp) -> Option<(Timestamp, Value)> {
        if self.len() == 0 {
            return None;
        }
        let top = self.top.read();
        let leaf = top.find(key)?.1.read();
        leaf.find(key)?.at(at).cloned()
    }

    /// The time of the newest version.
    pub(crate) fn newest(&self, key: &[u8]) -> Option<Timestamp> {
        if self.len() == 0 {
            return None;
        }
        let top = self.top.read();
        let leaf = top.find(key)?.1.read();
        leaf.find(key).map(|entry| entry.newest.0)
    }

    /// Calls `each` for the keys from a place up to `end`, a leaf held at a time, until it says to stop at one: returns that.
    fn walk(
        &self,
        start: Bound<&[u8]>,
        end: Option<&[u8]>,
        mut each: impl FnMut(&Entry) -> bool,
    ) -> Option<Bytes> {
        if self.len() == 0 {
            return None;
        }
        let mut from = match start {
            Bound::Included(key) => Bound::Included(Bytes::copy_from_slice(key)),
            Bound::Excluded(key) => Bound::Excluded(Bytes::copy_from_slice(key)),
            Bound::Unbounded => Bound::Included(Bytes::new()),
        };
        loop {
            let next = {
                let from = from.as_ref().map(|key| key.as_ref());
                let (Bound::Included(key) | Bound::Excluded(key)) = from else { return None };
                let top = self.top.read();
                let (spot, leaf) = top.find(key)?;
                let leaf = leaf.read();
                let next = top.next_low(spot);
                let last = end.filter(|end| next.is_none_or(|next| next.as_ref() > *end));
                let to = last.map_or(leaf.len(), |end| leaf.start(Bound::Included(end)));
                for entry in leaf.entries().get(leaf.start(from)..to).unwrap_or_default() {
                    if !each(entry) {
                        return Some(entry.key.clone());
                    }
                }
                if last.is_some() {
                    return None;
                }
                next?.clone()
            };
            from = Bound::Included(next);
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
        self.walk(start, Some(end), |entry| {
            if out.len() >= limit {
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
            let next = {
                let top = self.top.read();
                // The leaf below `to`, which may be where `to` itself would begin.
                let Some((spot, leaf)) = top.find_before(&to) else { return };
                let leaf = leaf.read();
                let below = leaf.start(Bound::Included(&to));
                for entry in leaf.entries().get(..below).unwrap_or_default().iter().rev() {
                    if entry.key.as_ref() < start || out.len() >= limit {
                        return;
                    }
                    out.extend(entry.visible(at));
                }
                let Some(low) = top.low(spot) else { return };
                low.clone()
            };
            to = next;
        }
    }

    /// Removes versions of keys that ascend, a leaf held at a time. `act` says whether none of a key is left.
    fn edit<'a>(
        &self,
        keys: impl IntoIterator<Item = (&'a [u8], Timestamp)>,
        act: impl Fn(&mut Entry, &mut Gone, Timestamp) -> bool,
    ) {
        let mut keys = keys.into_iter().peekable();
        while let Some((first, _)) = keys.peek().copied() {
            let mut gone = Gone::default();
            let few = {
                let top = self.top.read();
                let Some((spot, leaf)) = top.find(first) else { return };
                let next = top.next_low(spot);
                let mut leaf = leaf.write();
                let mut emptied = false;
                while let Some((key, time)) =
                    keys.next_if(|(key, _)| next.is_none_or(|next| *key < next.as_ref()))
                {
                    let Ok(place) = leaf.search(key) else { continue };
                    if leaf.entry_mut(place).is_some_and(|entry| act(entry, &mut gone, time)) {
                        leaf.remove(place);
                        emptied = true;
                    }
                }
                emptied && leaf.len() <= LEAF_KEYS_FEW
            };
            self.took(&gone);
            if few {
                self.join(first);
            }
        }
    }

    /// Removes the versions of keys, which ascend, up to a time each: the base has the last of them, and nobody reads before it.
    pub(crate) fn evict<'a>(&self, keys: impl IntoIterator<Item = (&'a [u8], Timestamp)>) {
        self.edit(keys, |entry, gone, floor| entry.remove(gone, |time| time <= floor));
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
        self.walk(Bound::Included(from), None, |entry| {
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
        self.edit([(key, at)], |entry, gone, at| entry.remove(gone, |time| time == at));
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
            let (next, few) = {
                let top = self.top.read();
                let Some((spot, leaf)) = top.find(&from) else { return };
                let mut leaf = leaf.write();
                leaf.retain(|entry| {
                    let key = entry.key.as_ref();
                    let within = key >= start && end.is_none_or(|end| key < end);
                    !(within && entry.remove(&mut gone, &doomed))
                });
                (top.next_low(spot).cloned(), leaf.len() <= LEAF_KEYS_FEW)
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[derive(Debug, Clone)]
    enum Step {
        Put { key: Vec<u8>, at: u64, limit: u64, tombstone: bool },
        Evict { key: Vec<u8>, at: u64 },
        RemoveOne { key: Vec<u8>, at: u64 },
        RemoveNewer { at: u64 },
        RemoveRange { start: Vec<u8>, end: Vec<u8> },
    }

    /// Short ones that are prefixes of each other, some that differ only past the first sixteen bytes, and some past what a leaf
    /// keeps of a beginning.
    fn key() -> impl Strategy<Value = Vec<u8>> {
        let tail = proptest::collection::vec(0..4_u8, 0..5);
        (tail, prop_oneof![Just(0), Just(15), Just(40)]).prop_map(|(tail, length)| {
            let mut key = vec![1; length];
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
                versions.evict([(key.as_slice(), Timestamp(at))]);
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
        fn leaves_hold_what_a_plain_map_holds(steps in proptest::collection::vec(step(), 1..600), at in 0..31_u64) {
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
