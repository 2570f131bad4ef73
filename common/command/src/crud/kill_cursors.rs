//! `killCursors`: closes cursors.

use types::Namespace;

/// A `killCursors` command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KillCursors {
    pub ns: Namespace,
    pub cursors: Vec<i64>,
}
