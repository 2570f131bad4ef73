//! The cluster's metadata as documents of the `config` database, in MongoDB's shapes: typed reads at one time, and all changes of
//! one step in one commit. Nothing is cached: users write some of these collections by hand, and storage is near.

mod chunks;
mod collections;
mod databases;
mod intents;
mod log;
mod routers;
mod settings;
mod shards;
mod table;
mod tags;
mod version;

pub use intents::{Intent, IntentKind};
pub use table::Table;

use crate::replica::Replica;
use bson::{Bson, Document, RawBsonRef, RawDocumentBuf, rawdoc};
use parking_lot::Mutex;
use std::sync::Arc;
use storage::{Batch, Collection, CommitMeta, Direction, Snapshot, Store};
use types::{Fault, OpTime, Timestamp};
use value::SharedDoc;
use value::interval::KeyRange;

/// How often a step is built again when another writer was faster.
const COMMIT_ATTEMPT_COUNT_MAX: usize = 100;
/// How often a view is tried for at a commit point that goes on meanwhile.
const VIEW_ATTEMPT_COUNT_MAX: usize = 10;

/// The metadata of the cluster.
#[derive(Clone)]
pub struct Catalog {
    store: Store,
    replica: Arc<dyn Replica>,
    /// The last commit; it may be that no majority has it yet.
    last: Arc<Mutex<OpTime>>,
}

impl Catalog {
    /// The metadata in a store that belongs to a replica set.
    pub fn new(store: Store, replica: Arc<dyn Replica>) -> Catalog {
        Catalog { store, replica, last: Arc::default() }
    }

    /// Everything as a majority has it, at one time: what is told to shards and routers never comes undone.
    ///
    /// # Errors
    /// `SnapshotUnavailable` (246) where the store does not keep what a majority has, which would be a mistake of ours.
    pub fn view(&self) -> Result<View, Fault> {
        let mut attempt = 1;
        loop {
            match self.store.snapshot_at(self.replica.settled()) {
                Ok(snapshot) => return Ok(View { tables: self.store.catalog(), snapshot }),
                // It went on between the two calls.
                Err(storage::Error::SnapshotUnavailable { .. }) if attempt < VIEW_ATTEMPT_COUNT_MAX => {
                    attempt += 1
                }
                Err(error) => return Err(error.fault()),
            }
        }
    }

    /// Everything as this member has it, for what is to be committed on top of it.
    fn newest(&self) -> View {
        View { tables: self.store.catalog(), snapshot: self.store.snapshot() }
    }

    /// Makes the collections and indexes that are missing.
    ///
    /// # Errors
    /// A failure of storage.
    pub fn create_tables(&self) -> Result<(), Fault> {
        for table in Table::ALL {
            let ns = table.namespace()?;
            match self.store.create_collection(&ns, None, &RawDocumentBuf::new()) {
                Ok(_) | Err(storage::Error::NamespaceExists { .. }) => {}
                Err(error) => return Err(error.fault()),
            }
            let indexes = table.indexes();
            if !indexes.is_empty() {
                self.store.create_indexes(&ns, &indexes)?;
            }
        }
        Ok(())
    }

    /// Commits what `build` writes, all or nothing, and returns once a majority has it. `build` runs again, on a new view, where another
    /// writer changed the same documents meanwhile.
    ///
    /// # Errors
    /// What `build` refuses, or a failure of storage.
    pub async fn commit<T>(&self, build: impl FnMut(&mut Changes) -> Result<T, Fault>) -> Result<T, Fault> {
        let (value, at) = self.attempt(build)?;
        let newest = |last: &mut OpTime| *last = at.max(*last);
        newest(&mut self.last.lock());
        self.replica.await_majority(at).await?;
        Ok(value)
    }

    /// Ends when a majority has every change that was committed here. A commit whose majority is still awaited counts for nobody who reads,
    /// but may count any moment: whoever decides by what he reads for longer than that moment has to wait.
    ///
    /// # Errors
    /// As [`Catalog::commit`].
    pub async fn settle_changes(&self) -> Result<(), Fault> {
        let last = *self.last.lock();
        if self.replica.settled() >= last.ts {
            return Ok(());
        }
        self.replica.await_majority(last).await
    }

    /// Ends when a majority has everything that was written until now.
    ///
    /// # Errors
    /// As [`Catalog::commit`].
    pub async fn settle(&self) -> Result<(), Fault> {
        self.replica.await_majority(self.store.last_op_time()).await
    }

    fn attempt<T>(
        &self,
        mut build: impl FnMut(&mut Changes) -> Result<T, Fault>,
    ) -> Result<(T, OpTime), Fault> {
        let mut attempt = 1;
        loop {
            self.replica.check_primary()?;
            let view = self.newest();
            let batch = self.store.batch(view.snapshot.clone());
            let mut changes = Changes { view, batch };
            let value = build(&mut changes)?;
            match changes.batch.commit(CommitMeta::default()) {
                Ok(at) => return Ok((value, at)),
                Err(storage::Error::WriteConflict) if attempt < COMMIT_ATTEMPT_COUNT_MAX => attempt += 1,
                Err(error) => return Err(error.fault()),
            }
        }
    }

    /// A time drawn from the log: later than everything committed before, on this primary or an earlier one.
    ///
    /// # Errors
    /// A failure of storage.
    pub fn new_time(&self) -> Result<Timestamp, Fault> {
        Ok(self.store.noop(&rawdoc! { "msg": "sharding metadata" })?.ts)
    }

    /// The term in which this member writes.
    pub fn term(&self) -> i64 {
        self.replica.term()
    }
}

impl std::fmt::Debug for Catalog {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Catalog").finish_non_exhaustive()
    }
}

/// The metadata at one time.
pub struct View {
    tables: Arc<storage::Catalog>,
    snapshot: Snapshot,
}

impl View {
    fn table(&self, table: Table) -> Result<Option<&Arc<Collection>>, Fault> {
        Ok(self.tables.get(&table.namespace()?))
    }

    /// The document with that `_id`; `None` also where the collection does not exist yet.
    fn raw(&self, table: Table, id: RawBsonRef<'_>) -> Result<Option<SharedDoc>, Fault> {
        match self.table(table)? {
            Some(collection) => Ok(self.snapshot.get(collection, &collection.record_key(id))?),
            None => Ok(None),
        }
    }

    fn get(&self, table: Table, id: RawBsonRef<'_>) -> Result<Option<Document>, Fault> {
        self.raw(table, id)?.map(|doc| decode(table, &doc)).transpose()
    }

    /// All documents in order of `_id`.
    fn all(&self, table: Table) -> Result<Vec<Document>, Fault> {
        let Some(collection) = self.table(table)? else { return Ok(Vec::new()) };
        self.snapshot
            .scan(collection, &KeyRange::all(), Direction::Forward)
            .map(|record| decode(table, &record?.1))
            .collect()
    }

    /// The documents whose first fields in the index have these values, in order of the index.
    fn by_index(
        &self,
        table: Table,
        index: &str,
        prefix: &[RawBsonRef<'_>],
    ) -> Result<Vec<SharedDoc>, Fault> {
        let Some(collection) = self.table(table)? else { return Ok(Vec::new()) };
        let index = collection
            .index(index)
            .ok_or_else(|| Fault::internal(format!("config.{} has no index {index}", table.name())))?;
        let mut key = Vec::new();
        for value in prefix {
            value::key::encode(&mut key, *value, false);
        }
        let mut found = Vec::new();
        for entry in self.snapshot.scan_index(index, &KeyRange::prefix(&key), Direction::Forward)? {
            let (_, record_key) = entry?;
            let doc = self.snapshot.get(collection, &record_key)?;
            found.push(doc.ok_or_else(|| {
                Fault::internal(format!("config.{}: index entry without a document", table.name()))
            })?);
        }
        Ok(found)
    }
}

fn decode(table: Table, doc: &SharedDoc) -> Result<Document, Fault> {
    Document::try_from(&**doc).map_err(|error| Fault::internal(format!("config.{}: {error}", table.name())))
}

/// Changes that will be committed together.
pub struct Changes {
    view: View,
    batch: Batch,
}

impl Changes {
    /// The metadata before these changes.
    pub fn view(&self) -> &View {
        &self.view
    }

    fn table(&self, table: Table) -> Result<Arc<Collection>, Fault> {
        self.view
            .table(table)?
            .cloned()
            .ok_or_else(|| Fault::internal(format!("config.{} does not exist", table.name())))
    }

    /// Writes a document in the place of the one with its `_id`, if there is one.
    fn put(&mut self, table: Table, doc: &Document) -> Result<(), Fault> {
        let collection = self.table(table)?;
        let doc = encode(doc)?;
        let id = match doc.get("_id") {
            Ok(Some(id)) => id,
            _ => return Err(Fault::internal(format!("document for config.{} without _id", table.name()))),
        };
        let key = collection.record_key(id);
        match self.batch.get(&collection, &key)? {
            Some(old) => self.batch.update(&collection, &key, &old, &doc)?,
            None => {
                self.batch.insert(&collection, &doc)?;
            }
        }
        Ok(())
    }

    /// Removes the document with that `_id`, if there is one.
    fn remove(&mut self, table: Table, id: &Bson) -> Result<(), Fault> {
        let collection = self.table(table)?;
        let mut key = Vec::new();
        value::key::encode_bson(&mut key, id, false);
        self.remove_record(&collection, &key)
    }

    fn remove_record(&mut self, collection: &Arc<Collection>, key: &[u8]) -> Result<(), Fault> {
        if let Some(old) = self.batch.get(collection, key)? {
            self.batch.delete(collection, key, &old)?;
        }
        Ok(())
    }
}

fn encode(doc: &Document) -> Result<RawDocumentBuf, Fault> {
    RawDocumentBuf::try_from(doc)
        .map_err(|error| Fault::internal(format!("metadata does not encode: {error}")))
}
