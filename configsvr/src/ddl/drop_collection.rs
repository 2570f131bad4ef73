//! A collection goes: its documents on the shards first, then what the cluster knows of it.
//! Also finishes the drops that a crash broke off.

use super::sections::Sections;
use crate::catalog::{Intent, IntentKind};
use crate::metadata::Metadata;
use bson::doc;
use sharding::documents::ShardEntry;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use types::{Code, Fault, Namespace, Uuid};

/// How long a start tries to finish what a crash broke off.
const RESUME_BOUND: Duration = Duration::from_secs(120);
/// Wait between these tries.
const RESUME_INTERVAL: Duration = Duration::from_secs(2);

/// What was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dropped {
    /// `nIndexesWas` of the reply.
    pub index_count: i32,
}

impl Metadata {
    /// Drops a collection, sharded or not. `None` if there was none.
    ///
    /// # Errors
    /// 361 where `uuid` differs; the fault of a shard that did not drop its part: what it has is then still there, and the drop can be
    /// tried again.
    pub async fn drop_collection(
        self: &Arc<Self>,
        ns: Namespace,
        uuid: Option<Uuid>,
        client: String,
    ) -> Result<Option<Dropped>, Fault> {
        let metadata = self.clone();
        self.detached("drop-collection", async move {
            let _changing = metadata.changing.lock().await;
            metadata.drop_collection_locked(&ns, uuid, &client).await
        })
        .await
    }

    pub(super) async fn drop_collection_locked(
        self: &Arc<Self>,
        ns: &Namespace,
        uuid: Option<Uuid>,
        client: &str,
    ) -> Result<Option<Dropped>, Fault> {
        let view = self.view()?;
        let Some(database) = view.database(ns.db())? else { return Ok(None) };
        let home = view.shard(&database.primary)?;
        let sharded = view.collection_document(ns)?.is_some();
        // Any shard may have owned chunks once.
        let mut shards = vec![home.clone()];
        if sharded {
            shards.extend(view.shards()?.into_iter().filter(|shard| shard.id != home.id));
        }
        let mut sections = Sections::new(self, ns);
        let outcome = self.drop_inside(&mut sections, &shards, ns, uuid, sharded, client).await;
        sections.leave().await;
        if sharded {
            self.tell_collection(ns);
        }
        outcome
    }

    async fn drop_inside(
        &self,
        sections: &mut Sections,
        shards: &[ShardEntry],
        ns: &Namespace,
        uuid: Option<Uuid>,
        sharded: bool,
        client: &str,
    ) -> Result<Option<Dropped>, Fault> {
        for shard in shards {
            sections.enter(shard).await?;
        }
        let Some(home) = shards.first() else { return Ok(None) };
        let info = self.collection_info(home, ns).await?;
        if let Some(wanted) = uuid
            && info.as_ref().and_then(|info| info.uuid) != Some(wanted)
        {
            return Err(Fault::new(
                Code::CollectionUUIDMismatch,
                format!("Collection UUID does not match that specified: {ns} is not {wanted}"),
            ));
        }
        if !sharded {
            // One shard drops it in one commit of its own.
            self.drop_on(home, ns).await?;
        } else {
            let intent = Intent { kind: IntentKind::Collection, name: ns.to_string() };
            let start = self.event("dropCollection.start", ns.as_str(), client, doc! {});
            sections.check()?;
            self.catalog
                .commit(|changes| {
                    changes.put_intent(&intent)?;
                    changes.log_change(&start)
                })
                .await?;
            let dropped = self.drop_everywhere(shards, ns).await.and_then(|()| sections.check());
            if let Err(fault) = dropped {
                self.catalog.commit(|changes| changes.remove_intent(&intent)).await?;
                return Err(fault.context(format!("{ns} is dropped on some shards only; run drop again")));
            }
            let end = self.event("dropCollection", ns.as_str(), client, doc! {});
            self.catalog
                .commit(|changes| {
                    if let Some(entry) = changes.view().collection(ns)? {
                        changes.remove_chunks(entry.uuid)?;
                    }
                    changes.remove_collection(ns)?;
                    changes.remove_zones(ns)?;
                    changes.remove_intent(&intent)?;
                    changes.log_change(&end)
                })
                .await?;
            tracing::info!(%ns, "sharded collection dropped");
        }
        let indexes = info.map(|info| i32::try_from(info.indexes.len()).unwrap_or(i32::MAX));
        Ok(match indexes {
            Some(index_count) => Some(Dropped { index_count }),
            None => sharded.then_some(Dropped { index_count: 0 }),
        })
    }

    async fn drop_everywhere(&self, shards: &[ShardEntry], ns: &Namespace) -> Result<(), Fault> {
        let drops = futures::future::join_all(shards.iter().map(|shard| self.drop_on(shard, ns))).await;
        drops.into_iter().collect()
    }

    /// Finishes, in the background, the drops that were running when this server, or the primary before it, stopped.
    pub(crate) fn resume_drops(self: &Arc<Self>) {
        let metadata = self.clone();
        self.tasks.spawn("resume-drops", async move {
            let stop = metadata.office();
            let since = Instant::now();
            loop {
                if stop.is_cancelled() {
                    return;
                }
                let outcome = metadata.resume_once(since.elapsed() >= RESUME_BOUND).await;
                match outcome {
                    Ok(()) => return,
                    Err(fault) if since.elapsed() >= RESUME_BOUND => {
                        tracing::warn!(%fault, "a drop that was broken off could not be finished; run it again");
                        return;
                    }
                    Err(fault) => tracing::debug!(%fault, "finishing a drop"),
                }
                tokio::select! {
                    () = tokio::time::sleep(RESUME_INTERVAL) => {}
                    () = stop.cancelled() => return,
                }
            }
        });
    }

    /// Finishes all drops that have begun. The last time, what cannot be finished is forgotten: much later, what has the name may be
    /// something that its user wants to keep.
    async fn resume_once(self: &Arc<Self>, last: bool) -> Result<(), Fault> {
        let _changing = self.changing.lock().await;
        let mut outcome = Ok(());
        for intent in self.view()?.intents()? {
            let resumed = match intent.kind {
                IntentKind::Collection => {
                    let ns = Namespace::parse(&intent.name)?;
                    self.drop_collection_locked(&ns, None, "").await.map(drop)
                }
                IntentKind::Database => self.drop_database_locked(&intent.name, "").await.map(drop),
            };
            // A try that got as far as its own intent removed it with it; the next one needs it again.
            let keep = resumed.is_err() && !last;
            self.catalog
                .commit(
                    |changes| if keep { changes.put_intent(&intent) } else { changes.remove_intent(&intent) },
                )
                .await?;
            match resumed {
                Ok(()) => tracing::info!(name = intent.name, "drop that was broken off finished"),
                Err(fault) => outcome = Err(fault),
            }
        }
        outcome
    }
}
