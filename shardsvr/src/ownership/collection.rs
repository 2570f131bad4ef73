//! The version of one collection on this shard, behind the lock that writers share and a critical section takes alone.

use sharding::CollectionRouting;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};
use types::ShardVersion;

/// What the shard knows of a collection; `None` until the config server was asked.
pub(crate) type Known = Option<Owned>;

/// A collection on this shard.
#[derive(Debug, Clone)]
pub struct Owned {
    pub version: ShardVersion,
    /// Where its chunks are; `None` where it is not sharded.
    pub routing: Option<Arc<CollectionRouting>>,
}

/// The gate of one collection. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct CollectionGate {
    known: Arc<RwLock<Known>>,
    /// Rises whenever knowledge is thrown away, so that an answer of the config server from before is not taken for new.
    forgotten: Arc<AtomicU64>,
}

impl CollectionGate {
    /// Whether anybody else has a handle: is inside, waits, or is about to enter.
    pub fn is_in_use(&self) -> bool {
        Arc::strong_count(&self.known) > 1
    }

    /// Shares the gate if nobody has it alone.
    pub fn try_enter(&self) -> Option<OwnedRwLockReadGuard<Known>> {
        self.known.clone().try_read_owned().ok()
    }

    /// Shares the gate; waits for a critical section to end.
    pub async fn enter(&self) -> OwnedRwLockReadGuard<Known> {
        self.known.clone().read_owned().await
    }

    /// Takes the gate alone: ends when everyone inside has left.
    pub async fn close(&self) -> OwnedRwLockWriteGuard<Known> {
        let mut known = self.known.clone().write_owned().await;
        self.forgotten.fetch_add(1, Ordering::AcqRel);
        *known = None;
        known
    }

    /// The mark to hand to [`CollectionGate::learn`], taken before the config server is asked.
    pub fn mark(&self) -> u64 {
        self.forgotten.load(Ordering::Acquire)
    }

    /// Takes over what the config server said, unless knowledge was thrown away since `mark`.
    pub async fn learn(&self, mark: u64, owned: Owned) {
        let mut known = self.known.write().await;
        if self.forgotten.load(Ordering::Acquire) == mark {
            *known = Some(owned);
        }
    }

    /// Throws the knowledge away: the next request asks the config server.
    pub async fn forget(&self) {
        let mut known = self.known.write().await;
        self.forgotten.fetch_add(1, Ordering::AcqRel);
        *known = None;
    }
}
