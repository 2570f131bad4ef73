//! How the processes of a cluster reach each other: one long-lived bidirectional gRPC stream per peer carries all operations,
//! pipelined by id; rare calls are unary. A fault crosses as a value, never as a sentence to be searched.

mod address;
pub mod convert;
mod link;
mod monitor;
mod network;
mod peer;
mod pool;
mod server;
mod set;
mod together;
mod topology;

pub use address::SetAddress;
pub use network::{Connection, Network, Tcp};
pub use peer::{Answer, Peer};
pub use pool::Pool;
pub use server::{Call, Operations, serve};
pub use set::{Answered, Ask, Repeat, SELECTION_TIMEOUT, SetClient};
pub use together::Together;
pub use topology::{MemberKind, MemberState, Topology};

pub use proto::{cluster, replication};
pub use tonic::service::Routes;

const KIB: u32 = 1024;
const MIB: u32 = 1024 * KIB;

/// A gRPC message: a whole wire message and the little around it.
pub const MESSAGE_BYTES_MAX: usize = 64 * MIB as usize;
/// HTTP/2 flow control: a batch of documents must not stop for a window update.
pub(crate) const STREAM_WINDOW_BYTES: u32 = 4 * MIB;
pub(crate) const CONNECTION_WINDOW_BYTES: u32 = 16 * MIB;
/// Streams that a peer may open at a time on one connection.
pub(crate) const STREAM_COUNT_MAX: u32 = 128;
/// Operations that may run at a time for one stream.
pub(crate) const STREAM_OPERATION_COUNT_MAX: usize = 4096;
/// Messages waiting to be written to one stream.
pub(crate) const OUTBOX_COUNT_MAX: usize = 1024;
/// A peer that does not take a connection within this time is unreachable.
pub(crate) const CONNECT_TIMEOUT: std::time::Duration = std::time::Duration::from_millis(1_000);
/// An HTTP/2 ping goes out this often, so that a silent peer is noticed.
pub(crate) const KEEP_ALIVE_INTERVAL: std::time::Duration = std::time::Duration::from_millis(1_000);
/// A peer that does not answer a ping within this time is gone.
pub(crate) const KEEP_ALIVE_TIMEOUT: std::time::Duration = std::time::Duration::from_millis(2_000);
