//! Critical sections on several shards: entered one by one, always left together.

use crate::metadata::Metadata;
use bson::doc;
use sharding::documents::ShardEntry;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use types::{Code, Fault, Namespace, ShardId};

/// A section ends by itself after this long on the shard.
const LEASE: Duration = Duration::from_secs(30);
/// A change that is not committed by then is given up: its sections might end before the commit.
const COMMIT_MARGIN: Duration = Duration::from_secs(5);
/// Wait between tries to end a section.
const LEAVE_RETRY_INTERVAL: Duration = Duration::from_millis(500);

impl Metadata {
    /// Tells all shards that what earlier primaries held back need not be held back any more. Only saves waiting for leases, so it is
    /// tried once.
    pub(crate) fn end_earlier_sections(self: &Arc<Self>) {
        let metadata = self.clone();
        self.tasks.spawn("earlier-sections", async move {
            let shards = match metadata.view().and_then(|view| view.shards()) {
                Ok(shards) => shards,
                Err(fault) => return tracing::debug!(%fault, "shards are not told of this primary"),
            };
            let telling = shards.iter().map(|shard| async {
                if let Err(fault) = metadata.ask(shard, doc! { "_shardsvrEndCriticalSections": 1 }).await {
                    tracing::debug!(shard = %shard.id, %fault, "not told of this primary");
                }
            });
            futures::future::join_all(telling).await;
        });
    }
}

/// The sections on one collection that are open.
pub(super) struct Sections {
    metadata: Arc<Metadata>,
    ns: Namespace,
    /// With whether the shard said that it is open; if not, it may be all the same.
    entered: Vec<(ShardEntry, bool)>,
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
        self.entered.push((shard.clone(), false));
        let mut entered = self.enter_one(shard).await;
        if matches!(&entered, Err(fault) if fault.code == Code::HostUnreachable)
            && self.end_one(shard).await.is_ok()
        {
            // The connection had broken. Ended first, the section that the lost call may have opened is not in the way.
            entered = self.enter_one(shard).await;
        }
        match &entered {
            Ok(()) => {
                if let Some((_, confirmed)) = self.entered.last_mut() {
                    *confirmed = true;
                }
            }
            // It is of an earlier life of this server, and ends by its lease.
            Err(fault) if fault.code == Code::LockBusy => drop(self.entered.pop()),
            Err(_) => {}
        }
        entered
    }

    async fn enter_one(&self, shard: &ShardEntry) -> Result<(), Fault> {
        let body = doc! { "_shardsvrEnterCriticalSection": self.ns.as_str() };
        self.metadata.ask_once(shard, body).await.map(drop)
    }

    async fn end_one(&self, shard: &ShardEntry) -> Result<(), Fault> {
        let body = doc! { "_shardsvrLeaveCriticalSection": self.ns.as_str() };
        self.metadata.ask(shard, body).await.map(drop)
    }

    fn has(&self, shard: &ShardId) -> bool {
        self.entered.iter().any(|(entered, _)| entered.id == *shard)
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

    /// Ends all sections; tries until the shards' leases have ended them. A shard that did not even answer when its section was to be
    /// opened is asked once: it is down, and the client should hear so soon.
    pub(super) async fn leave(self) {
        let begun = self.since.unwrap_or_else(Instant::now);
        let leaving = self.entered.iter().map(|(shard, confirmed)| {
            let until = if *confirmed { begun + LEASE } else { begun };
            self.leave_one(shard, until)
        });
        futures::future::join_all(leaving).await;
    }

    async fn leave_one(&self, shard: &ShardEntry, until: Instant) {
        loop {
            let Err(fault) = self.end_one(shard).await else { return };
            if Instant::now() + LEAVE_RETRY_INTERVAL >= until {
                tracing::warn!(shard = %shard.id, ns = %self.ns, %fault, "critical section left to its lease");
                return;
            }
            tokio::time::sleep(LEAVE_RETRY_INTERVAL).await;
        }
    }
}
