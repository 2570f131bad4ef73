//! What the engine asks of the server around it: who owns a document, who may write, when a write counts as acknowledged.
//! The defaults are those of a member that owns all that it stores.

use crate::Engine;
use bson::{RawDocument, RawDocumentBuf};
use command::{BoxFuture, WriteConcernError};
use std::sync::Arc;
use std::time::Instant;
use types::{Fault, Namespace, OpTime, ReadAt, ReadConcern, WriteConcern};

/// Tells which stored documents belong to this shard; the others are invisible.
pub trait DocumentFilter: Send + Sync {
    /// Whether this shard owns the document.
    fn owns(&self, doc: &RawDocument) -> bool;

    /// Whether it is known that every stored document is owned. Then counts need no scan.
    fn owns_all(&self) -> bool {
        false
    }

    /// Whether an index of that pattern begins with the shard key.
    fn is_led_by_key(&self, pattern: &RawDocument) -> bool;
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

/// What of a server is the same for all that are members of a set: its part in the set, its disk, what it shows of itself.
pub trait Surroundings: Send + Sync {
    /// The file system that holds the data; `None` where it is not known.
    fn disk(&self) -> Option<Disk> {
        None
    }

    /// Whether this member takes writes to the namespace now.
    ///
    /// # Errors
    /// `NotWritablePrimary` and its kin.
    fn check_writable(&self, _ns: &Namespace) -> Result<(), Fault> {
        Ok(())
    }

    /// Ends when the write is as safe as `concern` asks.
    fn acknowledge(
        &self,
        op_time: OpTime,
        concern: &WriteConcern,
        deadline: Option<Instant>,
    ) -> BoxFuture<Result<Option<WriteConcernError>, Fault>>;

    /// Ends when a read with this concern is possible, and says where to take its snapshot. Asked only where the newest snapshot
    /// will not do.
    fn read_ready(
        &self,
        concern: &ReadConcern,
        deadline: Option<Instant>,
    ) -> BoxFuture<Result<ReadAt, Fault>>;

    /// The write concern of clients that name none, where no administrator set one.
    fn implicit_write_concern(&self) -> WriteConcern {
        WriteConcern::default()
    }

    /// Whether nothing is to be written now that no client asks for: somebody copies the files.
    fn holds_background_writes(&self) -> bool {
        false
    }

    /// The documents of a collection that is shown but not stored; `None` for all others.
    fn virtual_documents(&self, _ns: &Namespace) -> Option<Vec<RawDocumentBuf>> {
        None
    }

    /// The documents of a `$currentOp` stage.
    ///
    /// # Errors
    /// Those of its options; `NotImplemented` (238) where the server does not list its operations.
    fn current_operations(&self, _stage: &RawDocument) -> Result<Vec<RawDocumentBuf>, Fault> {
        Err(Fault::not_implemented("$currentOp"))
    }
}

/// A server that executes commands against its own storage.
pub trait HasEngine: Send + Sync + 'static {
    fn engine(&self) -> &Arc<Engine>;

    fn surroundings(&self) -> &dyn Surroundings;

    /// How statistics name this member.
    fn identity(&self) -> Identity {
        Identity::default()
    }

    /// The filter of a sharded collection; `None` where all documents are owned.
    fn ownership(&self, _ns: &Namespace) -> Option<Arc<dyn DocumentFilter>> {
        None
    }

    /// Whether a write may create the collection by itself: a shard refuses where it is not the database's home.
    ///
    /// # Errors
    /// `CannotImplicitlyCreateCollection` (227) or a stale route.
    fn check_creatable(&self, _ns: &Namespace) -> Result<(), Fault> {
        Ok(())
    }

    /// Whether this member keeps the defaults of clients that name no concern.
    ///
    /// # Errors
    /// 51301 on a shard, whose cluster keeps them.
    fn check_keeps_defaults(&self, _command: &str) -> Result<(), Fault> {
        Ok(())
    }

    /// Called after the defaults were changed through this member.
    fn defaults_changed(&self) {}
}
