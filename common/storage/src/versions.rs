//! Recent versions: (key, descending time) → value or tombstone, in a concurrent ordered map.
//! A version that is in here is never changed, only removed once the base has it or no reader can want it.
//! Knows nothing of what keys mean.

use bytes::Bytes;
use crossbeam_skiplist::SkipMap;
use std::borrow::Borrow;
use std::ops::Bound;
use std::sync::atomic::{AtomicUsize, Ordering};
use types::Timestamp;

/// What the map costs beside key and value: node, tower, two shared buffers.
const ENTRY_OVERHEAD_BYTES: usize = 160;
/// Steps over unwanted versions of one key before seeking instead.
const STEPS_BEFORE_SEEK: usize = 4;
const TIME_BYTES: usize = 8;

/// A value, or `None` for a tombstone.
pub(crate) type Value = Option<Bytes>;

/// A key with its time appended; sorts by key, then newer before older.
#[derive(Debug, Clone)]
pub(crate) struct VersionKey(Bytes);

impl VersionKey {
    pub(crate) fn new(key: &[u8], at: Timestamp) -> VersionKey {
        let mut bytes = Vec::with_capacity(key.len() + TIME_BYTES);
        bytes.extend_from_slice(key);
        bytes.extend_from_slice(&at.0.to_le_bytes());
        VersionKey(Bytes::from(bytes))
    }

    pub(crate) fn key(&self) -> &[u8] {
        self.parts().0
    }

    pub(crate) fn shared_key(&self) -> Bytes {
        self.0.slice(..self.0.len() - TIME_BYTES)
    }

    pub(crate) fn time(&self) -> Timestamp {
        self.parts().1
    }
}

/// A key and a time, owned or borrowed: what the map compares, so that a look-up allocates nothing.
trait Timed {
    fn parts(&self) -> (&[u8], Timestamp);
}

impl Timed for VersionKey {
    fn parts(&self) -> (&[u8], Timestamp) {
        match self.0.split_last_chunk::<TIME_BYTES>() {
            Some((key, time)) => (key, Timestamp(u64::from_le_bytes(*time))),
            None => (&[], Timestamp::ZERO),
        }
    }
}

/// A place in the map.
struct Probe<'a>(&'a [u8], Timestamp);

impl Timed for Probe<'_> {
    fn parts(&self) -> (&[u8], Timestamp) {
        (self.0, self.1)
    }
}

fn order(left: (&[u8], Timestamp), right: (&[u8], Timestamp)) -> std::cmp::Ordering {
    left.0.cmp(right.0).then_with(|| right.1.cmp(&left.1))
}

impl Ord for dyn Timed + '_ {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        order(self.parts(), other.parts())
    }
}

impl PartialOrd for dyn Timed + '_ {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for dyn Timed + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

impl Eq for dyn Timed + '_ {}

impl Ord for VersionKey {
    fn cmp(&self, other: &VersionKey) -> std::cmp::Ordering {
        order(self.parts(), other.parts())
    }
}

impl PartialOrd for VersionKey {
    fn partial_cmp(&self, other: &VersionKey) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for VersionKey {
    fn eq(&self, other: &VersionKey) -> bool {
        self.parts() == other.parts()
    }
}

impl Eq for VersionKey {}

impl<'a> Borrow<dyn Timed + 'a> for VersionKey {
    fn borrow(&self) -> &(dyn Timed + 'a) {
        self
    }
}

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
    map: SkipMap<VersionKey, Value>,
    bytes: AtomicUsize,
}

impl Versions {
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn len(&self) -> usize {
        self.map.len()
    }

    /// Adds a version. Only the commit section, index builds and recovery do.
    pub(crate) fn put(&self, key: &[u8], at: Timestamp, value: Value) {
        self.bytes.fetch_add(cost(key.len(), &value), Ordering::Relaxed);
        self.map.insert(VersionKey::new(key, at), value);
    }

    /// The newest version no newer than `at`.
    pub(crate) fn get(&self, key: &[u8], at: Timestamp) -> Option<(Timestamp, Value)> {
        let entry = self.map.lower_bound::<dyn Timed>(Bound::Included(&Probe(key, at)))?;
        (entry.key().key() == key).then(|| (entry.key().time(), entry.value().clone()))
    }

    /// The time of the newest version.
    pub(crate) fn newest(&self, key: &[u8]) -> Option<Timestamp> {
        let entry = self.map.lower_bound::<dyn Timed>(Bound::Included(&Probe(key, Timestamp::MAX)))?;
        (entry.key().key() == key).then(|| entry.key().time())
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
        let (mut place, mut from, mut included) = match start {
            Bound::Included(key) => (key.to_vec(), Timestamp::MAX, true),
            Bound::Excluded(key) => (key.to_vec(), Timestamp::ZERO, false),
            Bound::Unbounded => (Vec::new(), Timestamp::MAX, true),
        };
        while let Some(next) = self.stretch((&place, from, included), end, at, limit, out) {
            (place, from, included) = next;
        }
    }

    /// Collects from a place until the end, the limit, or too many versions in a row that are not wanted: then the place to go on.
    fn stretch(
        &self,
        (place, from, included): (&[u8], Timestamp, bool),
        end: &[u8],
        at: Timestamp,
        limit: usize,
        out: &mut Vec<Visible>,
    ) -> Option<(Vec<u8>, Timestamp, bool)> {
        let (start, end) = (Probe(place, from), Probe(end, Timestamp::MAX));
        let lower: Bound<&dyn Timed> =
            if included { Bound::Included(&start) } else { Bound::Excluded(&start) };
        let upper: Bound<&dyn Timed> = Bound::Excluded(&end);
        let mut steps = 0;
        for entry in self.map.range::<dyn Timed, _>((lower, upper)) {
            let version = entry.key();
            let seen = out.last().is_some_and(|last| last.key == version.key());
            if !seen && version.time() <= at {
                if out.len() >= limit {
                    return None;
                }
                steps = 0;
                let (key, time) = (version.shared_key(), version.time());
                out.push(Visible { key, value: entry.value().clone(), time });
                continue;
            }
            steps += 1;
            if steps > STEPS_BEFORE_SEEK {
                // Superseded: to the next key. Too new: to the visible version of this key.
                let (from, included) = if seen { (Timestamp::ZERO, false) } else { (at, true) };
                return Some((version.key().to_vec(), from, included));
            }
        }
        None
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
        let mut to = Bytes::copy_from_slice(end);
        while out.len() < limit {
            let below = Probe(&to, Timestamp::MAX);
            let Some(entry) = self.map.upper_bound::<dyn Timed>(Bound::Excluded(&below)) else { return };
            let key = entry.key().shared_key();
            if key.as_ref() < start {
                return;
            }
            // The entry is the oldest version of its key; the visible one may be further left. Versions go oldest first, so
            // while this one is not removed, no newer one was when the left side was looked at.
            let alone = entry.prev().is_none_or(|left| left.key().key() != key) && !entry.is_removed();
            let visible = if alone {
                (entry.key().time() <= at).then(|| (entry.key().time(), entry.value().clone()))
            } else {
                self.get(&key, at)
            };
            if let Some((time, value)) = visible {
                out.push(Visible { key: key.clone(), value, time });
            }
            to = key;
        }
    }

    /// Removes what no reader at or after `floor` can see: versions that another one no newer than `floor` supersedes.
    /// With `whole`, that newest one goes as well, last, because the base has it.
    pub(crate) fn evict(&self, key: &[u8], floor: Timestamp, whole: bool) {
        let bounds: (Bound<&dyn Timed>, Bound<&dyn Timed>) =
            (Bound::Included(&Probe(key, floor)), Bound::Included(&Probe(key, Timestamp::ZERO)));
        let doomed: Vec<_> = self.map.range::<dyn Timed, _>(bounds).collect();
        // Oldest first: a reader that does not find the newest one must find none at all, and go to the base.
        let keep = usize::from(!whole);
        for entry in doomed.iter().skip(keep).rev() {
            if entry.remove() {
                self.bytes.fetch_sub(cost(entry.key().key().len(), entry.value()), Ordering::Relaxed);
            }
        }
    }

    /// Every version no newer than `at` of the keys from `from` on, up to a number of versions or bytes. Returns the key to go on
    /// with, `None` at the end of the map.
    pub(crate) fn collect_old(
        &self,
        from: &[u8],
        at: Timestamp,
        limit: usize,
        bytes_max: usize,
        out: &mut Vec<Visible>,
    ) -> Option<Bytes> {
        let start = Probe(from, Timestamp::MAX);
        let lower: Bound<&dyn Timed> = Bound::Included(&start);
        let (mut bytes, mut steps) = (0, 0);
        for entry in self.map.range::<dyn Timed, _>((lower, Bound::Unbounded)) {
            let version = entry.key();
            let full = steps >= limit || bytes >= bytes_max;
            if full && out.last().is_none_or(|last| last.key != version.key()) {
                return Some(version.shared_key());
            }
            steps += 1;
            if version.time() <= at {
                bytes += version.0.len() + entry.value().as_ref().map_or(0, Bytes::len);
                let (key, time) = (version.shared_key(), version.time());
                out.push(Visible { key, value: entry.value().clone(), time });
            }
        }
        None
    }

    /// Removes one version.
    pub(crate) fn remove_one(&self, key: &[u8], at: Timestamp) {
        if let Some(entry) = self.map.remove(&VersionKey::new(key, at)) {
            self.bytes.fetch_sub(cost(key.len(), entry.value()), Ordering::Relaxed);
        }
    }

    /// Removes every version newer than `at`. While nothing is committed and nobody reads later than `at`.
    pub(crate) fn remove_newer(&self, at: Timestamp) {
        for entry in self.map.iter() {
            if entry.key().time() > at && entry.remove() {
                self.bytes.fetch_sub(cost(entry.key().key().len(), entry.value()), Ordering::Relaxed);
            }
        }
    }

    /// Removes every version in a range of keys, whatever its time. For dropped collections that nobody can read.
    pub(crate) fn remove_range(&self, start: &[u8], end: &[u8]) {
        let bounds: (Bound<&dyn Timed>, Bound<&dyn Timed>) =
            (Bound::Included(&Probe(start, Timestamp::MAX)), Bound::Excluded(&Probe(end, Timestamp::MAX)));
        for entry in self.map.range::<dyn Timed, _>(bounds) {
            if entry.remove() {
                self.bytes.fetch_sub(cost(entry.key().key().len(), entry.value()), Ordering::Relaxed);
            }
        }
    }
}

fn cost(key_len: usize, value: &Value) -> usize {
    key_len + TIME_BYTES + value.as_ref().map_or(0, Bytes::len) + ENTRY_OVERHEAD_BYTES
}
