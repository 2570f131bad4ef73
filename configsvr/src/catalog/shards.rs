//! `config.shards`: the shards of the cluster.

use super::{Changes, Table, View};
use bson::{Document, RawBsonRef};
use sharding::documents::ShardEntry;
use types::{Code, Fault, ShardId};

impl View {
    /// All shards by name, as stored.
    ///
    /// # Errors
    /// A failure of storage.
    pub fn shard_documents(&self) -> Result<Vec<Document>, Fault> {
        self.all(Table::Shards)
    }

    /// All shards by name.
    ///
    /// # Errors
    /// A failure of storage, or a document that is not as it must be.
    pub fn shards(&self) -> Result<Vec<ShardEntry>, Fault> {
        self.all(Table::Shards)?.iter().map(|entry| Ok(ShardEntry::from_document(entry)?)).collect()
    }

    /// A shard.
    ///
    /// # Errors
    /// `ShardNotFound` (70), and as [`View::shards`].
    pub fn shard(&self, id: &ShardId) -> Result<ShardEntry, Fault> {
        match self.get(Table::Shards, RawBsonRef::String(id.as_str()))? {
            Some(entry) => Ok(ShardEntry::from_document(&entry)?),
            None => Err(Fault::new(Code::ShardNotFound, format!("Shard {id} not found"))),
        }
    }
}

impl Changes {
    /// Adds or replaces a shard.
    ///
    /// # Errors
    /// A failure of storage.
    pub fn put_shard(&mut self, entry: &ShardEntry) -> Result<(), Fault> {
        self.put(Table::Shards, &entry.to_document())
    }
}
