//! Commands that set up and change the cluster.

pub mod add_shard;
pub mod balancer_status;
pub mod enable_sharding;
pub mod flush_router_config;
pub mod get_shard_map;
pub mod list_shards;
pub mod remove_shard;
pub mod repl_set_abort_primary_catch_up;
pub mod repl_set_freeze;
pub mod repl_set_get_config;
pub mod repl_set_get_status;
pub mod repl_set_initiate;
pub mod repl_set_reconfig;
pub mod repl_set_step_down;
pub mod repl_set_step_up;
pub mod repl_set_sync_from;
pub mod shard_collection;
pub mod split;

pub use add_shard::AddShard;
pub use balancer_status::BalancerStatus;
pub use enable_sharding::EnableSharding;
pub use flush_router_config::FlushRouterConfig;
pub use get_shard_map::GetShardMap;
pub use list_shards::ListShards;
pub use remove_shard::RemoveShard;
pub use repl_set_abort_primary_catch_up::ReplSetAbortPrimaryCatchUp;
pub use repl_set_freeze::ReplSetFreeze;
pub use repl_set_get_config::ReplSetGetConfig;
pub use repl_set_get_status::ReplSetGetStatus;
pub use repl_set_initiate::ReplSetInitiate;
pub use repl_set_reconfig::ReplSetReconfig;
pub use repl_set_step_down::ReplSetStepDown;
pub use repl_set_step_up::ReplSetStepUp;
pub use repl_set_sync_from::ReplSetSyncFrom;
pub use shard_collection::ShardCollection;
pub use split::{Split, SplitPoint};
