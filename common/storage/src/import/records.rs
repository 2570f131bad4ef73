//! Copied records on their way into the base, with their index entries.
//! Entries that an earlier try left and that go, then records, then entries: after a crash a record may lack some, never the other
//! way round, and the range is copied again, which writes all entries of every record once more. An entry of an older record that
//! outlived its record would be found by nobody then.

use super::refused;
use crate::base::Write;
use crate::batch::entry_value;
use crate::collection::{Collection, RecordKey};
use crate::counts::Count;
use crate::index::Keys;
use crate::keyspace;
use crate::scan::Direction;
use crate::snapshot::{join_base, split_base};
use crate::store::Shared;
use crate::{EngineKind, Error, Store};
use bson::RawDocument;
use bytes::Bytes;
use std::collections::HashMap;
use std::ops::Bound;
use std::sync::Arc;
use types::{Timestamp, Uuid};
use value::interval::KeyRange;

impl Store {
    /// Puts copied records of one collection into the base: keys rise, and all are as of one snapshot. May be called from several
    /// threads at once for different ranges. A record that is there from a later snapshot stays. A collection that the copied catalogue has
    /// not was made later, and the log has all of it: its records are passed over.
    ///
    /// # Errors
    /// [`Error::ApplyRefused`] out of turn, also once a part of the log was applied; else if a document cannot be read or the base
    /// fails.
    pub fn import_records(
        &self,
        uuid: Uuid,
        at: Timestamp,
        records: &[(RecordKey, Bytes)],
    ) -> Result<(), Error> {
        let shared = &self.shared;
        shared.check_open()?;
        shared.check_room()?;
        let Some(collection) = self.check_import(uuid, at)? else { return Ok(()) };
        let (Some((first, _)), Some((last, _))) = (records.first(), records.last()) else { return Ok(()) };
        if !records.is_sorted_by(|left, right| left.0 < right.0) {
            return Err(refused("the keys do not rise"));
        }
        let full = |key: &[u8]| Bytes::from(keyspace::record(collection.id.0, key));
        // What an earlier try left, most often nothing.
        let mut there = HashMap::new();
        let bounds = (Bound::Included(full(first)), Bound::Included(full(last)));
        for pair in shared.base.range(bounds, Direction::Forward) {
            let (key, stored) = pair?;
            let value = split_base(&key, &stored)?;
            there.insert(key, value);
        }
        let mut writes = Vec::with_capacity(records.len());
        let (mut gone, mut entries) = (Vec::new(), Vec::new());
        let mut counts = vec![Count::default(); collection.indexes.len() + 1];
        let mut marks = vec![0; collection.indexes.len()];
        for (record_key, bytes) in records {
            let key = full(record_key);
            crate::batch::check_key(shared, key.len())?;
            let old = there.get(&key);
            if old.is_some_and(|(time, _)| *time > at) {
                continue;
            }
            let new = document(bytes)?;
            let old = old.map(|(_, bytes)| document(bytes)).transpose()?;
            let size = |doc: &RawDocument, sign: i64| Count {
                records: sign,
                bytes: sign * doc.as_bytes().len() as i64,
            };
            if let Some(total) = counts.first_mut() {
                total.add(size(new, 1));
                if let Some(old) = old {
                    total.add(size(old, -1));
                }
            }
            writes.push(Write { value: Some(join_base(&key, at, bytes)), key });
            let places = counts.iter_mut().skip(1).zip(&mut marks);
            for (index, (count, mark)) in collection.indexes.iter().zip(places) {
                if index.is_clustered() {
                    continue;
                }
                let yielded = |doc: &RawDocument| match index.yields(doc) {
                    Err(Error::Unindexable { .. }) if index.ready.is_none() => Ok(Keys::default()),
                    keys => keys,
                };
                let new_keys = yielded(new)?;
                let old_keys = old.map(yielded).transpose()?.unwrap_or_default();
                *mark |= new_keys.multikey;
                let entry = |key: &[u8]| {
                    let mut full = keyspace::index_prefix(index.id.0);
                    full.extend_from_slice(key);
                    let prefix_len = full.len();
                    full.extend_from_slice(record_key);
                    (Bytes::from(full), prefix_len)
                };
                for key in old_keys.keys.iter().filter(|key| new_keys.keys.binary_search(key).is_err()) {
                    let (key, _) = entry(key);
                    count.add(Count { records: -1, bytes: -(key.len() as i64) });
                    gone.push(Write { key, value: None });
                }
                for own in &new_keys.keys {
                    let (key, prefix_len) = entry(own);
                    crate::batch::check_key(shared, key.len())?;
                    if old_keys.keys.binary_search(own).is_err() {
                        count.add(Count { records: 1, bytes: key.len() as i64 });
                    }
                    entries.push(Write { value: Some(join_base(&key, at, &entry_value(prefix_len))), key });
                }
            }
        }
        if !gone.is_empty() {
            gone.sort_unstable_by(|left: &Write, right| left.key.cmp(&right.key));
            shared.base.write(&gone)?;
        }
        crate::fail::point("old-entries-removed");
        if shared.options.engine == EngineKind::Sled {
            let fresh = writes.iter().filter(|write| !there.contains_key(&write.key));
            shared.base.write(&fresh.map(|write| outline(&write.key)).collect::<Vec<_>>())?;
            crate::fail::point("keys-imported");
        }
        shared.base.write(&writes)?;
        crate::fail::point("records-imported");
        entries.sort_unstable_by(|left, right| left.key.cmp(&right.key));
        shared.base.write(&entries)?;
        crate::fail::point("entries-imported");
        let idents =
            std::iter::once(collection.id.0).chain(collection.indexes.iter().map(|index| index.id.0));
        let clustered = collection.indexes.iter().map(|index| index.is_clustered());
        let own = idents.zip(counts).zip(std::iter::once(false).chain(clustered));
        shared.counts.add_to_base(own.filter(|(_, clustered)| !clustered).map(|(delta, _)| delta));
        for (index, mark) in collection.indexes.iter().zip(marks) {
            index.add_multikey(mark);
        }
        Ok(())
    }

    /// The collection, if records of that snapshot may be imported now. That the snapshot was used is on disk before they are.
    fn check_import(&self, uuid: Uuid, at: Timestamp) -> Result<Option<Arc<Collection>>, Error> {
        let shared = &self.shared;
        let import = self.importing();
        let import = import.filter(|import| import.catalog.is_some());
        let import = import.ok_or_else(|| refused("records cannot be imported now"))?;
        if shared.log.last() != import.from {
            return Err(refused("the log was applied already"));
        }
        if at < import.from.ts {
            return Err(refused("the snapshot is older than the place that the log is applied from"));
        }
        let Some(collection) = self.catalog().by_uuid(uuid).cloned() else { return Ok(None) };
        if at > import.newest {
            shared.change_import(|import| import.newest = import.newest.max(at))?;
        }
        Ok(Some(collection))
    }
}

/// A key whose record comes in a moment. sled writes both halves of a page that it splits, and a page again after some changes: that
/// costs little as long as it holds keys only. The records then take the places of these, each written once instead of five times.
fn outline(key: &Bytes) -> Write {
    Write { key: key.clone(), value: Some(join_base(key, Timestamp::ZERO, &[])) }
}

fn is_outline(at: Timestamp, value: &[u8]) -> bool {
    at == Timestamp::ZERO && value.is_empty()
}

impl Shared {
    /// At start-up: removes keys whose records had not come when the process ended. The copy that goes on may be of a time without them,
    /// and the log says nothing about them then.
    pub(crate) fn remove_outlines(&self) -> Result<(), Error> {
        let is_copying = self.importing.lock().as_ref().is_some_and(|import| self.log.last() == import.from);
        if !is_copying || self.options.engine != EngineKind::Sled {
            return Ok(());
        }
        for collection in self.catalog.load().all() {
            let range = keyspace::Range::records(collection.id.0, &KeyRange::all());
            let bounds = (Bound::Included(range.start.into()), Bound::Excluded(range.end.into()));
            let mut left = Vec::new();
            for pair in self.base.range(bounds, Direction::Forward) {
                let (key, stored) = pair?;
                let (at, value) = split_base(&key, &stored)?;
                if is_outline(at, &value) {
                    left.push(Write { key, value: None });
                }
            }
            self.base.write(&left)?;
        }
        Ok(())
    }
}

fn document(bytes: &[u8]) -> Result<&RawDocument, Error> {
    RawDocument::from_bytes(bytes).map_err(|error| Error::Damaged(format!("copied document: {error}")))
}
