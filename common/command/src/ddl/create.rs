//! `create`: a new, empty collection. Views, capped and time-series collections and validators are refused by name.

use types::{Namespace, Uuid};

/// A `create` command.
#[derive(Debug, Clone, PartialEq)]
pub struct Create {
    pub ns: Namespace,
    /// The options as `listCollections` shows them, without name and generic fields.
    pub options: bson::Document,
    /// A UUID that a router chose; absent from clients.
    pub uuid: Option<Uuid>,
}
