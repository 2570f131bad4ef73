//! Which documents of a sharded collection this shard owns, by their shard key.

use bson::{Document, RawDocument};
use engine::DocumentFilter;
use sharding::CollectionRouting;
use std::sync::Arc;
use types::ShardId;

/// The chunks of one collection, seen from this shard.
#[derive(Debug)]
pub struct OwnershipFilter {
    shard: ShardId,
    routing: Arc<CollectionRouting>,
}

impl OwnershipFilter {
    /// A filter by a routing table.
    pub fn new(shard: ShardId, routing: Arc<CollectionRouting>) -> OwnershipFilter {
        OwnershipFilter { shard, routing }
    }
}

impl DocumentFilter for OwnershipFilter {
    fn owns(&self, doc: &RawDocument) -> bool {
        // A document whose key cannot be told was refused on its way in.
        self.routing.key.key_of(doc).is_ok_and(|key| self.routing.owns(&self.shard, &key))
    }

    /// Documents come to a shard only by being inserted where they belong: no chunk has ever moved away and left some behind.
    fn owns_all(&self) -> bool {
        true
    }

    fn is_led_by_key(&self, pattern: &RawDocument) -> bool {
        Document::try_from(pattern).is_ok_and(|pattern| self.routing.key.leads(&pattern))
    }
}
