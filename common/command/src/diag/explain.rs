//! `explain`: how another command would run.

use crate::crud::{Aggregate, Count, Delete, Distinct, Find, FindAndModify, Update};
use crate::options::Verbosity;
use crate::Request;

/// An `explain` command.
#[derive(Debug, Clone, PartialEq)]
pub struct Explain {
    /// The inner command as a request of its own, with `$db`.
    pub request: Request,
    pub inner: Explained,
    pub verbosity: Verbosity,
}

/// The command that is explained, parsed.
#[derive(Debug, Clone, PartialEq)]
pub enum Explained {
    Aggregate(Aggregate),
    Count(Count),
    Delete(Delete),
    Distinct(Distinct),
    Find(Find),
    FindAndModify(FindAndModify),
    Update(Update),
}
