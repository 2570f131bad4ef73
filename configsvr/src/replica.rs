//! What the metadata need of the replica set they are kept in: who may change them, and what a majority has of them.

use command::BoxFuture;
use member::Waits;
use repl::Replication;
use std::sync::Arc;
use std::time::{Duration, Instant};
use types::{Fault, OpTime, Timestamp, WriteConcern};

/// How long a change of metadata waits for a majority before its outcome is called unknown.
const MAJORITY_TIMEOUT: Duration = Duration::from_secs(30);

/// The replica set around the metadata.
pub trait Replica: Send + Sync + 'static {
    /// Whether this member is the one that reads and changes metadata.
    ///
    /// # Errors
    /// `NotWritablePrimary` (10107).
    fn check_primary(&self) -> Result<(), Fault>;

    /// The term in which it governs.
    fn term(&self) -> i64;

    /// Up to where a majority has everything.
    fn settled(&self) -> Timestamp;

    /// Ends when a majority has the write.
    fn await_majority(&self, at: OpTime) -> BoxFuture<Result<(), Fault>>;
}

/// The replica set of this process.
pub(crate) struct Member {
    pub(crate) replication: Arc<Replication>,
    pub(crate) waits: Waits,
}

impl Replica for Member {
    fn check_primary(&self) -> Result<(), Fault> {
        self.replication.check_writable()
    }

    fn term(&self) -> i64 {
        self.replication.view().term
    }

    fn settled(&self) -> Timestamp {
        self.replication.commit_point().ts
    }

    fn await_majority(&self, at: OpTime) -> BoxFuture<Result<(), Fault>> {
        let waits = self.waits.clone();
        Box::pin(async move {
            let deadline = Some(Instant::now() + MAJORITY_TIMEOUT);
            match waits.acknowledge(at, WriteConcern::default(), deadline).await? {
                None => Ok(()),
                Some(error) => Err(Fault::new(error.code, error.message)
                    .context("the change may or may not outlive the loss of the config server's primary")),
            }
        })
    }
}
