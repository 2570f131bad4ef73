//! The concerns that hold where a client names none, as an administrator set them; kept in memory, read from `config.settings`.

use crate::Engine;
use arc_swap::ArcSwapOption;
use bson::{DateTime, RawBsonRef, RawDocumentBuf, doc};
use command::RwDefaults;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use storage::CommitMeta;
use types::{Code, Fault, Namespace, OpTime, ReadConcernLevel, WriteConcern};

/// Where they are stored.
const SETTINGS: &str = "config.settings";
/// `_id` of their document.
const DEFAULTS_ID: &str = "ReadWriteConcernDefaults";

/// The defaults of this member, as far as it knows.
#[derive(Debug, Default)]
pub struct Defaults {
    set: ArcSwapOption<RwDefaults>,
    loaded_millis: AtomicI64,
}

impl Defaults {
    /// The read concern for clients that name none; `None` where nobody set one.
    pub fn read_level(&self) -> Option<ReadConcernLevel> {
        self.set.load().as_ref().and_then(|set| set.read)
    }

    /// The write concern for clients that name none; `None` where nobody set one.
    pub fn write_concern(&self) -> Option<WriteConcern> {
        self.set.load().as_ref().and_then(|set| set.write.clone())
    }

    /// What is set, and when this member learned of it.
    pub fn get(&self) -> (RwDefaults, i64) {
        let set = self.set.load().as_deref().cloned().unwrap_or_default();
        (set, self.loaded_millis.load(Ordering::Relaxed))
    }

    /// Takes over what is set now. Whether it is something else than before.
    pub fn learn(&self, set: RwDefaults) -> bool {
        self.loaded_millis.store(runtime::clock::now_millis(), Ordering::Relaxed);
        let next = (set != RwDefaults::default()).then_some(set);
        if self.set.load().as_deref() == next.as_ref() {
            return false;
        }
        self.set.store(next.map(Arc::new));
        true
    }
}

impl Engine {
    /// Reads the defaults from storage. Whether they are others than before.
    ///
    /// # Errors
    /// A failure of storage, or a document that does not read.
    pub fn reload_defaults(&self) -> Result<bool, Fault> {
        Ok(self.defaults().learn(self.stored_defaults()?))
    }

    fn stored_defaults(&self) -> Result<RwDefaults, Fault> {
        let catalog = self.store().catalog();
        let Some(collection) = catalog.get(&Namespace::parse(SETTINGS)?) else {
            return Ok(RwDefaults::default());
        };
        let key = collection.record_key(RawBsonRef::String(DEFAULTS_ID));
        match self.store().snapshot().get(collection, &key)? {
            Some(doc) => RwDefaults::parse(&doc),
            None => Ok(RwDefaults::default()),
        }
    }

    /// Stores other defaults. Blocks. The time of the commit, for the wait until a majority has it.
    ///
    /// # Errors
    /// A failure of storage.
    pub fn store_defaults(
        &self,
        change: impl Fn(&mut RwDefaults) -> Result<(), Fault>,
    ) -> Result<OpTime, Fault> {
        let ns = Namespace::parse(SETTINGS)?;
        let store = self.store();
        if store.catalog().get(&ns).is_none() {
            match store.create_collection(&ns, None, &RawDocumentBuf::new()) {
                Ok(_) | Err(storage::Error::NamespaceExists { .. }) => {}
                Err(error) => return Err(error.fault()),
            }
        }
        loop {
            let catalog = store.catalog();
            let collection = catalog.get(&ns).ok_or_else(|| {
                Fault::new(Code::ConflictingOperationInProgress, format!("{ns} was dropped"))
            })?;
            let snapshot = store.snapshot();
            let mut defaults = self.stored_defaults()?;
            change(&mut defaults)?;
            let now = DateTime::from_millis(runtime::clock::now_millis());
            defaults.updated = Some((self.tick(), now));
            let mut document = doc! { "_id": DEFAULTS_ID };
            document.extend(defaults.to_document());
            let raw =
                RawDocumentBuf::try_from(&document).map_err(|error| Fault::internal(error.to_string()))?;
            let key = collection.record_key(RawBsonRef::String(DEFAULTS_ID));
            let mut batch = store.batch(snapshot);
            match batch.get(collection, &key)? {
                Some(old) => batch.update(collection, &key, &old, &raw)?,
                None => drop(batch.insert(collection, &raw)?),
            }
            match batch.commit(CommitMeta::default()) {
                Ok(at) => {
                    self.defaults().learn(defaults);
                    return Ok(at);
                }
                Err(storage::Error::WriteConflict | storage::Error::DuplicateKey(_)) => {}
                Err(error) => return Err(error.fault()),
            }
        }
    }
}
