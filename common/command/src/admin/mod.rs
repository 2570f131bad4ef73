//! Commands that set up and change the cluster.

pub mod add_shard;
pub mod append_oplog_note;
pub mod balancer_status;
pub mod default_rw_concern;
pub mod enable_sharding;
pub mod flush_router_config;
pub mod fsync;
pub mod get_shard_map;
pub mod list_shards;
pub mod remove_shard;
pub mod repl_set_get_config;
pub mod repl_set_get_status;
pub mod repl_set_initiate;
pub mod shard_collection;
pub mod split;

pub use add_shard::AddShard;
pub use append_oplog_note::AppendOplogNote;
pub use balancer_status::BalancerStatus;
pub use default_rw_concern::{GetDefaultRwConcern, SetDefaultRwConcern};
pub use enable_sharding::EnableSharding;
pub use flush_router_config::FlushRouterConfig;
pub use fsync::{Fsync, FsyncUnlock};
pub use get_shard_map::GetShardMap;
pub use list_shards::ListShards;
pub use remove_shard::RemoveShard;
pub use repl_set_get_config::ReplSetGetConfig;
pub use repl_set_get_status::ReplSetGetStatus;
pub use repl_set_initiate::ReplSetInitiate;
pub use shard_collection::ShardCollection;
pub use split::{Split, SplitPoint};
