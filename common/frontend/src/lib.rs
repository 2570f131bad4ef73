//! The door of every server: sockets, messages, the table of commands, and what all commands share (envelope, deadline,
//! counters, error replies, gossip). Two ways in, the wire protocol and gRPC, and one path: [`dispatch()`].
//! Knows nothing of what a command does.

pub mod commands;
mod connection;
pub mod counters;
pub mod dispatch;
mod exhaust;
pub mod front;
pub mod host;
pub mod listener;
mod metrics;
pub mod operations;
pub mod parameters;
mod prefixed;
mod read_concern;
pub mod registry;
pub mod reply;
mod sniff;
mod socket;
pub mod write_lock;

pub use commands::commands;
pub use dispatch::{Call, dispatch};
pub use front::{Front, FrontOptions};
pub use host::{Admitted, Gossip, Hello, Host, LastWrite, MemberHello, Role};
pub use listener::{Frontend, GrpcIncoming, Listening, Options};
pub use prefixed::PrefixedStream;
pub use registry::{DuplicateName, Registry};
