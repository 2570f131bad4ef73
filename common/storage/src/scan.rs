//! Streaming scans at a snapshot: recent versions merged over the base.
//! A stretch of versions is captured before the base is read over the same stretch, so a key that moves from memory to the
//! base meanwhile is seen in at least one of them; where it is in both, the captured version wins.

use crate::Error;
use crate::base::{BaseIter, Bounds};
use crate::collection::{Index, RecordKey};
use crate::keyspace::{self, Range};
use crate::oplog::collection::LogScan;
use crate::snapshot::{Snapshot, document, take_base, take_checked};
use crate::versions::Visible;
use bytes::Bytes;
use std::cmp::Ordering;
use std::ops::Bound;
use value::SharedDoc;
use value::interval::KeyRange;

const STRETCH_MIN: usize = 32;
const STRETCH_MAX: usize = 1024;

/// Which way a scan goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    #[default]
    Forward,
    Backward,
}

/// Live keys of a range at a snapshot, with values.
pub(crate) struct Merge {
    snapshot: Snapshot,
    direction: Direction,
    /// What is still to be captured.
    rest: Option<(Bound<Bytes>, Bound<Bytes>)>,
    stretch: usize,
    captured: std::vec::IntoIter<Visible>,
    base: Option<BaseIter>,
    spilled: std::vec::IntoIter<Visible>,
    next_spilled: Option<Visible>,
    next_captured: Option<Visible>,
    next_version: Option<Visible>,
    next_base: Option<(Bytes, Bytes)>,
    /// Values of the base are compared with their checksums here too, not only by the engine.
    checked: bool,
    failed: bool,
}

impl Merge {
    pub(crate) fn new(snapshot: Snapshot, range: Range, direction: Direction) -> Merge {
        let rest = (!range.is_empty())
            .then(|| (Bound::Included(Bytes::from(range.start)), Bound::Excluded(Bytes::from(range.end))));
        let checked = !snapshot.shared.base.checks_reads();
        Merge {
            snapshot,
            direction,
            rest,
            stretch: STRETCH_MIN,
            captured: Vec::new().into_iter(),
            base: None,
            spilled: Vec::new().into_iter(),
            next_spilled: None,
            next_captured: None,
            next_version: None,
            next_base: None,
            checked,
            failed: false,
        }
    }

    /// Compares every value with its checksum.
    pub(crate) fn checked(mut self) -> Merge {
        self.checked = true;
        self
    }

    /// Captures the next stretch of versions, then opens the base over exactly that stretch.
    fn capture(&mut self) -> Result<bool, Error> {
        let Some((start, end)) = self.rest.take() else { return Ok(false) };
        let mut out = Vec::with_capacity(self.stretch.min(STRETCH_MIN));
        let versions = &self.snapshot.shared.versions;
        let at = self.snapshot.timestamp();
        match self.direction {
            Direction::Forward => {
                let end = key_of(&end);
                versions.collect_forward(
                    start.as_ref().map(|key| key.as_ref()),
                    end,
                    at,
                    self.stretch,
                    &mut out,
                );
            }
            Direction::Backward => {
                versions.collect_backward(key_of(&start), key_of(&end), at, self.stretch, &mut out);
            }
        }
        let last =
            (out.len() >= self.stretch).then(|| out.last().map(|visible| visible.key.clone())).flatten();
        let mut bounds: Bounds = match (self.direction, last) {
            (_, None) => (start, end),
            (direction, Some(last)) => self.shorten((start, end), direction, last),
        };
        // From memory to the spill space to the base: in the order in which a version may move. Taken whole before the base is
        // read, for an iterator shows what moves meanwhile or does not.
        let mut spilled = Vec::new();
        if let Some(scan) = self.snapshot.shared.spill.range(&bounds, at, self.direction) {
            for visible in scan.take(self.stretch) {
                spilled.push(visible?);
            }
            if let Some(last) = spilled.last().filter(|_| spilled.len() >= self.stretch) {
                let last = last.key.clone();
                out.retain(|visible| match self.direction {
                    Direction::Forward => visible.key <= last,
                    Direction::Backward => visible.key >= last,
                });
                let whole = self.rest.take().map_or(bounds.clone(), |rest| match self.direction {
                    Direction::Forward => (bounds.0.clone(), rest.1),
                    Direction::Backward => (rest.0, bounds.1.clone()),
                });
                bounds = self.shorten(whole, self.direction, last);
            }
        }
        self.spilled = spilled.into_iter();
        self.stretch = (self.stretch * 2).min(STRETCH_MAX);
        self.captured = out.into_iter();
        self.base = Some(self.snapshot.shared.base.range(bounds, self.direction));
        Ok(true)
    }

    /// Ends a stretch with `last`; what comes after it is for the next one.
    fn shorten(&mut self, (start, end): Bounds, direction: Direction, last: Bytes) -> Bounds {
        match direction {
            Direction::Forward => {
                self.rest = Some((Bound::Excluded(last.clone()), end));
                (start, Bound::Included(last))
            }
            Direction::Backward => {
                self.rest = Some((start, Bound::Excluded(last.clone())));
                (Bound::Included(last), end)
            }
        }
    }

    fn fill_base(&mut self) -> Result<(), Error> {
        if self.next_base.is_none()
            && let Some(base) = &mut self.base
        {
            match base.next() {
                Some(pair) => self.next_base = Some(pair?),
                None => self.base = None,
            }
        }
        Ok(())
    }

    /// The next key of memory and spill space, in its newer version of both.
    fn fill_version(&mut self) {
        if self.next_version.is_some() {
            return;
        }
        if self.next_captured.is_none() {
            self.next_captured = self.captured.next();
        }
        if self.next_spilled.is_none() {
            self.next_spilled = self.spilled.next();
        }
        let order = match (&self.next_captured, &self.next_spilled) {
            (_, None) => Ordering::Less,
            (None, _) => Ordering::Greater,
            (Some(captured), Some(spilled)) => match self.direction {
                Direction::Forward => captured.key.cmp(&spilled.key),
                Direction::Backward => spilled.key.cmp(&captured.key),
            },
        };
        self.next_version = match order {
            Ordering::Less => self.next_captured.take(),
            Ordering::Greater => self.next_spilled.take(),
            Ordering::Equal => {
                let both = (self.next_captured.take(), self.next_spilled.take());
                match both {
                    (Some(captured), Some(spilled)) if spilled.time > captured.time => Some(spilled),
                    (captured, _) => captured,
                }
            }
        };
    }

    fn advance(&mut self) -> Result<Option<(Bytes, Bytes)>, Error> {
        loop {
            self.fill_base()?;
            self.fill_version();
            let order = match (&self.next_version, &self.next_base) {
                (None, None) => {
                    if self.capture()? {
                        continue;
                    }
                    return Ok(None);
                }
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(version), Some((key, _))) => match self.direction {
                    Direction::Forward => version.key.cmp(key),
                    Direction::Backward => key.cmp(&version.key),
                },
            };
            if order == Ordering::Greater {
                if let Some((key, stored)) = self.next_base.take() {
                    let taken = match self.checked {
                        true => take_base(&key, stored).map(|(_, value)| value),
                        false => take_checked(&key, stored),
                    };
                    let value = taken.inspect_err(|error| self.snapshot.shared.base.report(error))?;
                    return Ok(Some((key, value)));
                }
            } else {
                if order == Ordering::Equal {
                    self.next_base = None;
                }
                let version = self.next_version.take();
                if let Some(Visible { key, value: Some(value), .. }) = version {
                    return Ok(Some((key, value)));
                }
            }
        }
    }
}

impl Iterator for Merge {
    type Item = Result<(Bytes, Bytes), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let next = self.advance();
        // After the read: what was evicted under an expired pin may just have been missed.
        let next = next.and_then(|pair| self.snapshot.check().map(|()| pair));
        self.failed = !matches!(next, Ok(Some(_)));
        next.transpose()
    }
}

fn key_of(bound: &Bound<Bytes>) -> &[u8] {
    match bound {
        Bound::Included(key) | Bound::Excluded(key) => key,
        Bound::Unbounded => &[],
    }
}

/// Records with their keys.
pub struct RecordScan(Source);

enum Source {
    Records(Box<Merge>),
    Log(Box<LogScan>),
}

impl RecordScan {
    pub(crate) fn new(snapshot: Snapshot, range: Range, direction: Direction) -> RecordScan {
        RecordScan(Source::Records(Box::new(Merge::new(snapshot, range, direction))))
    }

    pub(crate) fn of_log(scan: LogScan) -> RecordScan {
        RecordScan(Source::Log(Box::new(scan)))
    }

    /// Compares every value of the base with its checksum, also where the engine did: for what validates or copies.
    #[must_use]
    pub(crate) fn checked(self) -> RecordScan {
        match self.0 {
            Source::Records(merge) => RecordScan(Source::Records(Box::new(merge.checked()))),
            log => RecordScan(log),
        }
    }
}

impl Iterator for RecordScan {
    type Item = Result<(RecordKey, SharedDoc), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Source::Records(merge) => {
                Some(merge.next()?.and_then(|(key, value)| Ok((keyspace::strip(key), document(value)?))))
            }
            Source::Log(scan) => scan.next(),
        }
    }
}

/// Index entries: encoded index key and record key.
pub struct IndexScan {
    merge: Merge,
    /// The index on `_id` has no entries of its own.
    records: bool,
}

impl IndexScan {
    pub(crate) fn new(
        snapshot: Snapshot,
        index: &Index,
        range: &KeyRange,
        direction: Direction,
    ) -> IndexScan {
        let records = index.is_clustered();
        let range = if records { Range::records(index.id.0, range) } else { Range::index(index.id.0, range) };
        IndexScan { merge: Merge::new(snapshot, range, direction), records }
    }
}

impl Iterator for IndexScan {
    type Item = Result<(Bytes, RecordKey), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.merge.next()?.and_then(|(key, value)| {
            let key = keyspace::strip(key);
            if self.records { Ok((key.clone(), key)) } else { split_entry(&key, &value) }
        }))
    }
}

/// Splits an index entry: its value says where the record key begins.
pub(crate) fn split_entry(key: &Bytes, value: &[u8]) -> Result<(Bytes, RecordKey), Error> {
    let length =
        value.try_into().ok().map(u32::from_le_bytes).and_then(|length| usize::try_from(length).ok());
    match length.filter(|length| *length <= key.len()) {
        Some(length) => Ok((key.slice(..length), key.slice(length..))),
        None => Err(Error::Damaged("index entry without the place of its record key".to_owned())),
    }
}
