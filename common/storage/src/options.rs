//! What a store is opened with. Checked once, at open.

use crate::predicate::Predicates;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use types::Timestamp;

/// One part of so many of the cache.
const VALUES_PART: usize = 4;
const MIB: usize = 1024 * 1024;

/// Where storage takes its times from; the one clock of the process implements it.
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since 1970.
    fn wall_millis(&self) -> i64;

    /// The next commit time: greater than `after`, and not behind the cluster time that the process has seen.
    fn tick(&self, after: Timestamp) -> Timestamp {
        let seconds = u32::try_from(self.wall_millis() / 1000).unwrap_or(u32::MAX);
        after.next().max(Timestamp::new(seconds, 1))
    }
}

/// The engine that holds what has been checkpointed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EngineKind {
    #[default]
    Sled,
    Fjall,
    /// Nothing outlives the process but the log; for tests.
    Memory,
}

impl EngineKind {
    /// The name in options and in the data directory.
    pub fn name(self) -> &'static str {
        match self {
            EngineKind::Sled => "sled",
            EngineKind::Fjall => "fjall",
            EngineKind::Memory => "memory",
        }
    }
}

impl EngineKind {
    /// The longest key of the store that the engine takes, also in the spill space, where zero bytes count twice.
    pub(crate) fn key_bytes_max(self) -> usize {
        match self {
            EngineKind::Fjall => 32_000,
            EngineKind::Sled | EngineKind::Memory => usize::MAX,
        }
    }
}

/// Told of the first damage of the base that is met while it runs. What it does must not wait for the store.
pub type OnDamage = Arc<dyn Fn(&str) + Send + Sync>;

/// Options of [`crate::Store::open`].
#[derive(Clone)]
pub struct Options {
    pub dir: PathBuf,
    pub engine: EngineKind,
    pub clock: Arc<dyn Clock>,
    /// Cache of the base engine.
    pub cache_bytes: usize,
    /// Recent versions in memory: a checkpoint runs past half of it, writers are slowed near it.
    pub versions_bytes_max: usize,
    /// The log is kept up to this size; what recovery needs is kept beyond it.
    pub oplog_bytes_max: u64,
    pub oplog_segment_bytes: u64,
    /// What is younger is kept in the log beyond its size.
    pub oplog_min_retention: Duration,
    pub checkpoint_interval: Duration,
    /// The log is synced at least this often, and at once when somebody waits for it.
    pub sync_interval: Duration,
    /// How far back `snapshot_at` reaches for certain while memory allows it.
    pub history_window: Duration,
    /// A snapshot held longer may be let go when memory runs out.
    pub snapshot_age_max: Duration,
    /// Highest time that a majority has, once there is a replica set; bounds what may reach the base. `None` is no bound.
    pub majority_point: Option<Arc<dyn Fn() -> Timestamp + Send + Sync>>,
    /// Beside [`crate::Store::failed`], for who must not rely on there being a thread that can still run.
    pub on_damage: Option<OnDamage>,
    /// Whether commits are taken from the start; else only after [`crate::Store::set_writable`].
    pub writable: bool,
    /// Makes the filters of partial indexes; without it there are none.
    pub predicates: Option<Arc<dyn Predicates>>,
}

impl Options {
    /// The part of the cache that holds single values.
    pub(crate) fn value_cache_bytes(&self) -> usize {
        self.cache_bytes / VALUES_PART
    }

    /// The rest, for the engine's own pages or blocks.
    pub(crate) fn engine_cache_bytes(&self) -> usize {
        self.cache_bytes - self.value_cache_bytes()
    }

    /// Defaults for a directory.
    pub fn new(dir: impl Into<PathBuf>, clock: Arc<dyn Clock>) -> Options {
        Options {
            dir: dir.into(),
            engine: EngineKind::default(),
            clock,
            cache_bytes: 256 * MIB,
            versions_bytes_max: 512 * MIB,
            oplog_bytes_max: 1024 * MIB as u64,
            oplog_segment_bytes: 64 * MIB as u64,
            oplog_min_retention: Duration::ZERO,
            checkpoint_interval: Duration::from_secs(60),
            sync_interval: Duration::from_millis(50),
            history_window: Duration::from_secs(10),
            snapshot_age_max: Duration::from_secs(300),
            majority_point: None,
            on_damage: None,
            writable: true,
            predicates: None,
        }
    }
}
