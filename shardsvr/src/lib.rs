//! A shard: a member of a replica set that owns some chunks of the cluster's collections and refuses requests that were routed
//! with another idea of which.

pub mod commands;
pub mod config;
pub mod node;
pub mod ownership;
