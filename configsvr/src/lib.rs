//! The config server: keeps the cluster's metadata, and alone changes them.
//! This library is its inside: the catalogue, the changes of definitions, the service that routers and shards ask, and the commands.

pub mod catalog;
mod commands;
pub mod config;
mod ddl;
mod metadata;
pub mod node;
mod replica;
mod service;
mod shard_calls;
mod shard_hosts;

pub use commands::commands;
pub use ddl::{Dropped, Sharded};
pub use metadata::{HasMetadata, Metadata, OwnAddress};
pub use replica::Replica;
pub use shard_calls::{RpcCalls, ShardCalls};
