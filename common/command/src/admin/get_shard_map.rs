//! `getShardMap`: the connection strings of all shards.

/// A `getShardMap` command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GetShardMap;
