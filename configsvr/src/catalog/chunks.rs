//! `config.chunks`: which shard owns which range of a collection.

use super::table::CHUNKS_BY_MIN;
use super::{Changes, Table, View, decode};
use bson::spec::BinarySubtype;
use bson::{Bson, RawBinaryRef, RawBsonRef};
use sharding::chunk_map::Change;
use sharding::documents::{CollectionEntry, chunk_from_document, chunk_to_document};
use sharding::{Chunk, ChunkMap};
use types::{Fault, Uuid};
use value::SharedDoc;

impl View {
    /// The chunks of a collection in order of the index, as stored.
    ///
    /// # Errors
    /// A failure of storage.
    pub fn chunk_documents(&self, collection: Uuid) -> Result<Vec<SharedDoc>, Fault> {
        let uuid = RawBinaryRef { subtype: BinarySubtype::Uuid, bytes: &collection.0 };
        self.by_index(Table::Chunks, CHUNKS_BY_MIN, &[RawBsonRef::Binary(uuid)])
    }

    /// The chunks of a collection.
    ///
    /// # Errors
    /// A failure of storage, or chunks that do not tile the key space.
    pub fn chunks(&self, entry: &CollectionEntry) -> Result<ChunkMap, Fault> {
        let chunks = self.chunk_documents(entry.uuid)?.into_iter().map(|doc| {
            let (_, chunk) = chunk_from_document(&entry.key, &decode(Table::Chunks, &doc)?)?;
            Ok(chunk)
        });
        Ok(ChunkMap::new(&entry.key, chunks.collect::<Result<Vec<Chunk>, Fault>>()?)?)
    }
}

impl Changes {
    /// Writes all chunks of a collection that has none yet.
    ///
    /// # Errors
    /// A failure of storage.
    pub fn put_chunks(&mut self, collection: Uuid, chunks: &ChunkMap) -> Result<(), Fault> {
        chunks
            .chunks()
            .iter()
            .try_for_each(|chunk| self.put(Table::Chunks, &chunk_to_document(collection, chunk)))
    }

    /// Writes what a split, merge or move changes.
    ///
    /// # Errors
    /// A failure of storage.
    pub fn change_chunks(&mut self, collection: Uuid, change: &Change) -> Result<(), Fault> {
        for id in &change.removed {
            self.remove(Table::Chunks, &Bson::ObjectId(*id))?;
        }
        change
            .written
            .iter()
            .try_for_each(|chunk| self.put(Table::Chunks, &chunk_to_document(collection, chunk)))
    }

    /// Removes all chunks of a collection.
    ///
    /// # Errors
    /// A failure of storage.
    pub fn remove_chunks(&mut self, collection: Uuid) -> Result<(), Fault> {
        let table = self.table(Table::Chunks)?;
        for doc in self.view.chunk_documents(collection)? {
            if let Ok(Some(id)) = doc.get("_id") {
                let key = table.record_key(id);
                self.remove_record(&table, &key)?;
            }
        }
        Ok(())
    }
}
