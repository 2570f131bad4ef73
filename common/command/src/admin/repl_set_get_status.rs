//! `replSetGetStatus`: the members as this one sees them.

/// A `replSetGetStatus` command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplSetGetStatus;
