//! `getMore`: the next batch of a cursor.

use bson::RawBson;
use std::num::NonZeroU64;
use types::Namespace;

/// A `getMore` command.
#[derive(Debug, Clone, PartialEq)]
pub struct GetMore {
    pub cursor_id: i64,
    /// Must be the namespace that the cursor was opened on; may be `db.$cmd.listCollections` and the like.
    pub ns: Namespace,
    pub batch_size: Option<NonZeroU64>,
    pub comment: Option<RawBson>,
}
