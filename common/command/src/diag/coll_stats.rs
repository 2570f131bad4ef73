//! `collStats`: sizes of one collection.

use types::Namespace;

/// A `collStats` command.
#[derive(Debug, Clone, PartialEq)]
pub struct CollStats {
    pub ns: Namespace,
    /// Sizes are divided by this; at least 1.
    pub scale: i64,
}
