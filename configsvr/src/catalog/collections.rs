//! `config.collections`: the sharded collections.

use super::{Changes, Table, View};
use bson::{Bson, RawBsonRef};
use sharding::documents::CollectionEntry;
use types::{Fault, Namespace};
use value::SharedDoc;

impl View {
    /// A sharded collection, as stored. Older servers keep a mark of dropped ones: those count as absent.
    ///
    /// # Errors
    /// A failure of storage.
    pub fn collection_document(&self, ns: &Namespace) -> Result<Option<SharedDoc>, Fault> {
        let entry = self.raw(Table::Collections, RawBsonRef::String(ns.as_str()))?;
        Ok(entry.filter(|entry| !matches!(entry.get("dropped"), Ok(Some(RawBsonRef::Boolean(true))))))
    }

    /// A sharded collection.
    ///
    /// # Errors
    /// A failure of storage, or a document that is not as it must be.
    pub fn collection(&self, ns: &Namespace) -> Result<Option<CollectionEntry>, Fault> {
        let Some(entry) = self.collection_document(ns)? else { return Ok(None) };
        Ok(Some(CollectionEntry::from_document(&super::decode(Table::Collections, &entry)?)?))
    }

    /// The names of the sharded collections of a database.
    ///
    /// # Errors
    /// A failure of storage.
    pub fn collections_of(&self, db: &str) -> Result<Vec<Namespace>, Fault> {
        let all = self.all(Table::Collections)?;
        let names = all.iter().filter_map(|entry| entry.get_str("_id").ok());
        let names = names.filter(|name| name.split_once('.').is_some_and(|(of, _)| of == db));
        names.map(Namespace::parse).collect()
    }
}

impl Changes {
    /// Adds or replaces a collection.
    ///
    /// # Errors
    /// A failure of storage.
    pub fn put_collection(&mut self, entry: &CollectionEntry) -> Result<(), Fault> {
        self.put(Table::Collections, &entry.to_document())
    }

    /// Removes a collection; its chunks stay.
    ///
    /// # Errors
    /// A failure of storage.
    pub fn remove_collection(&mut self, ns: &Namespace) -> Result<(), Fault> {
        self.remove(Table::Collections, &Bson::String(ns.to_string()))
    }
}
