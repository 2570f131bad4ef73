//! One request, several shards: whom to ask, asking them at the same time, and making one answer of theirs.

mod fan_out;
mod merge;
mod targeting;
mod write_split;

pub(crate) use fan_out::routed;
pub use fan_out::{Attempts, fan_out, fan_out_heard};
pub use merge::{MergedCursor, Remote};
pub use targeting::{Reason, Targeted, key_target, target_filter};
pub use write_split::{Statement, WriteBatch, WriteKind, run_writes};
