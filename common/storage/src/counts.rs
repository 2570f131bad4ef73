//! Exact records and bytes of every collection and index.
//! Changes that the base does not have yet are kept in commit order, so that a checkpoint can write the counts as of its own time.

use crate::Error;
use crate::keyspace::Ident;
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use types::Timestamp;

/// Size of a collection and its indexes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CollectionStats {
    pub records: u64,
    /// Bytes of the documents.
    pub bytes: u64,
    /// Name, entries and bytes of each index, in the collection's order.
    pub indexes: Vec<(String, u64, u64)>,
}

/// Records and bytes, or a change of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub records: i64,
    pub bytes: i64,
}

impl Count {
    pub(crate) fn add(&mut self, other: Count) {
        self.records += other.records;
        self.bytes += other.bytes;
    }

    fn subtract(&mut self, other: Count) {
        self.records -= other.records;
        self.bytes -= other.bytes;
    }

    pub(crate) fn is_zero(self) -> bool {
        self == Count::default()
    }

    /// Stored form: records, bytes, both little-endian. The base adds the time in front, as to every value.
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(16);
        out.extend_from_slice(&self.records.to_le_bytes());
        out.extend_from_slice(&self.bytes.to_le_bytes());
        out
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Count, Error> {
        let number = |from: usize| -> Option<i64> {
            Some(i64::from_le_bytes(bytes.get(from..from + 8)?.try_into().ok()?))
        };
        match (number(0), number(8)) {
            (Some(records), Some(bytes)) => Ok(Count { records, bytes }),
            _ => Err(Error::Damaged("count record is too short".to_owned())),
        }
    }
}

/// A change at a time.
pub(crate) type Delta = (Ident, Count);

#[derive(Debug, Default)]
struct Inner {
    now: HashMap<Ident, Count>,
    base: HashMap<Ident, Count>,
    pending: VecDeque<(Timestamp, Delta)>,
    /// Folded, and not known to be in the base yet.
    unwritten: HashMap<Ident, Count>,
}

/// The counts of everything.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    inner: Mutex<Inner>,
}

impl Counts {
    /// A count as the base has it. Only recovery does.
    pub(crate) fn load(&self, ident: Ident, count: Count) {
        let mut inner = self.inner.lock();
        inner.now.insert(ident, count);
        inner.base.insert(ident, count);
    }

    /// Takes the changes of one commit.
    pub(crate) fn apply(&self, at: Timestamp, deltas: impl IntoIterator<Item = Delta>) {
        let mut inner = self.inner.lock();
        for (ident, change) in deltas {
            inner.now.entry(ident).or_default().add(change);
            inner.pending.push_back((at, (ident, change)));
        }
    }

    /// As [`Counts::apply`], for several commits in order.
    pub(crate) fn apply_all(&self, deltas: impl IntoIterator<Item = (Timestamp, Delta)>) {
        let mut inner = self.inner.lock();
        for (at, (ident, change)) in deltas {
            inner.now.entry(ident).or_default().add(change);
            inner.pending.push_back((at, (ident, change)));
        }
    }

    /// Takes changes that went straight to the base.
    pub(crate) fn add_to_base(&self, deltas: impl IntoIterator<Item = Delta>) {
        let mut inner = self.inner.lock();
        for (ident, change) in deltas {
            inner.now.entry(ident).or_default().add(change);
            let count = inner.base.entry(ident).or_default();
            count.add(change);
            let count = *count;
            inner.unwritten.insert(ident, count);
        }
    }

    pub(crate) fn get(&self, ident: Ident) -> Count {
        self.inner.lock().now.get(&ident).copied().unwrap_or_default()
    }

    /// Bytes of all records and entries.
    pub(crate) fn total_bytes(&self) -> u64 {
        self.inner.lock().now.values().map(|count| count.bytes.max(0).cast_unsigned()).sum()
    }

    /// The counts that changed up to `at`, as of `at`. Changes up to there are folded in and forgotten.
    pub(crate) fn fold(&self, at: Timestamp) -> Vec<Delta> {
        let mut inner = self.inner.lock();
        while let Some((time, (ident, change))) = inner.pending.front().copied() {
            if time > at {
                break;
            }
            inner.pending.pop_front();
            let count = inner.base.entry(ident).or_default();
            count.add(change);
            let count = *count;
            inner.unwritten.insert(ident, count);
        }
        inner.unwritten.iter().map(|(ident, count)| (*ident, *count)).collect()
    }

    /// What [`Counts::fold`] gave is in the base. What was put in place meanwhile is not.
    pub(crate) fn folded(&self, written: &[Delta]) {
        let mut inner = self.inner.lock();
        for (ident, count) in written {
            if inner.unwritten.get(ident) == Some(count) {
                inner.unwritten.remove(ident);
            }
        }
    }

    /// Puts a counted value in place: `count` as of `at`, and what was committed after `at` on top. In the commit section.
    pub(crate) fn reset(&self, ident: Ident, count: Count, at: Timestamp) {
        let mut inner = self.inner.lock();
        let (mut base, mut now) = (count, count);
        for (time, (_, change)) in inner.pending.iter().filter(|(_, (other, _))| *other == ident) {
            // A checkpoint may be at any time of these: what it writes has to be right together with those that come after it.
            if *time > at {
                now.add(*change);
            } else {
                base.subtract(*change);
            }
        }
        inner.base.insert(ident, base);
        inner.now.insert(ident, now);
        // So that the next checkpoint writes it, changed or not.
        inner.unwritten.insert(ident, base);
    }

    /// Takes back the changes after `to`. Nothing after it was folded.
    pub(crate) fn roll_back(&self, to: Timestamp) {
        let mut inner = self.inner.lock();
        while inner.pending.back().is_some_and(|(time, _)| *time > to) {
            if let Some((_, (ident, change))) = inner.pending.pop_back() {
                inner.now.entry(ident).or_default().subtract(change);
            }
        }
    }

    /// Forgets everything but these.
    pub(crate) fn retain(&self, known: impl Fn(Ident) -> bool) {
        let mut inner = self.inner.lock();
        inner.now.retain(|ident, _| known(*ident));
        inner.base.retain(|ident, _| known(*ident));
        inner.unwritten.retain(|ident, _| known(*ident));
        inner.pending.retain(|(_, (ident, _))| known(*ident));
    }

    pub(crate) fn forget(&self, ident: Ident) {
        let mut inner = self.inner.lock();
        inner.now.remove(&ident);
        inner.base.remove(&ident);
        inner.unwritten.remove(&ident);
        inner.pending.retain(|(_, (other, _))| *other != ident);
    }
}
