//! Explaining and measuring over all shards.

pub(super) mod coll_stats;
mod data_distribution;
pub(super) mod db_stats;
pub(super) mod explain;
mod sums;
pub(super) mod validate;

pub(super) use data_distribution::data_distribution;
