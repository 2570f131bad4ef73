//! A new database: chooses its home shard and records it.

use crate::catalog::{Intent, IntentKind};
use crate::metadata::Metadata;
use bson::doc;
use sharding::Ring;
use sharding::documents::DatabaseEntry;
use std::sync::Arc;
use types::{Code, DatabaseVersion, Fault, Namespace, ShardId, Uuid};

impl Metadata {
    /// Makes a database known, unless it is; on the shard that is wished for, or on one chosen by its name.
    ///
    /// # Errors
    /// `IllegalOperation` (20) if it has another home already, `InvalidOptions` (72) for the server's own databases, 13297 for a name
    /// that differs from another one by case only, `ShardNotFound` (70).
    pub async fn create_database(
        self: &Arc<Self>,
        db: &str,
        primary: Option<&ShardId>,
        client: &str,
    ) -> Result<DatabaseEntry, Fault> {
        Namespace::check_db(db)?;
        if matches!(db, "admin" | "config" | "local") {
            return Err(Fault::new(Code::InvalidOptions, format!("Cannot manually create database '{db}'")));
        }
        if let Some(entry) = self.view()?.database(db)? {
            return same_home(entry, primary);
        }
        let _changing = self.changing.lock().await;
        self.create_database_locked(db, primary, client).await
    }

    pub(super) async fn create_database_locked(
        &self,
        db: &str,
        primary: Option<&ShardId>,
        client: &str,
    ) -> Result<DatabaseEntry, Fault> {
        let version = DatabaseVersion {
            uuid: Uuid(bson::Uuid::new().bytes()),
            timestamp: self.catalog.new_time()?,
            last_mod: 1,
        };
        let (entry, made) = self
            .catalog
            .commit(|changes| {
                let view = changes.view();
                if let Some(entry) = view.database(db)? {
                    return Ok((same_home(entry, primary)?, false));
                }
                if view.intents()?.contains(&Intent { kind: IntentKind::Database, name: db.to_owned() }) {
                    return Err(Fault::new(
                        Code::DatabaseDropPending,
                        format!("database {db} is being dropped; try again"),
                    ));
                }
                if let Some(other) =
                    view.databases()?.iter().find(|other| other.name.eq_ignore_ascii_case(db))
                {
                    return Err(Fault::new(
                        Code::DatabaseDifferCase,
                        format!(
                            "can't have 2 databases that just differ on case  have: {} want to add: {db}",
                            other.name
                        ),
                    ));
                }
                let primary = match primary {
                    Some(primary) => view.shard(primary)?.id,
                    None => home(view, db)?,
                };
                let entry = DatabaseEntry { name: db.to_owned(), primary, version };
                let details = doc! { "primary": entry.primary.as_str() };
                changes.put_database(&entry)?;
                changes.log_change(&self.event("createDatabase", db, client, details))?;
                Ok((entry, true))
            })
            .await?;
        if made {
            tracing::info!(db, home = %entry.primary, "database created");
            self.tell_database(db);
        }
        Ok(entry)
    }
}

/// The home shard of a database that asks for none: by its name on a ring of the shards that are to stay.
fn home(view: &crate::catalog::View, db: &str) -> Result<ShardId, Fault> {
    let shards = view.shards()?;
    let staying = shards.iter().filter(|shard| !shard.draining).map(|shard| (shard.id.as_str(), 1));
    let ring = Ring::new(staying);
    ring.first(db.as_bytes()).map(ShardId::new).ok_or_else(|| {
        Fault::new(
            Code::ShardNotFound,
            format!("Database {db} could not be created :: caused by :: No shards found; add one with sh.addShard()"),
        )
    })
}

fn same_home(entry: DatabaseEntry, primary: Option<&ShardId>) -> Result<DatabaseEntry, Fault> {
    match primary {
        Some(primary) if *primary != entry.primary => Err(Fault::new(
            Code::IllegalOperation,
            format!("database {} already exists on shard {}, not on {primary}", entry.name, entry.primary),
        )),
        _ => Ok(entry),
    }
}
