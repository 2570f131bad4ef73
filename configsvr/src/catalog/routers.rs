//! `config.mongos`: the routers that are, or were, there.

use super::{Changes, Table, View};
use bson::RawBsonRef;
use sharding::documents::RouterEntry;
use types::Fault;

impl View {
    /// A router.
    ///
    /// # Errors
    /// A failure of storage, or a document that is not as it must be.
    pub fn router(&self, name: &str) -> Result<Option<RouterEntry>, Fault> {
        let entry = self.get(Table::Routers, RawBsonRef::String(name))?;
        Ok(entry.map(|entry| RouterEntry::from_document(&entry)).transpose()?)
    }
}

impl Changes {
    /// Adds or replaces a router.
    ///
    /// # Errors
    /// A failure of storage.
    pub fn put_router(&mut self, entry: &RouterEntry) -> Result<(), Fault> {
        self.put(Table::Routers, &entry.to_document())
    }
}
