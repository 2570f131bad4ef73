//! What the engine asks of the server around it: who owns a document, who may write, when a write counts as acknowledged.
//! The defaults are those of a member that stands alone and owns all that it stores.

use crate::Engine;
use bson::RawDocument;
use command::{BoxFuture, WriteConcernError};
use std::sync::Arc;
use std::time::Instant;
use types::{Code, Fault, Namespace, OpTime, ReadConcern, W, WriteConcern};

/// Tells which stored documents belong to this shard; the others are invisible.
pub trait DocumentFilter: Send + Sync {
    /// Whether this shard owns the document.
    fn owns(&self, doc: &RawDocument) -> bool;

    /// Whether it is known that every stored document is owned. Then counts need no scan.
    fn owns_all(&self) -> bool {
        false
    }
}

/// How a member is named to clients.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// `host:port`.
    pub host: String,
    /// The shard's name, once it is part of a cluster.
    pub shard: Option<String>,
}

/// Bytes of the file system that holds the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disk {
    pub used: u64,
    pub total: u64,
}

/// A server that executes commands against its own storage.
pub trait HasEngine: Send + Sync + 'static {
    fn engine(&self) -> &Arc<Engine>;

    /// How statistics name this member.
    fn identity(&self) -> Identity {
        Identity::default()
    }

    /// The file system that holds the data; `None` where it is not known.
    fn disk(&self) -> Option<Disk> {
        None
    }

    /// The filter of a sharded collection; `None` where all documents are owned.
    fn ownership(&self, ns: &Namespace) -> Option<Arc<dyn DocumentFilter>> {
        let _ = ns;
        None
    }

    /// Whether this member takes writes to the namespace now.
    ///
    /// # Errors
    /// `NotWritablePrimary` and its kin.
    fn check_writable(&self, ns: &Namespace) -> Result<(), Fault> {
        let _ = ns;
        Ok(())
    }

    /// Whether a write may create the collection by itself: a shard refuses where it is not the database's home.
    ///
    /// # Errors
    /// `CannotImplicitlyCreateCollection` (227) or a stale route.
    fn check_creatable(&self, ns: &Namespace) -> Result<(), Fault> {
        let _ = ns;
        Ok(())
    }

    /// Ends when the write is as safe as `concern` asks. Here: a set of one member, so its own journal is the majority.
    fn acknowledge(
        &self,
        op_time: OpTime,
        concern: &WriteConcern,
        deadline: Option<Instant>,
    ) -> BoxFuture<Result<Option<WriteConcernError>, Fault>> {
        crate::acknowledge::single_member(self.engine(), op_time, concern, deadline)
    }

    /// Ends when a read with this concern may take the newest snapshot. Here: at once, unless a later time is asked for.
    fn read_ready(&self, concern: &ReadConcern, deadline: Option<Instant>) -> BoxFuture<Result<(), Fault>> {
        crate::acknowledge::read_ready(self.engine(), concern, deadline)
    }
}

/// Whether a set of one member can ever satisfy the concern.
pub(crate) fn satisfiable_alone(concern: &WriteConcern) -> Result<(), WriteConcernError> {
    match &concern.w {
        W::Majority | W::Count(0 | 1) => Ok(()),
        W::Count(_) => Err(WriteConcernError {
            code: Code::CannotSatisfyWriteConcern,
            message: "Not enough data-bearing nodes".to_owned(),
            info: None,
        }),
        W::Mode(mode) => Err(WriteConcernError {
            code: Code::UnknownReplWriteConcern,
            message: format!("No write concern mode named '{mode}' found in replica set configuration"),
            info: None,
        }),
    }
}
