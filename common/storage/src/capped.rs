//! Capped collections: records by rising number, the oldest removed in the commit that makes too many.
//! A number is given in the order of commits and never twice while the process runs: a batch that was prepared while another
//! one took the next numbers conflicts and is prepared again. So a reader that has seen a number has seen all before it.

use crate::collection::{Collection, RecordKey, RecordOrder};
use crate::keyspace::{self, Ident, Range};
use crate::scan::{Direction, Merge};
use crate::snapshot::Snapshot;
use crate::{Error, Store};
use bson::{RawBsonRef, RawDocument};
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::HashMap;
use types::Timestamp;
use value::interval::KeyRange;

/// How much a capped collection holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capped {
    /// Bytes of documents.
    pub bytes_max: u64,
    pub records_max: Option<u64>,
}

impl Capped {
    /// The bounds in the options of a collection; `None` where it is not capped.
    pub(crate) fn of(options: &RawDocument) -> Result<Option<Capped>, Error> {
        if !options.get_bool("capped").unwrap_or(false) {
            return Ok(None);
        }
        let number = |name: &str| match options.get(name) {
            Ok(Some(RawBsonRef::Int32(number))) => u64::try_from(number).ok(),
            Ok(Some(RawBsonRef::Int64(number))) => u64::try_from(number).ok(),
            Ok(Some(RawBsonRef::Double(number))) if number >= 0.0 => Some(number as u64),
            _ => None,
        };
        let bytes_max = number("size").filter(|size| *size > 0);
        let bytes_max = bytes_max.ok_or_else(|| {
            let message = "the 'size' field is required when 'capped' is true";
            Error::Value(types::Fault::new(types::Code::InvalidOptions, message))
        })?;
        Ok(Some(Capped { bytes_max, records_max: number("max").filter(|max| *max > 0) }))
    }

    /// Whether this much is too much.
    pub(crate) fn exceeded_by(&self, records: i64, bytes: i64) -> bool {
        let over = |have: i64, max: u64| u64::try_from(have).is_ok_and(|have| have > max);
        over(bytes, self.bytes_max) || self.records_max.is_some_and(|max| over(records, max))
    }
}

/// The key of a record with this number.
pub(crate) fn record_key(number: u64) -> RecordKey {
    Bytes::copy_from_slice(&number.to_be_bytes())
}

/// The number in a record key.
pub(crate) fn number_of(record_key: &[u8]) -> Option<u64> {
    record_key.try_into().ok().map(u64::from_be_bytes)
}

/// The numbers of one collection.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Numbers {
    /// The highest that was ever given.
    pub last: u64,
    /// From `first_at` on nothing below `first` is there any more.
    pub first: u64,
    pub first_at: Timestamp,
}

/// The numbers of all capped collections that were written or tailed since start.
#[derive(Debug, Default)]
pub(crate) struct NumberTable(Mutex<HashMap<Ident, Numbers>>);

impl NumberTable {
    /// The numbers of a collection; looked up in it the first time.
    pub(crate) fn get(&self, snapshot: &Snapshot, ident: Ident) -> Result<Numbers, Error> {
        if let Some(numbers) = self.0.lock().get(&ident) {
            return Ok(*numbers);
        }
        let latest = snapshot.shared.snapshot();
        let end = |direction| -> Result<Option<u64>, Error> {
            let range = Range::records(ident, &KeyRange::all());
            let record = Merge::new(latest.clone(), range, direction).next().transpose()?;
            Ok(record.and_then(|(key, _)| number_of(&keyspace::strip(key))))
        };
        let last = end(Direction::Backward)?.unwrap_or(0);
        let first = end(Direction::Forward)?.unwrap_or(last + 1);
        let found = Numbers { last, first, first_at: latest.timestamp() };
        // Whoever was faster may have given numbers already.
        Ok(*self.0.lock().entry(ident).or_insert(found))
    }

    /// Notes what a commit did, in the commit section; `false` if the numbers are not those it was prepared with.
    pub(crate) fn advance(&self, ident: Ident, before: &Numbers, after: Numbers) -> bool {
        let mut table = self.0.lock();
        // Forgotten meanwhile: the collection was dropped, or the log cut back.
        let Some(now) = table.get_mut(&ident) else { return false };
        if now.last != before.last {
            return false;
        }
        now.last = after.last;
        if after.first > now.first {
            now.first = after.first;
            now.first_at = after.first_at;
        }
        true
    }

    /// Notes the highest number that records from elsewhere name. What is below the first record is not known here.
    pub(crate) fn applied(&self, ident: Ident, number: u64) {
        let mut table = self.0.lock();
        let now = table.entry(ident).or_default();
        now.last = now.last.max(number);
    }

    pub(crate) fn peek(&self, ident: Ident) -> Option<Numbers> {
        self.0.lock().get(&ident).copied()
    }

    /// After a rollback: what was removed may be there again.
    pub(crate) fn clear(&self) {
        self.0.lock().clear();
    }

    pub(crate) fn forget(&self, ident: Ident) {
        self.0.lock().remove(&ident);
    }
}

impl Store {
    /// A number that changes whenever a record is appended to a capped collection or the log: what a tailing reader compares
    /// before it waits.
    ///
    /// # Errors
    /// If the collection cannot be read.
    pub fn tail(&self, collection: &Collection) -> Result<u64, Error> {
        match collection.order {
            RecordOrder::Log => Ok(self.oplog().watch().borrow().0),
            _ => Ok(self.shared.numbers.get(&self.snapshot(), collection.id.0)?.last),
        }
    }
}
