//! `replSetInitiate`: the first configuration of a replica set.

use value::SharedDoc;

/// A `replSetInitiate` command.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplSetInitiate {
    /// `None` for `{}`, null or 1: one member, the node itself.
    pub config: Option<SharedDoc>,
}
