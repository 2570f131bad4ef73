//! What a running command knows of its surroundings.

use crate::Envelope;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;
use types::{DatabaseVersion, ShardVersion};

/// Who is at the other end of a connection.
#[derive(Debug)]
pub struct Client {
    /// `connectionId` of hello; unique in this process.
    pub connection_id: i64,
    pub remote: SocketAddr,
    pub local: SocketAddr,
    /// A router or server of the cluster on the gRPC door, not a driver.
    pub internal: bool,
    /// The metadata document of hello, once it came.
    pub metadata: std::sync::OnceLock<bson::RawDocumentBuf>,
}

/// How a router routed the request to this shard. Absent for direct connections.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Routing {
    /// The version of the command's namespace in the router's table.
    pub shard_version: Option<ShardVersion>,
    /// The version of the command's database in the router's table (requests to the home shard).
    pub database_version: Option<DatabaseVersion>,
    /// Append `$sortKey` (binary: bytes that compare as the sort) as the last field of each document of a find or of a
    /// sorted shard pipeline, so that the router can merge.
    pub with_sort_key: bool,
}

/// The surroundings of one command.
#[derive(Debug, Clone)]
pub struct Context {
    pub client: Arc<Client>,
    pub envelope: Arc<Envelope>,
    /// `opid` of currentOp; the same on the router and, as text, in the logs of the shards.
    pub operation_id: i64,
    /// After this the command must have ended: from `maxTimeMS`, or from the router's deadline.
    pub deadline: Option<Instant>,
    /// Set when the client is gone or the operation was killed; long loops look at it.
    pub killed: Arc<AtomicBool>,
    pub routing: Option<Arc<Routing>>,
}

impl Context {
    /// Whether the operation should stop now.
    ///
    /// # Errors
    /// `Interrupted` (11601) once killed, `MaxTimeMSExpired` (50) past the deadline; `now` is the caller's monotonic clock.
    pub fn check(&self, now: Instant) -> Result<(), types::Fault> {
        if self.killed.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(types::Fault::new(types::Code::Interrupted, "operation was interrupted"));
        }
        if self.deadline.is_some_and(|deadline| now >= deadline) {
            return Err(types::Fault::new(types::Code::MaxTimeMSExpired, "operation exceeded time limit"));
        }
        Ok(())
    }
}
