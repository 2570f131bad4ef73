//! `replSetGetConfig`: the replica set's configuration.

/// A `replSetGetConfig` command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplSetGetConfig;
