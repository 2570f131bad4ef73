//! Changes of what databases and collections mean. One runs at a time; each writes its outcome in one commit, and holds requests on
//! the collection back on the shards concerned while it runs. The order of steps, and what a crash at each leaves: PROTOCOL.md.

mod add_shard;
mod create_database;
mod drop_collection;
mod drop_database;
mod median;
mod sections;
mod shard_collection;
mod shards;
mod split;
#[cfg(test)]
mod tests;

pub use drop_collection::Dropped;
pub use shard_collection::Sharded;
