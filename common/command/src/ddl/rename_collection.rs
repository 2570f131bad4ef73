//! `renameCollection`: another name for a collection.

use types::Namespace;

/// A `renameCollection` command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenameCollection {
    pub from: Namespace,
    pub to: Namespace,
    /// Remove a collection that has the new name.
    pub drop_target: bool,
}
