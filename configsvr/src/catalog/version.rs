//! `config.version`: the identity of the cluster. Its presence tells shells that sharding is on.

use super::{Changes, Table, View};
use bson::RawBsonRef;
use sharding::documents::ClusterVersion;
use types::Fault;

impl View {
    /// The cluster's identity; `None` before the metadata were initialised.
    ///
    /// # Errors
    /// A failure of storage, or a document that is not as it must be.
    pub fn cluster(&self) -> Result<Option<ClusterVersion>, Fault> {
        let entry = self.get(Table::Version, RawBsonRef::Int32(1))?;
        Ok(entry.map(|entry| ClusterVersion::from_document(&entry)).transpose()?)
    }
}

impl Changes {
    /// Writes the cluster's identity.
    ///
    /// # Errors
    /// A failure of storage.
    pub fn put_cluster(&mut self, version: ClusterVersion) -> Result<(), Fault> {
        self.put(Table::Version, &version.to_document())
    }
}
