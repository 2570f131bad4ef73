//! Hashes of whole collections, for members to be compared with each other. What users ask, `dbHash`, is in the engine, which can be interrupted.

use crate::collection::{Collection, RecordOrder};
use crate::index::IdIndex;
use crate::scan::Direction;
use crate::snapshot::Snapshot;
use crate::{Error, Store};
use md5::{Digest, Md5};
use value::interval::KeyRange;

impl Store {
    /// The MD5 of every document of a collection at a snapshot, one after the other in the order of `_id`; those of a capped
    /// collection in the order of their insertion. In hex.
    ///
    /// # Errors
    /// [`Error::SnapshotTooOld`], or if something cannot be read.
    pub(super) fn hash_collection(
        &self,
        snapshot: &Snapshot,
        collection: &Collection,
    ) -> Result<String, Error> {
        let mut md5 = Md5::new();
        for record in snapshot.scan(collection, &KeyRange::all(), Direction::Forward) {
            md5.update(record?.1.as_bytes());
        }
        Ok(hex(&md5.finalize()))
    }

    /// The name and the hash of every collection of a database that all members have, by name, and one hash over all of them.
    ///
    /// # Errors
    /// As [`Store::hash_collection`].
    pub(super) fn hash_database(
        &self,
        snapshot: &Snapshot,
        db: &str,
    ) -> Result<(Vec<(String, String)>, String), Error> {
        let mut whole = Md5::new();
        let mut collections = Vec::new();
        for collection in self.catalog().collections(db) {
            // The log begins elsewhere on every member.
            if collection.order == RecordOrder::Log || collection.index(IdIndex::NAME).is_none() {
                continue;
            }
            let hash = self.hash_collection(snapshot, collection)?;
            whole.update(collection.ns.collection().as_bytes());
            whole.update([0]);
            whole.update(hash.as_bytes());
            collections.push((collection.ns.collection().to_owned(), hash));
        }
        Ok((collections, hex(&whole.finalize())))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
