//! A database goes: its sharded collections one by one, then the rest on the shards, then what the cluster knows of it.

use crate::catalog::{Intent, IntentKind};
use crate::metadata::Metadata;
use bson::doc;
use sharding::documents::ShardEntry;
use std::sync::Arc;
use types::{Fault, Namespace};

impl Metadata {
    /// Drops a database. `false` if there was none.
    ///
    /// # Errors
    /// The fault of a shard that did not do its part: the drop can then be tried again.
    pub async fn drop_database(self: &Arc<Self>, db: String, client: String) -> Result<bool, Fault> {
        Namespace::check_db(&db)?;
        let metadata = self.clone();
        self.detached("drop-database", async move {
            let _changing = metadata.changing.lock().await;
            metadata.drop_database_locked(&db, &client).await
        })
        .await
    }

    pub(super) async fn drop_database_locked(
        self: &Arc<Self>,
        db: &str,
        client: &str,
    ) -> Result<bool, Fault> {
        let view = self.view()?;
        let shards = view.shards()?;
        let intent = Intent { kind: IntentKind::Database, name: db.to_owned() };
        let Some(database) = view.database(db)? else {
            if view.intents()?.contains(&intent) {
                // A crash came between the commit and the shards hearing of it; where its home was is no longer known.
                for shard in &shards {
                    self.forget_database(db, shard, std::slice::from_ref(shard)).await?;
                }
            }
            return Ok(false);
        };
        let home = view.shard(&database.primary)?;
        let start = self.event("dropDatabase.start", db, client, doc! {});
        self.catalog
            .commit(|changes| {
                changes.put_intent(&intent)?;
                changes.log_change(&start)
            })
            .await?;
        if let Err(fault) = self.empty_database(db, &shards, client).await {
            self.catalog.commit(|changes| changes.remove_intent(&intent)).await?;
            return Err(
                fault.context(format!("database {db} is dropped in part only; run dropDatabase again"))
            );
        }
        let end = self.event("dropDatabase", db, client, doc! {});
        self.catalog
            .commit(|changes| {
                changes.remove_database(db)?;
                changes.log_change(&end)
            })
            .await?;
        self.tell_database(db);
        let forgotten = self.forget_database(db, &home, &shards).await;
        self.catalog.commit(|changes| changes.remove_intent(&intent)).await?;
        forgotten.map_err(|fault| {
            fault.context(format!(
                "database {db} is dropped, but shard {} may have kept a late write",
                home.id
            ))
        })?;
        tracing::info!(db, "database dropped");
        Ok(true)
    }

    async fn empty_database(
        self: &Arc<Self>,
        db: &str,
        shards: &[ShardEntry],
        client: &str,
    ) -> Result<(), Fault> {
        for ns in self.view()?.collections_of(db)? {
            self.drop_collection_locked(&ns, None, client).await?;
        }
        for shard in shards {
            self.ask(shard, doc! { "_shardsvrDropDatabase": db }).await?;
        }
        Ok(())
    }

    /// The shards ask anew from here on. What was admitted at the home shard before it forgot came before the drop: it goes too.
    async fn forget_database(&self, db: &str, home: &ShardEntry, shards: &[ShardEntry]) -> Result<(), Fault> {
        for shard in shards {
            let forgotten = self.ask(shard, doc! { "_shardsvrForgetDatabase": db }).await;
            match forgotten {
                Err(fault) if shard.id == home.id => return Err(fault),
                // Only the home shard takes requests for the database by its version.
                Err(fault) => tracing::warn!(shard = %shard.id, db, %fault, "database not forgotten"),
                Ok(_) => {}
            }
        }
        self.ask(home, doc! { "_shardsvrDropDatabase": db }).await.map(drop)
    }
}
