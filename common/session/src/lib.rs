//! What outlives one command: open cursors and logical sessions, their limits and their end.
//! Knows nothing of what a cursor yields or of storage; time comes in as a value.

pub mod cursor_registry;
pub mod lsid;
pub mod reaper;

pub use cursor_registry::{CursorInfo, Cursors, Killed, Taken};
pub use lsid::{SessionInfo, Sessions};
pub use reaper::Reaper;
