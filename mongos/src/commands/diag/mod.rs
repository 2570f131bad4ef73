//! Explaining and measuring over all shards.

pub(super) mod coll_stats;
mod current_op;
mod data_distribution;
pub(super) mod db_stats;
pub(super) mod explain;
pub(super) mod kill_op;
mod sums;
pub(super) mod validate;

pub(super) use current_op::current_operations;
pub(super) use data_distribution::data_distribution;
