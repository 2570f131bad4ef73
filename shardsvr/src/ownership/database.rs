//! The version of one database, where this shard is its home.

use parking_lot::Mutex;
use std::collections::HashMap;
use types::DatabaseVersion;

/// Databases that are remembered; beyond it all are asked for anew.
const DATABASE_COUNT_MAX: usize = 100_000;

/// What the shard knows of databases: `Some(None)` is a database whose home is elsewhere, or that does not exist.
#[derive(Debug, Default)]
pub(super) struct Databases {
    known: Mutex<HashMap<String, Option<DatabaseVersion>>>,
    forgotten: std::sync::atomic::AtomicU64,
}

impl Databases {
    pub(super) fn get(&self, db: &str) -> Option<Option<DatabaseVersion>> {
        self.known.lock().get(db).copied()
    }

    /// Taken before the config server is asked; see [`Databases::learn`].
    pub(super) fn mark(&self) -> u64 {
        self.forgotten.load(std::sync::atomic::Ordering::Acquire)
    }

    pub(super) fn learn(&self, mark: u64, db: &str, version: Option<DatabaseVersion>) {
        let mut known = self.known.lock();
        if self.mark() == mark {
            if known.len() >= DATABASE_COUNT_MAX {
                known.clear();
            }
            known.insert(db.to_owned(), version);
        }
    }

    pub(super) fn forget_all(&self) {
        let mut known = self.known.lock();
        self.forgotten.fetch_add(1, std::sync::atomic::Ordering::AcqRel);
        known.clear();
    }

    pub(super) fn forget(&self, db: &str) {
        let mut known = self.known.lock();
        self.forgotten.fetch_add(1, std::sync::atomic::Ordering::AcqRel);
        known.remove(db);
    }
}
