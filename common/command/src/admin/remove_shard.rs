//! `removeShard`: takes a shard out of the cluster.

use types::ShardId;

/// A `removeShard` command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoveShard {
    pub shard: ShardId,
}
