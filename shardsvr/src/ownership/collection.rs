//! The version of one collection on this shard, behind the lock that writers share and a critical section takes alone.

use arc_swap::ArcSwapOption;
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
    /// The routing of what is known, for those inside: while somebody waits to close the gate, they could not share it once more.
    routing: Arc<ArcSwapOption<CollectionRouting>>,
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

    /// Where the chunks are, as far as known. Does not change while a writer is inside.
    pub fn routing(&self) -> Option<Arc<CollectionRouting>> {
        self.routing.load_full()
    }

    /// Takes the gate alone: ends when everyone inside has left.
    pub async fn close(&self) -> OwnedRwLockWriteGuard<Known> {
        let mut known = self.known.clone().write_owned().await;
        self.clear(&mut known);
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
            self.routing.store(owned.routing.clone());
            *known = Some(owned);
        }
    }

    /// Throws the knowledge away: the next request asks the config server.
    pub async fn forget(&self) {
        self.clear(&mut *self.known.write().await);
    }

    fn clear(&self, known: &mut Known) {
        self.forgotten.fetch_add(1, Ordering::AcqRel);
        self.routing.store(None);
        *known = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::doc;
    use futures::FutureExt;
    use sharding::{Chunk, ChunkMap, ChunkVersion, ShardKey};
    use types::{Generation, Namespace, ShardId, Timestamp, Uuid};

    fn owned() -> Owned {
        let key = ShardKey::from_document(&doc! { "a": 1 }).unwrap();
        let chunk = Chunk {
            id: bson::oid::ObjectId::new(),
            min: key.global_min(),
            max: key.global_max(),
            shard: ShardId::new("s"),
            version: ChunkVersion { major: 1, minor: 0 },
            history: Vec::new(),
            jumbo: false,
        };
        let routing = CollectionRouting {
            ns: Namespace::parse("db.c").unwrap(),
            uuid: Uuid([7; 16]),
            generation: Generation { epoch: bson::oid::ObjectId::new(), timestamp: Timestamp::new(1, 1) },
            chunks: ChunkMap::new(&key, [chunk]).unwrap(),
            key,
            unique: false,
            default_collation: None,
            unsplittable: false,
        };
        Owned { version: routing.shard_version(&ShardId::new("s")), routing: Some(Arc::new(routing)) }
    }

    /// A writer inside goes by the routing that it was admitted with, also while a critical section waits for it to leave.
    #[tokio::test]
    async fn the_routing_stays_while_somebody_is_inside() {
        let gate = CollectionGate::default();
        assert!(gate.routing().is_none());
        gate.learn(gate.mark(), owned()).await;
        let inside = gate.enter().await;
        let mut closing = Box::pin(gate.close());
        assert!(closing.as_mut().now_or_never().is_none(), "somebody is inside");
        assert!(gate.try_enter().is_none(), "nobody else comes in");
        assert!(gate.routing().is_some());
        drop(inside);
        let closed = closing.await;
        assert!(gate.routing().is_none() && closed.is_none());
    }
}
