//! Critical sections on several shards: entered one by one, always left together.

use super::shards::STEP_TIMEOUT;
use crate::metadata::Metadata;
use bson::doc;
use sharding::documents::ShardEntry;
use std::sync::Arc;
use std::time::{Duration, Instant};
use types::{Code, Fault, Namespace, ShardId};

/// A section ends by itself after this long on the shard.
const LEASE: Duration = Duration::from_secs(30);
/// A change that is not committed by then is given up: its sections might end before the commit.
const COMMIT_MARGIN: Duration = Duration::from_secs(5);
/// Wait between tries to end a section.
const LEAVE_RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// The sections on one collection that are open.
pub(super) struct Sections {
    metadata: Arc<Metadata>,
    ns: Namespace,
    entered: Vec<ShardEntry>,
    since: Option<Instant>,
}

impl Sections {
    /// None yet.
    pub(super) fn new(metadata: &Arc<Metadata>, ns: &Namespace) -> Sections {
        Sections { metadata: metadata.clone(), ns: ns.clone(), entered: Vec::new(), since: None }
    }

    /// Opens a section on a shard, unless it is open already.
    pub(super) async fn enter(&mut self, shard: &ShardEntry) -> Result<(), Fault> {
        if self.has(&shard.id) {
            return Ok(());
        }
        // Before the call: if its answer is lost, the section may be open all the same.
        self.since.get_or_insert_with(Instant::now);
        self.entered.push(shard.clone());
        let entered = self.metadata.ask(shard, doc! { "_shardsvrEnterCriticalSection": self.ns.as_str() }).await;
        if let Err(fault) = &entered
            && fault.code == Code::LockBusy
        {
            // It is another one's, and not ours to end.
            self.entered.pop();
        }
        entered.map(drop)
    }

    fn has(&self, shard: &ShardId) -> bool {
        self.entered.iter().any(|entered| entered.id == *shard)
    }

    /// Whether all sections are certain to be open still.
    ///
    /// # Errors
    /// `ExceededTimeLimit` (262).
    pub(super) fn check(&self) -> Result<(), Fault> {
        match self.since {
            Some(since) if since.elapsed() + COMMIT_MARGIN > LEASE => Err(Fault::new(
                Code::ExceededTimeLimit,
                format!("{}: the shards took too long to answer; nothing was changed, try again", self.ns),
            )),
            _ => Ok(()),
        }
    }

    /// Ends all sections; tries until the shards' leases have ended them.
    pub(super) async fn leave(self) {
        let until = self.since.unwrap_or_else(Instant::now) + LEASE;
        let leaving = self.entered.iter().map(|shard| self.leave_one(shard, until));
        futures::future::join_all(leaving).await;
    }

    async fn leave_one(&self, shard: &ShardEntry, until: Instant) {
        loop {
            let left = self.metadata.ask(shard, doc! { "_shardsvrLeaveCriticalSection": self.ns.as_str() }).await;
            let Err(fault) = left else { return };
            if Instant::now() + LEAVE_RETRY_INTERVAL.min(STEP_TIMEOUT) >= until {
                tracing::warn!(shard = %shard.id, ns = %self.ns, %fault, "critical section left to its lease");
                return;
            }
            tokio::time::sleep(LEAVE_RETRY_INTERVAL).await;
        }
    }
}
