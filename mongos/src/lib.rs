//! The router: stateless, finds out which shards a command concerns, asks them, and makes one answer of theirs.

pub mod commands;
pub mod config;
pub mod defaults;
pub mod node;
pub mod routing;
pub mod scatter;
pub mod shards;
