//! The log as a collection: its records by time, read through the segments.

use super::read::{OplogCursor, OplogReader};
use crate::collection::RecordKey;
use crate::scan::Direction;
use crate::{Error, Snapshot};
use bson::RawBsonRef;
use bytes::Bytes;
use types::Timestamp;
use value::SharedDoc;
use value::interval::KeyRange;

const KEY_BYTES: usize = 9;

/// The record key of an entry: its time as a value of an ordinary key, so that bounds on `ts` are ranges of it.
pub(crate) fn record_key(at: Timestamp) -> RecordKey {
    let mut key = Vec::with_capacity(KEY_BYTES);
    value::key::encode(&mut key, RawBsonRef::Timestamp(at.into()), false);
    Bytes::from(key)
}

/// The first time whose key is not before `key`; `None` if there is none.
fn first_at(key: &[u8]) -> Option<Timestamp> {
    let tag = record_key(Timestamp::ZERO).first().copied();
    match key.first().copied() {
        None => Some(Timestamp::ZERO),
        first if first < tag => Some(Timestamp::ZERO),
        first if first > tag => None,
        _ => {
            let mut time = [0; 8];
            let given = key.get(1..key.len().min(KEY_BYTES)).unwrap_or_default();
            if let Some(place) = time.get_mut(..given.len()) {
                place.copy_from_slice(given);
            }
            let at = Timestamp(u64::from_be_bytes(time));
            Some(if key.len() > KEY_BYTES { at.next() } else { at })
        }
    }
}

/// Whether a range begins right behind a record: whoever asks for that has the record and goes on with what follows it.
fn goes_on(start: &[u8]) -> bool {
    start.len() == KEY_BYTES + 1 && start.last() == Some(&0)
}

/// A scan over entries: what the log still has of a range. One that goes on behind a record ends with [`Error::OplogPositionLost`] if
/// what follows it may be gone, for there would be a gap.
pub(crate) struct LogScan {
    cursor: Result<Option<OplogCursor>, Option<Error>>,
    range: KeyRange,
    direction: Direction,
    until: Timestamp,
}

impl LogScan {
    pub(crate) fn new(snapshot: &Snapshot, range: &KeyRange, direction: Direction) -> LogScan {
        let reader = OplogReader::new(snapshot.shared.log.clone());
        let until = snapshot.timestamp();
        let cursor = match direction {
            Direction::Forward => match first_at(&range.start) {
                None => Ok(None),
                Some(from) => match reader.after(Timestamp(from.0.saturating_sub(1))) {
                    Err(Error::OplogPositionLost { .. }) if !goes_on(&range.start) => {
                        reader.after(Timestamp::ZERO).map(Some)
                    }
                    other => other.map(Some),
                },
            },
            Direction::Backward => {
                let end = range.end.as_deref().and_then(first_at).unwrap_or(Timestamp::MAX);
                reader.before(end.min(until.next())).map(Some)
            }
        };
        LogScan { cursor: cursor.map_err(Some), range: range.clone(), direction, until }
    }

    fn step(&mut self) -> Result<Option<(RecordKey, SharedDoc)>, Error> {
        let cursor = match &mut self.cursor {
            Ok(Some(cursor)) => cursor,
            Ok(None) => return Ok(None),
            Err(error) => return error.take().map_or(Ok(None), Err),
        };
        let Some(entry) = cursor.next().transpose()? else { return Ok(None) };
        let at = entry.op_time.ts;
        let key = record_key(at);
        let past = match self.direction {
            Direction::Forward => {
                at > self.until || self.range.end.as_deref().is_some_and(|end| *key >= *end)
            }
            Direction::Backward => *key < *self.range.start,
        };
        if past {
            self.cursor = Ok(None);
            return Ok(None);
        }
        Ok(Some((key, entry.doc)))
    }
}

impl Iterator for LogScan {
    type Item = Result<(RecordKey, SharedDoc), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step();
        if !matches!(step, Ok(Some(_))) {
            self.cursor = Ok(None);
        }
        step.transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_places_in_time() {
        let at = Timestamp::new(7, 3);
        let key = record_key(at);
        assert_eq!(key.len(), KEY_BYTES);
        assert_eq!(first_at(&key), Some(at));
        assert_eq!(first_at(&[&key[..], &[0]].concat()), Some(at.next()));
        assert_eq!(first_at(&key[..5]), Some(Timestamp::new(7, 0)));
        assert_eq!(first_at(&[]), Some(Timestamp::ZERO));
        assert_eq!(first_at(&[0x14]), Some(Timestamp::ZERO));
        assert_eq!(first_at(&[0xF0]), None);
    }
}
