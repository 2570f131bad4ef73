//! The numbers of inserted records. Numbers are handed out in order but acknowledged in any; only those below the first
//! gap may be read, so that no operation asks for a record that is not there.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Shared by all threads of a run.
#[derive(Debug)]
pub(crate) struct InsertCounter {
    next: AtomicU64,
    /// All records below are there.
    settled: AtomicU64,
    beyond_gap: Mutex<BTreeSet<u64>>,
}

impl InsertCounter {
    /// After `records` were loaded.
    pub(crate) fn new(records: u64) -> InsertCounter {
        InsertCounter {
            next: AtomicU64::new(records),
            settled: AtomicU64::new(records),
            beyond_gap: Mutex::new(BTreeSet::new()),
        }
    }

    /// The number for a new record.
    pub(crate) fn take(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// The record is there, or will never be: an insert that failed leaves a record that reads do not find.
    pub(crate) fn settle(&self, number: u64) {
        let mut beyond = self.beyond_gap.lock().unwrap_or_else(PoisonError::into_inner);
        beyond.insert(number);
        let mut settled = self.settled.load(Ordering::Relaxed);
        while beyond.remove(&settled) {
            settled += 1;
        }
        self.settled.store(settled, Ordering::Relaxed);
    }

    /// Records that may be asked for.
    pub(crate) fn settled(&self) -> u64 {
        self.settled.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_hold_back_what_lies_beyond() {
        let counter = InsertCounter::new(10);
        let taken = [counter.take(), counter.take(), counter.take()];
        assert_eq!(taken, [10, 11, 12]);
        for (number, settled) in [(12, 10), (10, 11), (11, 13)] {
            counter.settle(number);
            assert_eq!(counter.settled(), settled);
        }
    }
}
