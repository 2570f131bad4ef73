//! What unique means: no other record has an entry with the same index key.
//! Checked against the snapshot while a batch is prepared, and against everything newer in the commit section.

use super::entries::row_of;
use crate::Error;
use crate::collection::{Collection, Index};
use crate::error::DuplicateKey;
use crate::keyspace::{self, Range};
use crate::scan::{Direction, Merge};
use crate::snapshot::Snapshot;
use crate::store::Shared;
use crate::versions::Value;
use bson::{RawBsonRef, RawDocument, RawDocumentBuf};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::ops::Bound;
use types::Timestamp;

/// The range of all entries that share the index key of `entry`.
fn same_key(entry: &[u8], prefix_len: usize) -> Range {
    Range::prefix(entry.get(..prefix_len).unwrap_or_default().to_vec())
}

/// Whether snapshot or own writes hold another live entry with the index key of `entry`, apart from those about to go.
pub(crate) fn find_other(
    snapshot: &Snapshot,
    own: &BTreeMap<Bytes, Value>,
    entry: &Bytes,
    prefix_len: usize,
    going: &[Bytes],
) -> Result<bool, Error> {
    let range = same_key(entry, prefix_len);
    let bounds = (Bound::Included(range.start.as_slice()), Bound::Excluded(range.end.as_slice()));
    let mut own_entries = own.range::<[u8], _>(bounds);
    if own_entries.any(|(key, value)| value.is_some() && key != entry && !going.contains(key)) {
        return Ok(true);
    }
    for pair in Merge::new(snapshot.clone(), range, Direction::Forward) {
        let (key, _) = pair?;
        let removed = own.get(&key).is_some_and(Option::is_none);
        if key != *entry && !removed && !going.contains(&key) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a commit after the snapshot took the index key of `entry` for another record. In the commit section; not for an
/// index that is being built.
pub(crate) fn taken_since(
    shared: &Shared,
    snapshot: &Snapshot,
    own: &BTreeMap<Bytes, Value>,
    entry: &Bytes,
    prefix_len: usize,
) -> bool {
    let range = same_key(entry, prefix_len);
    let mut found = Vec::new();
    let start = Bound::Included(range.start.as_slice());
    shared.versions.collect_forward(start, &range.end, Timestamp::MAX, usize::MAX, &mut found);
    found.iter().any(|other| {
        let removed = own.get(&other.key).is_some_and(Option::is_none);
        other.value.is_some() && other.time > snapshot.timestamp() && other.key != *entry && !removed
    })
}

/// The error for a key that has two entries; `None` if it has not.
pub(crate) fn violation(
    snapshot: &Snapshot,
    collection: &Collection,
    index: &Index,
    prefix: &Bytes,
) -> Result<Option<Error>, Error> {
    let mut entries = Merge::new(snapshot.clone(), Range::prefix(prefix.to_vec()), Direction::Forward);
    let (Some(first), Some(_)) = (entries.next().transpose()?, entries.next().transpose()?) else {
        return Ok(None);
    };
    let record_key = first.0.slice(prefix.len()..);
    let doc = snapshot.get(collection, &record_key)?;
    let empty = RawDocumentBuf::new();
    let doc = doc.as_deref().unwrap_or(&empty);
    Ok(Some(duplicate(collection, index, doc, &first.0, prefix.len())))
}

/// The error for an entry that is taken.
pub(crate) fn duplicate(
    collection: &Collection,
    index: &Index,
    doc: &RawDocument,
    entry: &[u8],
    prefix_len: usize,
) -> Error {
    let key = entry.get(keyspace::PREFIX_BYTES..prefix_len).unwrap_or_default();
    let row = row_of(&index.pattern, doc, key).ok().flatten().unwrap_or_default();
    let mut key_value = RawDocumentBuf::new();
    for ((name, _), value) in index.key.iter().flatten().zip(row) {
        key_value.append(name, value.unwrap_or(RawBsonRef::Null));
    }
    Error::DuplicateKey(Box::new(DuplicateKey {
        ns: collection.ns.clone(),
        index: index.name.clone(),
        key_pattern: index.key.clone(),
        key_value,
    }))
}
