//! Places where a test may end the process, by name. `SHOAL_FAILPOINT=<name>:<n>` ends it the n-th time it comes there, as a
//! kill would: nothing is flushed, nothing is closed. Compiled into builds with debug assertions or the feature `failpoints`.

/// Every place, for tests that go through all of them.
#[cfg(any(debug_assertions, feature = "failpoints"))]
pub const POINTS: &[&str] = &[
    "before-append",
    "appended",
    "published",
    "written",
    "synced",
    "segment-full",
    "segment-made",
    "checkpoint-begun",
    "entries-flushed",
    "records-flushed",
    "counts-flushed",
    "control-written",
    "checkpoint-noted",
    "segment-dropped",
    "control-renaming",
    "spilled",
    "replaying",
    "recovered",
];

/// As [`POINTS`], those of a member that applies the log of another one, or copies it.
#[cfg(any(debug_assertions, feature = "failpoints"))]
pub const REPLICA_POINTS: &[&str] = &[
    "apply-before-append",
    "apply-appended",
    "apply-published",
    "command-applied",
    "import-begun",
    "log-restarted",
    "import-wiped",
    "catalog-imported",
    "keys-imported",
    "records-imported",
    "entries-imported",
    "old-entries-removed",
    "import-flushed",
    "import-complete",
    "import-noted",
];

#[cfg(any(debug_assertions, feature = "failpoints"))]
mod armed {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// Name, and how many times more it may be passed.
    static ARMED: OnceLock<Option<(String, AtomicU64)>> = OnceLock::new();

    pub(crate) fn point(name: &str) {
        let armed = ARMED.get_or_init(|| {
            let text = std::env::var("SHOAL_FAILPOINT").ok()?;
            let (name, times) = text.rsplit_once(':')?;
            Some((name.to_owned(), AtomicU64::new(times.parse().ok()?)))
        });
        if let Some((wanted, left)) = armed
            && wanted == name
            && left.fetch_sub(1, Ordering::Relaxed) == 1
        {
            std::process::abort();
        }
    }
}

#[cfg(any(debug_assertions, feature = "failpoints"))]
pub(crate) use armed::point;

#[cfg(not(any(debug_assertions, feature = "failpoints")))]
#[inline(always)]
pub(crate) fn point(_name: &str) {}
