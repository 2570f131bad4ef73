//! One record of the log: the bytes around an entry. Layout in FORMAT.md.

use crate::Error;
use crate::counts::{Count, Delta};
use crate::versions::Value;
use bytes::Bytes;
use types::{OpTime, Timestamp};

/// Length and checksum.
pub(crate) const HEADER_BYTES: usize = 8;
/// Time, term, synced time, length of the local part.
const BODY_HEADER_BYTES: usize = 28;
/// A batch of 100 k small or some hundred large documents fits; more in one record is damage.
pub(crate) const RECORD_BYTES_MAX: usize = 1024 * 1024 * 1024;
pub(super) const TOMBSTONE: u32 = u32::MAX;

/// Whether an encoded record has an entry, or is one that only this member sees.
pub(super) fn has_entry(record: &[u8]) -> bool {
    let local_at = HEADER_BYTES + BODY_HEADER_BYTES - 4;
    let local = record.get(local_at..local_at + 4).and_then(|bytes| bytes.try_into().ok());
    let local = local.map_or(0, u32::from_le_bytes) as usize;
    record.len() > HEADER_BYTES + BODY_HEADER_BYTES + local
}

/// What a commit changes only on this member, beside the entry that everybody sees.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Local {
    /// Changes of records and bytes, so that counts are exact after any crash.
    pub deltas: Vec<Delta>,
    /// Keys that are written as they stand: the catalogue, and collections that are not replicated.
    pub puts: Vec<(Bytes, Value)>,
    /// Writes that all members make and that are no entry: [`super::side`]. Empty if there are none.
    pub side: Bytes,
}

impl Local {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&(self.deltas.len() as u32).to_le_bytes());
        for (ident, count) in &self.deltas {
            out.extend_from_slice(&ident.to_le_bytes());
            out.extend_from_slice(&count.to_bytes());
        }
        out.extend_from_slice(&(self.puts.len() as u32).to_le_bytes());
        for (key, value) in &self.puts {
            out.extend_from_slice(&(key.len() as u32).to_le_bytes());
            out.extend_from_slice(key);
            let length = value.as_ref().map_or(TOMBSTONE, |value| value.len() as u32);
            out.extend_from_slice(&length.to_le_bytes());
            out.extend_from_slice(value.as_deref().unwrap_or_default());
        }
        out.extend_from_slice(&self.side);
    }

    fn decode(mut bytes: Bytes) -> Option<Local> {
        let mut local = Local::default();
        for _ in 0..take_u32(&mut bytes)? {
            let ident = take_u32(&mut bytes)?;
            local.deltas.push((ident, Count::from_bytes(&take(&mut bytes, 16)?).ok()?));
        }
        for _ in 0..take_u32(&mut bytes)? {
            let length = take_u32(&mut bytes)?;
            let key = take(&mut bytes, length as usize)?;
            let value = match take_u32(&mut bytes)? {
                TOMBSTONE => None,
                // Copied: it outlives what the log was read into.
                length => Some(Bytes::copy_from_slice(&take(&mut bytes, length as usize)?)),
            };
            local.puts.push((key, value));
        }
        local.side = bytes;
        Some(local)
    }
}

pub(super) fn take(bytes: &mut Bytes, length: usize) -> Option<Bytes> {
    (length <= bytes.len()).then(|| bytes.split_to(length))
}

pub(super) fn take_u32(bytes: &mut Bytes) -> Option<u32> {
    take(bytes, 4).and_then(|bytes| Some(u32::from_le_bytes(bytes.as_ref().try_into().ok()?)))
}

/// Appends a whole record whose entry comes from another member and has its times already.
pub(crate) fn write_foreign(out: &mut Vec<u8>, local: &Local, entry: &[u8], at: OpTime, synced: Timestamp) {
    let start = out.len();
    out.resize(start + HEADER_BYTES + BODY_HEADER_BYTES, 0);
    local.encode(out);
    let local_len = out.len() - start - HEADER_BYTES - BODY_HEADER_BYTES;
    out.extend_from_slice(entry);
    let length = out.len() - start - HEADER_BYTES;
    let Some(record) = out.get_mut(start..) else { return };
    set(record, 0, &(length as u32).to_le_bytes());
    set(record, HEADER_BYTES, &at.ts.0.to_le_bytes());
    set(record, HEADER_BYTES + 8, &at.term.to_le_bytes());
    set(record, HEADER_BYTES + 16, &synced.0.to_le_bytes());
    set(record, HEADER_BYTES + 24, &(local_len as u32).to_le_bytes());
    let crc = checksum(record);
    set(record, 4, &crc.to_le_bytes());
}

/// A record before its time is known: everything but times and checksum is in place.
#[derive(Debug)]
pub(crate) struct Draft {
    bytes: Vec<u8>,
    has_entry: bool,
}

impl Draft {
    /// `entry` is empty, or a document made by [`super::entry`].
    pub(crate) fn new(local: &Local, entry: &[u8]) -> Draft {
        let puts: usize =
            local.puts.iter().map(|(key, value)| key.len() + value.as_ref().map_or(0, Bytes::len) + 8).sum();
        let room = HEADER_BYTES + BODY_HEADER_BYTES + 8 + local.deltas.len() * 20 + puts + entry.len();
        let mut bytes = Vec::with_capacity(room);
        bytes.resize(HEADER_BYTES + BODY_HEADER_BYTES, 0);
        local.encode(&mut bytes);
        let local_len = bytes.len() - HEADER_BYTES - BODY_HEADER_BYTES;
        set(&mut bytes, HEADER_BYTES + 24, &(local_len as u32).to_le_bytes());
        bytes.extend_from_slice(entry);
        let length = bytes.len() - HEADER_BYTES;
        set(&mut bytes, 0, &(length as u32).to_le_bytes());
        Draft { bytes, has_entry: !entry.is_empty() }
    }

    /// Puts times and checksum in. `synced` is what was on disk for certain when this was appended.
    pub(crate) fn finish(mut self, at: OpTime, synced: Timestamp) -> Vec<u8> {
        set(&mut self.bytes, HEADER_BYTES, &at.ts.0.to_le_bytes());
        set(&mut self.bytes, HEADER_BYTES + 8, &at.term.to_le_bytes());
        set(&mut self.bytes, HEADER_BYTES + 16, &synced.0.to_le_bytes());
        if self.has_entry {
            super::entry::set_times(&mut self.bytes, at);
        }
        let crc = checksum(&self.bytes);
        set(&mut self.bytes, 4, &crc.to_le_bytes());
        self.bytes
    }
}

pub(super) fn set(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at + value.len()) {
        place.copy_from_slice(value);
    }
}

/// Over the length and the body, not over itself.
fn checksum(record: &[u8]) -> u32 {
    let length = crc32c::crc32c(record.get(..4).unwrap_or_default());
    crc32c::crc32c_append(length, record.get(HEADER_BYTES..).unwrap_or_default())
}

/// A record as it was read.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub at: OpTime,
    pub synced: Timestamp,
    local: Bytes,
    /// Empty for a commit that only this member sees.
    pub entry: Bytes,
}

/// What is found at a place of a segment.
#[derive(Debug)]
pub(crate) enum Parsed {
    /// A whole record and its length with header.
    Record(Record, usize),
    /// The bytes end before the record does.
    Short,
    Bad(&'static str),
}

impl Record {
    /// Reads a record at the start of `bytes`.
    pub(crate) fn parse(bytes: &Bytes) -> Parsed {
        let Some(length) = number(bytes, 0).map(|length| u32::from_le_bytes(length) as usize) else {
            return Parsed::Short;
        };
        if !(BODY_HEADER_BYTES..=RECORD_BYTES_MAX).contains(&length) {
            return Parsed::Bad("impossible length");
        }
        let whole = HEADER_BYTES + length;
        let Some(record) = bytes.get(..whole) else { return Parsed::Short };
        if number(record, 4).map(u32::from_le_bytes) != Some(checksum(record)) {
            return Parsed::Bad("checksum does not fit");
        }
        let body = bytes.slice(HEADER_BYTES..whole);
        match Record::parse_body(&body) {
            Some(record) => Parsed::Record(record, whole),
            None => Parsed::Bad("impossible body"),
        }
    }

    fn parse_body(body: &Bytes) -> Option<Record> {
        let at = OpTime {
            ts: Timestamp(u64::from_le_bytes(number(body, 0)?)),
            term: i64::from_le_bytes(number(body, 8)?),
        };
        let synced = Timestamp(u64::from_le_bytes(number(body, 16)?));
        let local_len = u32::from_le_bytes(number(body, 24)?) as usize;
        let local_end = BODY_HEADER_BYTES.checked_add(local_len).filter(|end| *end <= body.len())?;
        Some(Record {
            at,
            synced,
            local: body.slice(BODY_HEADER_BYTES..local_end),
            entry: body.slice(local_end..),
        })
    }

    pub(crate) fn local(&self) -> Result<Local, Error> {
        let damaged = || Error::Damaged(format!("local part of the log record at {}", self.at));
        Local::decode(self.local.clone()).ok_or_else(damaged)
    }
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_back_and_every_flip_is_noticed() {
        let local = Local {
            deltas: vec![(7, Count { records: 1, bytes: -30 })],
            puts: vec![
                (Bytes::from_static(b"k"), None),
                (Bytes::from_static(b"l"), Some(Bytes::from_static(b"v"))),
            ],
            side: Bytes::from_static(b"aside"),
        };
        let at = OpTime { ts: Timestamp::new(5, 6), term: 3 };
        let bytes = Draft::new(&local, &[]).finish(at, Timestamp::new(5, 1));
        let Parsed::Record(record, length) = Record::parse(&Bytes::from(bytes.clone())) else { panic!() };
        assert_eq!((record.at, record.synced, length), (at, Timestamp::new(5, 1), bytes.len()));
        assert_eq!(record.local().unwrap(), local);
        assert!(record.entry.is_empty());
        let mut foreign = vec![1];
        write_foreign(&mut foreign, &local, &[], at, Timestamp::new(5, 1));
        assert_eq!(foreign[1..], bytes);
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(!matches!(Record::parse(&Bytes::from(bad)), Parsed::Record(..)), "bit {bit}");
        }
        for end in 0..bytes.len() {
            assert!(matches!(Record::parse(&Bytes::copy_from_slice(&bytes[..end])), Parsed::Short));
        }
    }
}
