//! Replica sets: [`core`] decides, the driver around it acts, and [`Replication`] is what the rest of the process sees of both.

mod applied;
mod board;
mod changes;
mod clock;
pub mod commands;
mod convert;
pub mod core;
mod data;
mod driver;
mod identity;
mod replication;
mod service;
mod shared;
mod status;
mod store_data;
#[cfg(test)]
mod tests;
mod view;
mod wait;

pub use applied::AppliedOps;
pub use clock::StoreClock;
pub use commands::commands;
pub use core::config::{MemberConfig, SetConfig};
pub use core::message::State as MemberState;
pub use driver::make_room;
pub use identity::Identity;
pub use replication::{ApplyHold, HasReplication, Replication};
pub use shared::MajorityPoint;
pub use status::state_name;
pub use view::{MemberPosition, ReadAt, View};
