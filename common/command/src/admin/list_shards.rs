//! `listShards`: the shards of the cluster.

use value::SharedDoc;

/// A `listShards` command.
#[derive(Debug, Clone, PartialEq)]
pub struct ListShards {
    /// Empty where the client gave none.
    pub filter: SharedDoc,
}
