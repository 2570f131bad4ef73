//! A collection gets a shard key and is dealt over the shards, if it is empty; if not, it starts as one chunk where it is.

use super::sections::Sections;
use super::shards::CollectionInfo;
use crate::catalog::View;
use crate::metadata::Metadata;
use bson::oid::ObjectId;
use bson::{Bson, DateTime, Document, doc};
use command::ShardCollection;
use runtime::clock::now_millis;
use sharding::documents::{CollectionEntry, ShardEntry};
use sharding::split::{Initial, initial_chunks};
use sharding::{ChunkMap, ShardKey};
use std::collections::BTreeMap;
use std::sync::Arc;
use types::{Code, Fault, Generation, Namespace, ShardId, Uuid};
use value::Collation;

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Sharded {
    pub ns: Namespace,
    pub uuid: Uuid,
}

impl Metadata {
    /// Shards a collection. Again with the same key changes nothing.
    ///
    /// # Errors
    /// `AlreadyInitialized` (23) with another key; `InvalidOptions` (72), `BadValue` (2), `IllegalOperation` (20) for what cannot be
    /// sharded so; the fault of a shard that does not do its part, in which case nothing changed.
    pub async fn shard_collection(
        self: &Arc<Self>,
        command: ShardCollection,
        client: String,
    ) -> Result<Sharded, Fault> {
        let key = ShardKey::parse(&command.key)?;
        check_namespace(&command.ns)?;
        if command.unique && key.hashed_field().is_some() {
            return Err(Fault::new(Code::InvalidOptions, "Hashed shard keys cannot be declared unique."));
        }
        let metadata = self.clone();
        self.detached("shard-collection", async move {
            let _changing = metadata.changing.lock().await;
            let work = Work { metadata: metadata.clone(), command, key, client };
            work.run().await
        })
        .await
    }
}

struct Work {
    metadata: Arc<Metadata>,
    command: ShardCollection,
    key: ShardKey,
    client: String,
}

impl Work {
    async fn run(&self) -> Result<Sharded, Fault> {
        let ns = &self.command.ns;
        let view = self.metadata.view()?;
        if let Some(entry) = view.collection(ns)? {
            if entry.key == self.key && entry.unique == self.command.unique {
                return Ok(Sharded { ns: ns.clone(), uuid: entry.uuid });
            }
            return Err(Fault::new(
                Code::AlreadyInitialized,
                format!(
                    "sharding already enabled for collection {ns} with key {} and unique: {}",
                    entry.key.pattern(),
                    entry.unique
                ),
            ));
        }
        let database = self.metadata.create_database_locked(ns.db(), None, &self.client).await?;
        let home = self.metadata.view()?.shard(&database.primary)?;
        let mut sections = Sections::new(&self.metadata, ns);
        let outcome = self.inside(&mut sections, &home).await;
        sections.leave().await;
        if outcome.is_ok() {
            self.metadata.tell_collection(ns);
        }
        outcome
    }

    /// What happens while requests on the collection wait.
    async fn inside(&self, sections: &mut Sections, home: &ShardEntry) -> Result<Sharded, Fault> {
        let (metadata, ns) = (&self.metadata, &self.command.ns);
        sections.enter(home).await?;
        let existing = metadata.collection_info(home, ns).await?;
        let info = self.prepared(existing)?;
        let uuid = info.uuid.ok_or_else(|| Fault::internal("collection without uuid"))?;
        let view = metadata.view()?;
        let chunks = self.first_chunks(&view, home, info.records == 0)?;
        let details = doc! {
            "shardKey": self.key.pattern().clone(),
            "collection": ns.as_str(),
            "uuid": uuid.to_bson(),
            "empty": info.records == 0,
            "primary": format!("{}:{}", home.id, home.host),
            "numChunks": i64::try_from(chunks.chunks().len()).unwrap_or(i64::MAX),
        };
        let start = metadata.event("shardCollection.start", ns.as_str(), &self.client, details.clone());
        metadata.catalog.commit(|changes| changes.log_change(&start)).await?;
        // The home shard first: should this break off, another try finds there which uuid the collection has.
        metadata.create_on(home, ns, &info).await?;
        for shard in chunks.shards().map(|(shard, _)| shard).filter(|shard| **shard != home.id) {
            let shard = view.shard(shard)?;
            sections.enter(&shard).await?;
            self.clear_leftover(&shard, uuid).await?;
            metadata.create_on(&shard, ns, &info).await?;
        }
        let entry = CollectionEntry {
            ns: ns.clone(),
            uuid,
            generation: Generation { epoch: ObjectId::new(), timestamp: metadata.catalog.new_time()? },
            last_modified: DateTime::from_millis(now_millis()),
            key: self.key.clone(),
            unique: self.command.unique,
            default_collation: info.options.get_document("collation").ok().cloned(),
            no_balance: false,
            allow_migrations: true,
            enable_auto_merge: None,
            max_chunk_size_bytes: None,
            unsplittable: false,
            resharding: None,
        };
        let end = metadata.event("shardCollection.end", ns.as_str(), &self.client, details);
        sections.check()?;
        metadata
            .catalog
            .commit(|changes| {
                changes.put_collection(&entry)?;
                changes.put_chunks(uuid, &chunks)?;
                changes.log_change(&end)
            })
            .await?;
        tracing::info!(%ns, key = %self.key.pattern(), chunks = chunks.chunks().len(), "collection sharded");
        Ok(Sharded { ns: ns.clone(), uuid })
    }

    /// The collection as it has to be on every shard that gets chunks: as it is now, with the index for the key added.
    fn prepared(&self, existing: Option<CollectionInfo>) -> Result<CollectionInfo, Fault> {
        let mut info = existing.unwrap_or_else(|| CollectionInfo {
            uuid: Some(Uuid(bson::Uuid::new().bytes())),
            ..CollectionInfo::default()
        });
        check_options(&self.command.ns, &info.options)?;
        self.check_collation(&info.options)?;
        if self.command.enforce_uniqueness_check {
            self.check_unique(&info.indexes)?;
        }
        let is_simple = !info.options.contains_key("collation");
        if (self.is_key_of_ids() && is_simple) || info.indexes.iter().any(|index| self.supports(index)) {
            return Ok(info);
        }
        if info.records > 0 || !self.command.implicitly_create_index {
            return Err(Fault::new(
                Code::InvalidOptions,
                "Please create an index that starts with the proposed shard key before sharding the collection",
            ));
        }
        let mut spec =
            doc! { "v": 2, "key": self.key.pattern().clone(), "name": index_name(self.key.pattern()) };
        if self.command.unique {
            spec.insert("unique", true);
        }
        if info.options.contains_key("collation") {
            spec.insert("collation", doc! { "locale": "simple" });
        }
        info.indexes.push(spec);
        Ok(info)
    }

    /// Shard keys compare by bytes. Where the collection compares otherwise, the client says that it knows.
    fn check_collation(&self, options: &Document) -> Result<(), Fault> {
        match (&self.command.collation, options.get_document("collation")) {
            (Collation::By(collator), _) => Err(Fault::bad_value(format!(
                "The collation for shardCollection must be {{locale: 'simple'}}, but found: {}",
                Document::try_from(collator.resolved()).unwrap_or_default()
            ))),
            (Collation::Inherited, Ok(inherited)) => Err(Fault::bad_value(format!(
                "Collection has default collation: {inherited}. Must specify collation {{locale: 'simple'}}"
            ))),
            _ => Ok(()),
        }
    }

    /// Whether the key is `{_id: 1}`, for which every collection has its index.
    fn is_key_of_ids(&self) -> bool {
        matches!(self.key.fields(), [field] if &*field.path == "_id" && !field.hashed)
    }

    /// Whether documents can be found by the shard key through this index.
    fn supports(&self, index: &Document) -> bool {
        let flag = |name: &str| index.get_bool(name).unwrap_or(false);
        let Ok(pattern) = index.get_document("key") else { return false };
        let plain = ["partialFilterExpression", "collation"].iter().all(|name| !index.contains_key(name));
        let complete = plain && !flag("sparse");
        let is_whole = pattern.len() == self.key.fields().len();
        let unique = !self.command.unique || (flag("unique") && is_whole);
        self.key.leads(pattern) && complete && unique
    }

    /// A unique index keeps its word over several shards only if equal values always meet on one.
    fn check_unique(&self, indexes: &[Document]) -> Result<(), Fault> {
        for index in indexes.iter().filter(|index| index.get_bool("unique").unwrap_or(false)) {
            let Ok(pattern) = index.get_document("key") else { continue };
            let of_ids = pattern.keys().next().is_some_and(|name| name == "_id");
            let names = self.key.fields().iter().map(|field| field.path.as_ref());
            let prefixed = pattern.len() >= self.key.fields().len()
                && names.zip(pattern.keys()).all(|(path, name)| path == name);
            if !of_ids && !prefixed {
                return Err(Fault::new(
                    Code::InvalidOptions,
                    format!(
                        "can't shard collection '{}' with unique index on {pattern} and proposed shard key {}. Uniqueness can't be \
                         maintained unless shard key is a prefix",
                        self.command.ns,
                        self.key.pattern()
                    ),
                ));
            }
        }
        Ok(())
    }

    fn first_chunks(&self, view: &View, home: &ShardEntry, empty: bool) -> Result<ChunkMap, Fault> {
        let all = view.shards()?;
        let staying = || all.iter().filter(|shard| !shard.draining);
        let shards: Vec<ShardId> = staying().map(|shard| shard.id.clone()).collect();
        let mut zone_shards: BTreeMap<String, Vec<ShardId>> = BTreeMap::new();
        for shard in staying() {
            for zone in &shard.zones {
                zone_shards.entry(zone.clone()).or_default().push(shard.id.clone());
            }
        }
        let initial = Initial {
            key: &self.key,
            shards: &shards,
            primary: &home.id,
            empty,
            chunk_count: self.command.num_initial_chunks.map(|count| count as usize),
            presplit_hashed_zones: self.command.presplit_hashed_zones,
            zones: &view.zones(&self.command.ns, &self.key)?,
            zone_shards: &zone_shards,
            valid_after: self.metadata.catalog.new_time()?,
        };
        Ok(initial_chunks(&initial, &mut ObjectId::new)?)
    }

    /// An earlier try, or a collection of an earlier life, may have left something on a shard that no router ever asked.
    async fn clear_leftover(&self, shard: &ShardEntry, uuid: Uuid) -> Result<(), Fault> {
        let ns = &self.command.ns;
        match self.metadata.collection_info(shard, ns).await? {
            Some(found) if found.uuid != Some(uuid) && found.records == 0 => {
                self.metadata.drop_on(shard, ns).await
            }
            Some(found) if found.uuid != Some(uuid) || found.records > 0 => Err(Fault::new(
                Code::IllegalOperation,
                format!(
                    "shard {} has {} documents of its own in {ns}, which the cluster does not know; \
                     connect to it directly, save or drop that collection, then try again",
                    shard.id, found.records
                ),
            )),
            _ => Ok(()),
        }
    }
}

fn check_namespace(ns: &Namespace) -> Result<(), Fault> {
    if matches!(ns.db(), "admin" | "config" | "local") {
        return Err(Fault::new(
            Code::IllegalOperation,
            format!("can't shard collections in the database '{}'", ns.db()),
        ));
    }
    if ns.is_system() {
        return Err(Fault::new(Code::IllegalOperation, format!("can't shard system namespaces: {ns}")));
    }
    Ok(())
}

fn check_options(ns: &Namespace, options: &Document) -> Result<(), Fault> {
    if options.get_bool("capped").unwrap_or(false) {
        return Err(Fault::new(Code::InvalidOptions, format!("can't shard a capped collection: {ns}")));
    }
    if options.contains_key("viewOn") {
        return Err(Fault::new(
            Code::CommandNotSupportedOnView,
            format!("Namespace {ns} is a view, not a collection"),
        ));
    }
    Ok(())
}

/// `a_1_b_hashed`, as clients name indexes.
fn index_name(pattern: &Document) -> String {
    let parts = pattern.iter().map(|(name, kind)| match kind {
        Bson::String(kind) => format!("{name}_{kind}"),
        _ => format!("{name}_1"),
    });
    parts.collect::<Vec<_>>().join("_")
}
