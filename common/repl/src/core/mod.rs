//! Replication as a pure state machine: events and the time in, effects out.
//! No await, no clock, no randomness, no hash maps: the product, the model checker and the simulation run this same code.
//! Knows nothing of sockets, files or documents; the log is seen only as places in it. PROTOCOL.md tells the whole.

pub mod bug;
mod commit_point;
pub mod config;
pub mod effect;
mod election;
pub mod event;
mod heartbeat;
pub mod member;
pub mod message;
mod primary;
mod reconfig;
pub mod refusal;
pub mod rollback;
mod step_down;
mod sync_source;
pub mod timer;
mod view;
pub mod write_concern;

pub use effect::Effect;
pub use event::{Command, Event};
pub use member::{Member, Restored};
pub use message::{Body, Message, Position};
pub use refusal::Refusal;
pub use timer::{Time, Timer};
pub use view::PeerView;
