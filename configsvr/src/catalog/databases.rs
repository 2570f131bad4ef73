//! `config.databases`: each database and its home shard.

use super::{Changes, Table, View};
use bson::{Bson, RawBsonRef};
use sharding::documents::DatabaseEntry;
use types::Fault;
use value::SharedDoc;

impl View {
    /// A database, as stored.
    ///
    /// # Errors
    /// A failure of storage.
    pub fn database_document(&self, name: &str) -> Result<Option<SharedDoc>, Fault> {
        self.raw(Table::Databases, RawBsonRef::String(name))
    }

    /// A database.
    ///
    /// # Errors
    /// A failure of storage, or a document that is not as it must be.
    pub fn database(&self, name: &str) -> Result<Option<DatabaseEntry>, Fault> {
        let entry = self.get(Table::Databases, RawBsonRef::String(name))?;
        Ok(entry.map(|entry| DatabaseEntry::from_document(&entry)).transpose()?)
    }

    /// All databases by name.
    ///
    /// # Errors
    /// As [`View::database`].
    pub fn databases(&self) -> Result<Vec<DatabaseEntry>, Fault> {
        let all = self.all(Table::Databases)?;
        all.iter().map(|entry| Ok(DatabaseEntry::from_document(entry)?)).collect()
    }
}

impl Changes {
    /// Adds or replaces a database.
    ///
    /// # Errors
    /// A failure of storage.
    pub fn put_database(&mut self, entry: &DatabaseEntry) -> Result<(), Fault> {
        self.put(Table::Databases, &entry.to_document())
    }

    /// Removes a database.
    ///
    /// # Errors
    /// A failure of storage.
    pub fn remove_database(&mut self, name: &str) -> Result<(), Fault> {
        self.remove(Table::Databases, &Bson::String(name.to_owned()))
    }
}
