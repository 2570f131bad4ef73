//! Growing and arranging the cluster. Whatever changes its metadata is run by the config server.

pub(super) mod add_shard;
pub(super) mod balancer_status;
pub(super) mod default_rw_concern;
pub(super) mod enable_sharding;
pub(super) mod flush_router_config;
pub(super) mod get_shard_map;
pub(super) mod list_shards;
pub(super) mod shard_collection;
pub(super) mod split;
