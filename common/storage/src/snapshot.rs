//! A consistent view at one time: recent versions first, then the base.
//! The order matters: a version leaves memory only after the base has it, so what is in neither was never there.

use crate::Error;
use crate::collection::{Collection, Index, RecordOrder};
use crate::keyspace;
use crate::oplog::collection::LogScan;
use crate::pins::Pin;
use crate::scan::{Direction, IndexScan, RecordScan};
use crate::store::Shared;
use crate::versions::Value;
use bytes::{Buf, Bytes};
use std::sync::Arc;
use types::Timestamp;
use value::SharedDoc;
use value::interval::KeyRange;

/// Checksum and time stand in front of every value of the base.
const CRC_BYTES: usize = 4;
const BASE_HEADER_BYTES: usize = CRC_BYTES + 8;

/// A pinned time. Cheap to clone; the time is held until the last clone is gone.
#[derive(Clone)]
pub struct Snapshot {
    pub(crate) shared: Arc<Shared>,
    pin: Arc<Pin>,
}

impl Snapshot {
    pub(crate) fn new(shared: Arc<Shared>, pin: Arc<Pin>) -> Snapshot {
        Snapshot { shared, pin }
    }

    /// The time that is read.
    pub fn timestamp(&self) -> Timestamp {
        self.pin.at
    }

    /// The record with that key.
    ///
    /// # Errors
    /// [`Error::SnapshotTooOld`] or a failure of the base.
    pub fn get(&self, collection: &Collection, record_key: &[u8]) -> Result<Option<SharedDoc>, Error> {
        if collection.order == RecordOrder::Log {
            let found = LogScan::new(self, &KeyRange::point(record_key), Direction::Forward).next();
            return Ok(found.transpose()?.map(|(_, doc)| doc));
        }
        let key = keyspace::record(collection.id.0, record_key);
        self.value(&key)?.map(document).transpose()
    }

    /// The records of a range of keys, streamed.
    pub fn scan(&self, collection: &Collection, range: &KeyRange, direction: Direction) -> RecordScan {
        let ident = collection.id.0;
        match collection.order {
            RecordOrder::Log => RecordScan::of_log(LogScan::new(self, range, direction)),
            RecordOrder::Id => {
                RecordScan::new(self.clone(), keyspace::Range::records(ident, range), direction)
            }
            RecordOrder::Number => {
                // What was removed at the front is not gone through again.
                let numbers = self.shared.numbers.peek(ident);
                let first = numbers.filter(|numbers| numbers.first_at <= self.timestamp());
                let first = first.map(|numbers| crate::capped::record_key(numbers.first));
                let mut range = range.clone();
                if let Some(first) = first.filter(|first| **first > *range.start) {
                    range.start = first.to_vec();
                }
                RecordScan::new(self.clone(), keyspace::Range::records(ident, &range), direction)
            }
        }
    }

    /// The entries of a range of an index, streamed: encoded index key and record key.
    ///
    /// # Errors
    /// [`Error::SnapshotUnavailable`] when the index was not complete at this time.
    pub fn scan_index(
        &self,
        index: &Index,
        range: &KeyRange,
        direction: Direction,
    ) -> Result<IndexScan, Error> {
        if !index.usable_at(self.timestamp()) {
            return Err(Error::SnapshotUnavailable {
                at: self.timestamp(),
                oldest: index.ready.unwrap_or(Timestamp::MAX),
                newest: self.shared.pins.committed(),
            });
        }
        Ok(IndexScan::new(self.clone(), index, range, direction))
    }

    /// Fails once the snapshot was let go.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.pin.expired() { Err(Error::SnapshotTooOld { at: self.pin.at }) } else { Ok(()) }
    }

    /// The value of a full key.
    pub(crate) fn value(&self, key: &[u8]) -> Result<Value, Error> {
        let shared = &self.shared;
        let found = match shared.spill.newest_of(&shared.versions, key, self.pin.at)? {
            Some((_, value)) => value,
            None => shared.base_value(key)?.map(|(_, value)| value),
        };
        // After the read: what was evicted under an expired pin may just have been missed.
        self.check()?;
        Ok(found)
    }
}

/// As [`take_base`], of a value that stays.
pub(crate) fn split_base(key: &[u8], stored: &Bytes) -> Result<(Timestamp, Bytes), Error> {
    take_base(key, stored.clone())
}

/// Splits a value of the base into time and value, if it is what was written under that key.
pub(crate) fn take_base(key: &[u8], mut stored: Bytes) -> Result<(Timestamp, Bytes), Error> {
    let damaged = || Error::Damaged(format!("value of the base under key {}", hex(key)));
    let (crc, rest) = stored.split_first_chunk::<CRC_BYTES>().ok_or_else(damaged)?;
    let time = rest.first_chunk().ok_or_else(damaged)?;
    if u32::from_le_bytes(*crc) != checksum(key, rest) {
        return Err(damaged());
    }
    let time = Timestamp(u64::from_le_bytes(*time));
    stored.advance(BASE_HEADER_BYTES);
    Ok((time, stored))
}

/// As [`take_base`], of a value that its engine checked when it read it.
pub(crate) fn take_checked(key: &[u8], mut stored: Bytes) -> Result<Bytes, Error> {
    if stored.len() < BASE_HEADER_BYTES {
        return take_base(key, stored).map(|(_, value)| value);
    }
    stored.advance(BASE_HEADER_BYTES);
    Ok(stored)
}

/// The form in which a value goes to the base.
pub(crate) fn join_base(key: &[u8], at: Timestamp, value: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(BASE_HEADER_BYTES + value.len());
    out.extend_from_slice(&[0; CRC_BYTES]);
    out.extend_from_slice(&at.0.to_le_bytes());
    out.extend_from_slice(value);
    let crc = checksum(key, out.get(CRC_BYTES..).unwrap_or_default());
    if let Some(place) = out.first_chunk_mut() {
        *place = crc.to_le_bytes();
    }
    Bytes::from(out)
}

/// Over key, time and value: a value in the wrong place is as bad as a wrong one.
fn checksum(key: &[u8], rest: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(key), rest)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().take(64).map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn document(bytes: Bytes) -> Result<SharedDoc, Error> {
    SharedDoc::new(bytes).map_err(|error| Error::Damaged(format!("stored document: {error}")))
}
