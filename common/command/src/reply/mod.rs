//! Shapes of replies that shards and routers build, and routers read back and merge.

pub mod cursor;
pub mod write;

pub use cursor::{CursorBatch, CursorReply};
pub use write::{Upserted, WriteConcernError, WriteError, WriteOutcome};
