//! `addShard`: joins a replica set to the cluster.

/// An `addShard` command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddShard {
    /// The replica set's name: what stands before the slash.
    pub set: Option<String>,
    /// `host:port` of one or more members.
    pub hosts: Vec<String>,
    /// The name that the shard gets; by default the set's.
    pub name: Option<String>,
}
