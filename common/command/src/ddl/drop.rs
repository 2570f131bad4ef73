//! `drop`: removes a collection.

use types::{Namespace, Uuid};

/// A `drop` command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drop {
    pub ns: Namespace,
    /// Refuse unless the collection has this UUID.
    pub uuid: Option<Uuid>,
}
