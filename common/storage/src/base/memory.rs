//! The deterministic engine: an ordered map that forgets everything with the process.

use super::engine::{BaseIter, Bounds, Engine, Write};
use crate::Error;
use crate::scan::Direction;
use bytes::Bytes;
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const STRETCH: usize = 256;

type Map = Arc<RwLock<BTreeMap<Bytes, Bytes>>>;

/// An ordered map.
#[derive(Default)]
pub(crate) struct Memory {
    map: Map,
    bytes: AtomicU64,
}

impl Engine for Memory {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        Ok(self.map.read().get(key).cloned())
    }

    fn range(&self, bounds: Bounds, direction: Direction) -> BaseIter {
        Box::new(Stretches { map: self.map.clone(), rest: Some(bounds), direction, buffer: Vec::new() })
    }

    fn write(&self, writes: &[Write]) -> Result<(), Error> {
        let mut map = self.map.write();
        for write in writes {
            let added = write.value.as_ref().map_or(0, |value| write.key.len() + value.len());
            let old = match &write.value {
                Some(value) => map.insert(write.key.clone(), value.clone()),
                None => map.remove(&write.key),
            };
            let removed = old.map_or(0, |old| write.key.len() + old.len());
            self.bytes.fetch_add(added as u64, Ordering::Relaxed);
            self.bytes.fetch_sub(removed as u64, Ordering::Relaxed);
        }
        Ok(())
    }

    fn flush(&self) -> Result<(), Error> {
        Ok(())
    }

    fn size(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    fn cleans_beyond(&self) -> Option<f64> {
        None
    }

    fn checks_reads(&self) -> bool {
        false
    }
}

/// A live iterator that holds the lock only while it copies a stretch.
struct Stretches {
    map: Map,
    rest: Option<Bounds>,
    direction: Direction,
    /// Reversed, so that the next pair is the last.
    buffer: Vec<(Bytes, Bytes)>,
}

impl Stretches {
    fn refill(&mut self) {
        let Some((start, end)) = self.rest.take() else { return };
        if is_empty(&start, &end) {
            return;
        }
        let map = self.map.read();
        let range = map.range::<Bytes, _>((start.as_ref(), end.as_ref()));
        let copy = |(key, value): (&Bytes, &Bytes)| (key.clone(), value.clone());
        self.buffer = match self.direction {
            Direction::Forward => range.take(STRETCH).map(copy).collect(),
            Direction::Backward => range.rev().take(STRETCH).map(copy).collect(),
        };
        if let Some((last, _)) = self.buffer.last().filter(|_| self.buffer.len() == STRETCH) {
            self.rest = Some(match self.direction {
                Direction::Forward => (Bound::Excluded(last.clone()), end),
                Direction::Backward => (start, Bound::Excluded(last.clone())),
            });
        }
        self.buffer.reverse();
    }
}

impl Iterator for Stretches {
    type Item = Result<(Bytes, Bytes), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.buffer.is_empty() {
            self.refill();
        }
        self.buffer.pop().map(Ok)
    }
}

/// Bounds that `BTreeMap::range` would refuse with a panic.
fn is_empty(start: &Bound<Bytes>, end: &Bound<Bytes>) -> bool {
    match (start, end) {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        (Bound::Included(start), Bound::Included(end)) => start > end,
        (Bound::Included(start) | Bound::Excluded(start), Bound::Included(end) | Bound::Excluded(end)) => {
            start >= end
        }
    }
}
