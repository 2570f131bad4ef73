//! `enableSharding`: makes a database known to the cluster, with a home shard.

use types::ShardId;

/// An `enableSharding` command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnableSharding {
    pub db: String,
    /// The home shard that the client wants.
    pub primary: Option<ShardId>,
}
