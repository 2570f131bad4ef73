//! How often queries chose each index since the process started: `$indexStats.accesses`.

use parking_lot::Mutex;
use std::collections::HashMap;
use storage::IndexId;

/// Counters by index.
#[derive(Debug)]
pub struct IndexUses {
    since_millis: i64,
    counts: Mutex<HashMap<IndexId, u64>>,
}

impl IndexUses {
    pub(crate) fn new(since_millis: i64) -> IndexUses {
        IndexUses { since_millis, counts: Mutex::default() }
    }

    /// When counting began.
    pub fn since_millis(&self) -> i64 {
        self.since_millis
    }

    /// How often the index was chosen.
    pub fn of(&self, index: IndexId) -> u64 {
        self.counts.lock().get(&index).copied().unwrap_or(0)
    }

    pub(crate) fn add(&self, index: IndexId) {
        *self.counts.lock().entry(index).or_default() += 1;
    }
}
