//! Every key prefix that storage writes, in one place. A prefix is never used again for something else.
//! Index entries sort before records, so a checkpoint that goes by key order writes them first.

use bytes::{Buf, Bytes};
use value::interval::KeyRange;

/// A collection or an index: part of every key it owns, never used twice in one data directory.
pub(crate) type Ident = u32;

/// Catalogue: ident of a collection → its definition.
const CATALOG: u8 = 0x01;
/// Idents whose keys are still to be removed → time of the drop.
const DROPPED: u8 = 0x02;
/// The next free ident.
const NEXT_IDENT: u8 = 0x03;
/// What a checkpoint writes last: nothing but its time. Base only.
const COMPLETE: u8 = 0x04;
/// Index entries: ident of the index, encoded values, record key.
const INDEX: u8 = 0x10;
/// Records: ident of the collection, encoded `_id`.
const RECORD: u8 = 0x20;
/// Counts: ident → records and bytes. Base only, and the last thing that a checkpoint writes.
const COUNT: u8 = 0x30;

/// Versions that memory had no room for: escaped key, descending time. Base only, and empty at start-up.
pub(crate) const SPILL: u8 = 0x40;

/// Space byte and ident.
pub(crate) const PREFIX_BYTES: usize = 5;
/// The key of the next free ident.
pub(crate) const NEXT_IDENT_KEY: &[u8] = &[NEXT_IDENT];
/// Time of the last checkpoint that the base has whole.
pub(crate) const COMPLETE_KEY: &[u8] = &[COMPLETE];
/// First key of the records: a checkpoint syncs what it wrote before it crosses this.
pub(crate) const RECORDS_START: &[u8] = &[RECORD];

fn prefixed(space: u8, ident: Ident, rest: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(PREFIX_BYTES + rest.len() + 8);
    key.push(space);
    key.extend_from_slice(&ident.to_be_bytes());
    key.extend_from_slice(rest);
    key
}

pub(crate) fn catalog(ident: Ident) -> Vec<u8> {
    prefixed(CATALOG, ident, &[])
}

pub(crate) fn dropped(ident: Ident) -> Vec<u8> {
    prefixed(DROPPED, ident, &[])
}

pub(crate) fn count(ident: Ident) -> Vec<u8> {
    prefixed(COUNT, ident, &[])
}

pub(crate) fn record(ident: Ident, record_key: &[u8]) -> Vec<u8> {
    prefixed(RECORD, ident, record_key)
}

pub(crate) fn index_prefix(ident: Ident) -> Vec<u8> {
    prefixed(INDEX, ident, &[])
}

pub(crate) fn record_prefix(ident: Ident) -> Vec<u8> {
    prefixed(RECORD, ident, &[])
}

/// The ident in a key of the catalogue, drop, count, index or record space.
pub(crate) fn ident_of(key: &[u8]) -> Option<Ident> {
    let bytes = key.get(1..PREFIX_BYTES)?;
    Some(Ident::from_be_bytes(bytes.try_into().ok()?))
}

/// Whether a key is a record of a collection.
pub(crate) fn is_record(key: &[u8]) -> bool {
    key.first() == Some(&RECORD)
}

/// Whether a key belongs to the catalogue.
pub(crate) fn is_catalog(key: &[u8]) -> bool {
    key.first() == Some(&CATALOG)
}

/// A key without its prefix.
pub(crate) fn strip(mut key: Bytes) -> Bytes {
    key.advance(PREFIX_BYTES.min(key.len()));
    key
}

/// All keys of the catalogue.
pub(crate) fn catalog_space() -> Range {
    space(CATALOG)
}

/// All drops that are still to be cleaned up.
pub(crate) fn dropped_space() -> Range {
    space(DROPPED)
}

/// All persisted counts.
pub(crate) fn count_space() -> Range {
    space(COUNT)
}

/// All spilled versions.
pub(crate) fn spill_space() -> Range {
    space(SPILL)
}

fn space(byte: u8) -> Range {
    Range { start: vec![byte], end: vec![byte + 1] }
}

/// A range of full keys, end exclusive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Range {
    pub start: Vec<u8>,
    pub end: Vec<u8>,
}

impl Range {
    /// Everything under one prefix.
    pub(crate) fn prefix(prefix: Vec<u8>) -> Range {
        let end = successor(&prefix);
        Range { start: prefix, end }
    }

    /// The records of a collection within a range of record keys.
    pub(crate) fn records(ident: Ident, range: &KeyRange) -> Range {
        Range::within(RECORD, ident, range)
    }

    /// The entries of an index within a range of index keys.
    pub(crate) fn index(ident: Ident, range: &KeyRange) -> Range {
        Range::within(INDEX, ident, range)
    }

    fn within(space: u8, ident: Ident, range: &KeyRange) -> Range {
        let end = match &range.end {
            Some(end) => prefixed(space, ident, end),
            None => successor(&prefixed(space, ident, &[])),
        };
        Range { start: prefixed(space, ident, &range.start), end }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start >= self.end
    }
}

/// The smallest key that is greater than every key with this prefix. The first byte is a space, which is never 0xff.
pub(crate) fn successor(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.last_mut() {
        if *last < u8::MAX {
            *last += 1;
            break;
        }
        end.pop();
    }
    end
}
