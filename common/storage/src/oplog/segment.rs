//! One segment file: header, then records. Also its sparse index from time to offset, and how many entries it has: beside a segment
//! that is complete stands a small file that says so. Where that is missing or does not fit, the segment is read.

use super::record::{Parsed, Record};
use crate::Error;
use crate::control::sync_dir;
use bytes::Bytes;
use parking_lot::Mutex;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use types::Timestamp;

const MAGIC: &[u8; 8] = b"SHOALLOG";
const VERSION: u32 = 1;
/// Magic, version, checksum of both and of the number.
pub(crate) const HEADER_BYTES: u64 = 24;
/// Distance of two places in the sparse index.
pub(super) const MARK_BYTES: u64 = 64 * 1024;
/// Read at once while going through a segment.
const READ_BYTES: usize = 256 * 1024;
/// Read at once for a single record.
const FIRST_BYTES: usize = 4 * 1024;

/// A segment.
#[derive(Debug)]
pub(crate) struct Segment {
    pub number: u64,
    pub path: PathBuf,
    pub file: File,
    /// Bytes written, header included.
    len: AtomicU64,
    marks: Mutex<Marks>,
}

#[derive(Debug, Default)]
struct Marks {
    /// Time of a record and where it starts, ascending.
    places: Vec<(Timestamp, u64)>,
    last: Timestamp,
    /// Up to where the segment was gone through, without a gap.
    known: u64,
    /// How many of the records up to there have an entry.
    entries: u64,
    /// What the file beside the segment says, once it was looked at.
    kept: Option<Kept>,
}

/// Length of a segment and how many entries it has.
#[derive(Debug, Clone, Copy)]
struct Kept {
    len: u64,
    entries: u64,
}

const KEPT_MAGIC: &[u8; 8] = b"SHOALCNT";
const KEPT_BYTES: usize = 28;

pub(super) fn file_name(number: u64) -> String {
    format!("{number:016x}.log")
}

impl Segment {
    /// Makes a new one, on disk when this returns.
    pub(crate) fn create(dir: &Path, number: u64) -> Result<Segment, Error> {
        let path = dir.join(file_name(number));
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path);
        let mut file = open.map_err(Error::io(&path))?;
        let mut header = Vec::with_capacity(HEADER_BYTES as usize);
        header.extend_from_slice(MAGIC);
        header.extend_from_slice(&VERSION.to_le_bytes());
        header.extend_from_slice(&number.to_le_bytes());
        header.extend_from_slice(&crc32c::crc32c(&header).to_le_bytes());
        file.write_all(&header).and_then(|()| file.sync_all()).map_err(Error::io(&path))?;
        sync_dir(dir)?;
        Ok(Segment {
            number,
            path,
            file,
            len: AtomicU64::new(HEADER_BYTES),
            marks: Mutex::new(Marks { known: HEADER_BYTES, ..Marks::default() }),
        })
    }

    /// Opens an existing one. `None` if its header was never finished: a crash at its creation.
    pub(crate) fn open(path: &Path, number: u64) -> Result<Option<Segment>, Error> {
        let open = OpenOptions::new().read(true).write(true).open(path);
        let file = open.map_err(Error::io(path))?;
        let len = file.metadata().map_err(Error::io(path))?.len();
        if len < HEADER_BYTES {
            return Ok(None);
        }
        let mut header = [0; HEADER_BYTES as usize];
        file.read_exact_at(&mut header, 0).map_err(Error::io(path))?;
        let (head, crc) = header.split_at(20);
        if head.get(..8) != Some(MAGIC) || crc32c::crc32c(head).to_le_bytes() != crc {
            if len == HEADER_BYTES {
                return Ok(None);
            }
            return Err(Error::Corrupt { file: path.to_owned(), offset: 0, reason: "bad header".to_owned() });
        }
        let version = head.get(8..12).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes);
        if version != VERSION || head.get(12..) != Some(&number.to_le_bytes()[..]) {
            return Err(Error::Format { found: version, supported: VERSION });
        }
        let marks = Mutex::new(Marks { known: HEADER_BYTES, ..Marks::default() });
        Ok(Some(Segment { number, path: path.to_owned(), file, len: AtomicU64::new(len), marks }))
    }

    pub(crate) fn len(&self) -> u64 {
        self.len.load(Ordering::Acquire)
    }

    pub(super) fn set_len(&self, len: u64) {
        self.len.store(len, Ordering::Release);
    }

    /// Cuts everything from `offset` on, durably.
    /// `last` is the time of the last record that stays.
    pub(super) fn cut(&self, offset: u64, last: Timestamp) -> Result<(), Error> {
        self.file.set_len(offset).and_then(|()| self.file.sync_all()).map_err(Error::io(&self.path))?;
        self.set_len(offset);
        self.forget_entries()?;
        *self.marks.lock() = Marks { last, known: HEADER_BYTES, ..Marks::default() };
        self.index()
    }

    pub(super) fn remove(&self) -> Result<(), Error> {
        self.forget_entries()?;
        fs::remove_file(&self.path).map_err(Error::io(&self.path))
    }

    fn kept_path(&self) -> PathBuf {
        self.path.with_extension("entries")
    }

    /// Writes down how many entries there are, where all of the segment is known. Not being able to costs a later reader time, nothing else.
    pub(super) fn keep_entries(&self) {
        let (len, entries) = {
            let marks = self.marks.lock();
            (marks.known, marks.entries)
        };
        if len != self.len() {
            return;
        }
        let mut bytes = Vec::with_capacity(KEPT_BYTES);
        bytes.extend_from_slice(KEPT_MAGIC);
        bytes.extend_from_slice(&len.to_le_bytes());
        bytes.extend_from_slice(&entries.to_le_bytes());
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
        if let Err(error) = fs::write(self.kept_path(), bytes) {
            tracing::debug!(%error, segment = self.number, "the number of entries is not kept");
        }
    }

    fn forget_entries(&self) -> Result<(), Error> {
        let path = self.kept_path();
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io(&path)(error)),
            _ => Ok(()),
        }
    }

    /// What the file beside the segment says; nothing that does not check counts.
    fn kept(&self) -> Option<Kept> {
        let bytes = fs::read(self.kept_path()).ok()?;
        let number = |at: usize| bytes.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes);
        let (body, crc) = bytes.split_at_checked(KEPT_BYTES - 4)?;
        let is_whole = body.starts_with(KEPT_MAGIC) && crc == crc32c::crc32c(body).to_le_bytes();
        is_whole.then_some(Kept { len: number(8)?, entries: number(16)? })
    }

    /// How many of the records have an entry.
    pub(super) fn entries(&self) -> Result<u64, Error> {
        let len = self.len();
        {
            let mut marks = self.marks.lock();
            if marks.known >= len {
                return Ok(marks.entries);
            }
            if marks.kept.is_none() {
                marks.kept = self.kept();
            }
            if let Some(kept) = marks.kept.filter(|kept| kept.len == len) {
                return Ok(kept.entries);
            }
        }
        self.index()?;
        Ok(self.marks.lock().entries)
    }

    /// Takes a record into the sparse index if it is the next one: whoever appends and whoever reads may come with the same.
    pub(super) fn note(&self, at: Timestamp, offset: u64, length: u64, has_entry: bool) {
        let mut marks = self.marks.lock();
        if marks.known != offset {
            return;
        }
        marks.entries += u64::from(has_entry);
        if marks.places.last().is_none_or(|(_, place)| offset >= place + MARK_BYTES) {
            marks.places.push((at, offset));
        }
        marks.last = at;
        marks.known = offset + length;
    }

    /// Goes through what the sparse index does not know yet.
    pub(super) fn index(&self) -> Result<(), Error> {
        let from = self.marks.lock().known;
        if from >= self.len() {
            return Ok(());
        }
        let mut walk = Walk::new(from);
        while let Some((record, offset, length)) = walk.next(self)? {
            self.note(record.at.ts, offset, length as u64, !record.entry.is_empty());
        }
        Ok(())
    }

    /// Time of the first record; `None` while there is none. No other record is looked at.
    pub(super) fn first(&self) -> Result<Option<Timestamp>, Error> {
        let known = self.marks.lock().places.first().map(|(first, _)| *first);
        if known.is_some() {
            return Ok(known);
        }
        let found = Walk::short(HEADER_BYTES).next(self)?;
        Ok(found.map(|(record, offset, length)| {
            self.note(record.at.ts, offset, length as u64, !record.entry.is_empty());
            record.at.ts
        }))
    }

    /// Time of the last record; `None` while there is none. Goes through the segment, unless that was done before.
    pub(super) fn last(&self) -> Result<Option<Timestamp>, Error> {
        self.index()?;
        let marks = self.marks.lock();
        Ok((!marks.places.is_empty()).then_some(marks.last))
    }

    /// Where to start reading for the first record after `at`.
    pub(super) fn place_after(&self, at: Timestamp) -> Result<u64, Error> {
        self.index()?;
        let marks = self.marks.lock();
        let next = marks.places.partition_point(|(time, _)| *time <= at);
        Ok(next
            .checked_sub(1)
            .and_then(|index| marks.places.get(index))
            .map_or(HEADER_BYTES, |(_, place)| *place))
    }

    /// The stretches between the places of the sparse index, as far as they begin before a time.
    pub(super) fn stretches(&self, before: Timestamp) -> Result<Vec<(u64, u64)>, Error> {
        self.index()?;
        let marks = self.marks.lock();
        let ends = marks.places.iter().skip(1).map(|(_, place)| *place).chain([marks.known]);
        let starts = marks.places.iter().take_while(|(at, _)| *at < before).map(|(_, place)| *place);
        Ok(starts.zip(ends).collect())
    }

    pub(super) fn corrupt(&self, offset: u64, reason: &str) -> Error {
        Error::Corrupt { file: self.path.clone(), offset, reason: reason.to_owned() }
    }

    /// Reads up to `length` bytes at an offset, fewer at the end.
    pub(super) fn read(&self, offset: u64, length: usize) -> Result<Bytes, Error> {
        let rest = usize::try_from(self.len().saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; length.min(rest)];
        self.file.read_exact_at(&mut bytes, offset).map_err(Error::io(&self.path))?;
        Ok(Bytes::from(bytes))
    }
}

/// Goes through the records of a segment from an offset.
#[derive(Debug)]
pub(super) struct Walk {
    offset: u64,
    buffer: Bytes,
    /// Read at once.
    step: usize,
}

impl Walk {
    pub(super) fn new(offset: u64) -> Walk {
        Walk { offset, buffer: Bytes::new(), step: READ_BYTES }
    }

    /// For one record.
    fn short(offset: u64) -> Walk {
        Walk { step: FIRST_BYTES, ..Walk::new(offset) }
    }

    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The next record, its offset and its length; `None` at the end of what is written.
    pub(super) fn next(&mut self, segment: &Segment) -> Result<Option<(Record, u64, usize)>, Error> {
        let mut wanted = self.step;
        loop {
            match Record::parse(&self.buffer) {
                Parsed::Record(record, length) => {
                    let offset = self.offset;
                    self.offset += length as u64;
                    self.buffer = self.buffer.slice(length..);
                    return Ok(Some((record, offset, length)));
                }
                Parsed::Bad(reason) => return Err(segment.corrupt(self.offset, reason)),
                Parsed::Short => {
                    let rest = segment.len().saturating_sub(self.offset);
                    if rest == 0 {
                        return Ok(None);
                    }
                    if self.buffer.len() as u64 >= rest {
                        return Err(segment.corrupt(self.offset, "record reaches past the end"));
                    }
                    self.buffer = segment.read(self.offset, wanted)?;
                    wanted = wanted.saturating_mul(4);
                }
            }
        }
    }
}
