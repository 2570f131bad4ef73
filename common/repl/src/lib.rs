//! Replica sets: the configuration, who is primary, and the commands that arrange it. This release runs sets of one member; nothing
//! outside this crate may assume so.

mod clock;
pub mod commands;
pub mod core;
mod replication;
mod view;

pub use clock::StoreClock;
pub use commands::commands;
pub use core::config::{MemberConfig, SetConfig};
pub use core::message::State as MemberState;
pub use replication::{HasReplication, Identity, Replication, State};
pub use view::{MemberPosition, ReadAt, View};
