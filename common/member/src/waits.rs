//! The waits of reads and writes for the other members, and the nudge that lets time go on in a set where nobody writes.

use bson::rawdoc;
use command::{Request, WriteConcernError};
use repl::Replication;
use rpc::Pool;
use runtime::clock::HybridClock;
use std::sync::Arc;
use std::time::{Duration, Instant};
use storage::Store;
use types::{Code, Fault, OpTime, ReadAt, ReadConcern, ReadConcernLevel, Timestamp, WriteConcern};

/// How long a secondary waits for a later time before it asks the primary to write something.
const NUDGE_AFTER: Duration = Duration::from_millis(10);
/// Wait between two such requests.
const NUDGE_INTERVAL: Duration = Duration::from_millis(500);

/// What the waits need of a member. Cheap to clone.
#[derive(Clone)]
pub struct Waits {
    pub(crate) replication: Arc<Replication>,
    pub(crate) store: Store,
    pub(crate) clock: Arc<HybridClock>,
    pub(crate) pool: Pool,
}

impl Waits {
    /// Ends when the write at `at` is as safe as asked for.
    ///
    /// # Errors
    /// A failure of storage, or that this member is no primary any more.
    pub async fn acknowledge(
        self,
        at: OpTime,
        concern: WriteConcern,
        deadline: Option<Instant>,
    ) -> Result<Option<WriteConcernError>, Fault> {
        self.replication.await_write_concern(at, &concern, deadline).await
    }

    /// Ends when a read with this concern is possible, and says where it is to look.
    ///
    /// # Errors
    /// `InvalidOptions` (72) for a time that nobody has seen, `NotWritablePrimary` (10107) for a linearizable read of a secondary,
    /// `MaxTimeMSExpired` (50), and what the part of this member forbids.
    pub async fn read_ready(self, concern: ReadConcern, deadline: Option<Instant>) -> Result<ReadAt, Fault> {
        if concern.level == Some(ReadConcernLevel::Linearizable) {
            self.replication.check_writable().map_err(|fault| {
                fault.context("cannot satisfy linearizable read concern on non-primary node")
            })?;
        }
        let ready = self.replication.await_read(&concern, deadline);
        let at = match concern.after_cluster_time.or(concern.at_cluster_time) {
            None => ready.await?,
            Some(wanted) => {
                self.check_known(wanted)?;
                tokio::select! {
                    biased;
                    at = ready => at?,
                    fault = self.nudge(wanted) => return Err(fault),
                }
            }
        };
        Ok(match at {
            repl::ReadAt::Latest => ReadAt::Latest,
            repl::ReadAt::At(at) => ReadAt::At(at),
        })
    }

    /// Refuses a time that is later than everything this process has heard of.
    fn check_known(&self, wanted: Timestamp) -> Result<(), Fault> {
        let latest = self.clock.latest().max(self.store.last_op_time().ts);
        if wanted > latest {
            return Err(Fault::new(
                Code::InvalidOptions,
                format!(
                    "readConcern afterClusterTime value must not be greater than the current clusterTime. Requested clusterTime: \
                     {wanted}; current clusterTime: {latest}"
                ),
            ));
        }
        Ok(())
    }

    /// Makes the primary write something as long as the log has not reached `wanted`: the time came from elsewhere in the cluster, and
    /// here nobody may ever write. Ends only with a failure of storage.
    async fn nudge(&self, wanted: Timestamp) -> Fault {
        let mut pause = NUDGE_AFTER;
        loop {
            if self.store.last_op_time().ts >= wanted {
                return std::future::pending().await;
            }
            if self.replication.check_writable().is_ok() {
                // The clock has observed the time, so the entry gets a later one.
                self.clock.observe(wanted);
                match self.store.noop(&rawdoc! { "msg": "for a read after a time of the cluster" }) {
                    Ok(_) => continue,
                    Err(error) if error.fault().code.is_not_primary() => {}
                    Err(error) => return error.fault(),
                }
            }
            tokio::time::sleep(pause).await;
            pause = NUDGE_INTERVAL;
            if self.store.last_op_time().ts < wanted && self.replication.check_writable().is_err() {
                self.ask_primary(wanted).await;
            }
        }
    }

    async fn ask_primary(&self, wanted: Timestamp) {
        let view = self.replication.view();
        let Some(peer) = view.primary_host().and_then(|host| self.pool.peer(host).ok()) else { return };
        let mut body = rawdoc! {
            "appendOplogNote": 1,
            "data": { "msg": "for a read after a time of the cluster" },
            "maxClusterTime": bson::Timestamp::from(wanted),
            "writeConcern": { "w": 1 },
        };
        body.append(bson::cstr!("$db"), "admin");
        let request = Request::from_body(body);
        let deadline = Some(Instant::now() + NUDGE_INTERVAL);
        if let Err(fault) = peer.call(&request, None, deadline).await
            && fault.code != Code::StaleClusterTime
        {
            tracing::debug!(primary = %peer.host(), %fault, "the primary did not write a note");
        }
    }
}
