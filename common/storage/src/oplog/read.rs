//! The reading end of the log: scans both ways and tails by time. Readers see an entry only after its data can be read.

use super::append::Log;
use super::record::Record;
use super::segment::{HEADER_BYTES, Segment, Walk};
use crate::snapshot::document;
use crate::{Direction, Error};
use std::sync::Arc;
use tokio::sync::watch;
use types::{OpTime, Timestamp};
use value::SharedDoc;

/// One entry as `local.oplog.rs` shows it.
#[derive(Debug, Clone)]
pub struct OplogEntry {
    pub op_time: OpTime,
    pub doc: SharedDoc,
}

/// Access to the entries of the log.
#[derive(Debug, Clone)]
pub struct OplogReader {
    log: Arc<Log>,
}

impl OplogReader {
    pub(crate) fn new(log: Arc<Log>) -> OplogReader {
        OplogReader { log }
    }

    /// Entries later than `after`, oldest first. At the end `next` is `None`; called again later it goes on.
    ///
    /// # Errors
    /// [`Error::OplogPositionLost`] when entries after `after` are gone already; not for [`Timestamp::ZERO`], which means from the oldest.
    pub fn after(&self, after: Timestamp) -> Result<OplogCursor, Error> {
        let epoch = self.log.epoch();
        let segments = self.log.segments();
        // Looked at last: while nothing was removed, what is after its beginning is there.
        let begun = self.log.start();
        let lost = |first: Timestamp| match begun {
            Some(begun) => after < begun.ts,
            None => first > after.next(),
        };
        // The newest that begins no later has the place. Only the first record of each is looked at: nobody waits for a whole log to
        // be read.
        let (mut holds, mut oldest) = (None, None);
        if after != Timestamp::ZERO {
            for segment in segments.iter().rev() {
                match segment.first()? {
                    Some(first) if first <= after => {
                        holds = Some(segment);
                        break;
                    }
                    Some(first) => oldest = Some(first),
                    None => {}
                }
            }
        }
        let (segment, offset) = match (holds, oldest) {
            (Some(segment), _) => (segment, segment.place_after(after)?),
            (None, Some(oldest)) if lost(oldest) => {
                return Err(Error::OplogPositionLost { at: after, oldest });
            }
            (None, _) => (segments.first().ok_or(Error::Closed)?, HEADER_BYTES),
        };
        let way = Way::Forward { segment: segment.clone(), walk: Walk::new(offset) };
        Ok(OplogCursor { log: self.log.clone(), after, epoch, way, bare: false })
    }

    /// Entries earlier than `before`, newest first.
    ///
    /// # Errors
    /// If the log cannot be written out or read.
    pub fn before(&self, before: Timestamp) -> Result<OplogCursor, Error> {
        let epoch = self.log.epoch();
        let visible = *self.log.visible().borrow();
        self.log.write_out().ok();
        let bound = before.min(visible.next());
        let mut segments = self.log.segments();
        while let Some(newest) = segments.last()
            && newest.first()?.is_none_or(|first| first >= bound)
        {
            segments.pop();
        }
        let way = Way::Backward { segments, stretches: None, records: Vec::new() };
        Ok(OplogCursor { log: self.log.clone(), after: bound, epoch, way, bare: false })
    }

    /// All entries in one direction.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn scan(&self, direction: Direction) -> Result<OplogCursor, Error> {
        match direction {
            Direction::Forward => self.after(Timestamp::ZERO),
            Direction::Backward => self.before(Timestamp::MAX),
        }
    }

    /// The oldest entry.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn first(&self) -> Result<Option<OplogEntry>, Error> {
        self.scan(Direction::Forward)?.next().transpose()
    }

    /// The newest entry.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn last(&self) -> Result<Option<OplogEntry>, Error> {
        self.scan(Direction::Backward)?.next().transpose()
    }

    /// Changes with every commit that readers can see; holds its time.
    pub fn watch(&self) -> watch::Receiver<Timestamp> {
        self.log.visible()
    }

    /// Bytes of all segments.
    pub fn bytes(&self) -> u64 {
        self.log.bytes()
    }
}

/// A position in the log. One that goes forward and that the log has left behind ends with [`Error::OplogPositionLost`], again and
/// again: `None` means that there is nothing more.
#[derive(Debug)]
pub struct OplogCursor {
    log: Arc<Log>,
    /// Forward: the last time handed out. Backward: the bound below which to go on.
    after: Timestamp,
    epoch: u64,
    way: Way,
    /// Also records that have no entry.
    bare: bool,
}

#[derive(Debug)]
enum Way {
    Forward {
        segment: Arc<Segment>,
        walk: Walk,
    },
    Backward {
        segments: Vec<Arc<Segment>>,
        stretches: Option<Stretches>,
        /// Of one stretch, so that the next one is the last.
        records: Vec<Record>,
    },
}

/// What is left to read of a segment: from and to which offset, the next one last.
type Stretches = (Arc<Segment>, Vec<(u64, u64)>);

impl OplogCursor {
    /// The time of the last entry handed out, or where the cursor was placed.
    pub fn position(&self) -> Timestamp {
        self.after
    }

    /// After the log was cut back: places the cursor anew, unless what it has handed out is gone.
    fn follow(&mut self) -> Result<(), Error> {
        if self.log.epoch() == self.epoch {
            return Ok(());
        }
        let to = self.log.cut_since(self.epoch);
        if matches!(self.way, Way::Backward { .. }) || to < self.after {
            return Err(Error::RolledBack { to });
        }
        let bare = self.bare;
        *self = OplogReader::new(self.log.clone()).after(self.after)?;
        self.bare = bare;
        Ok(())
    }

    fn forward(&mut self) -> Result<Option<Record>, Error> {
        let visible = *self.log.visible().borrow();
        let mut wrote = false;
        let Way::Forward { segment, walk } = &mut self.way else { return Ok(None) };
        while self.after < visible {
            let before = walk.offset();
            match walk.next(segment)? {
                Some((record, ..)) if record.at.ts <= self.after => {}
                Some((record, ..)) if record.at.ts > visible => {
                    // Written, but its data is not published yet.
                    *walk = Walk::new(before);
                    return Ok(None);
                }
                Some((record, ..)) => {
                    self.after = record.at.ts;
                    if self.bare || !record.entry.is_empty() {
                        return Ok(Some(record));
                    }
                }
                None => {
                    let number = segment.number;
                    let next = self.log.segments().into_iter().find(|other| other.number > number);
                    // A segment that has a successor does not grow any more, but it may have since the walk ended.
                    if next.is_some() && walk.offset() < segment.len() {
                        continue;
                    }
                    if let Some(next) = next {
                        if next.number != number + 1 {
                            // What came in between was dropped while this one was read.
                            let oldest = next.first()?.unwrap_or(visible);
                            return Err(Error::OplogPositionLost { at: self.after, oldest });
                        }
                        *walk = Walk::new(HEADER_BYTES);
                        *segment = next;
                    } else if !wrote {
                        self.log.write_out()?;
                        wrote = true;
                    } else {
                        return Ok(None);
                    }
                }
            }
        }
        Ok(None)
    }

    fn backward(&mut self) -> Result<Option<Record>, Error> {
        let Way::Backward { segments, stretches, records } = &mut self.way else { return Ok(None) };
        loop {
            while let Some(record) = records.pop() {
                if record.at.ts < self.after && (self.bare || !record.entry.is_empty()) {
                    self.after = record.at.ts;
                    return Ok(Some(record));
                }
            }
            match stretches.as_mut().and_then(|(segment, rest)| rest.pop().map(|stretch| (segment, stretch)))
            {
                Some((segment, (start, end))) => {
                    let mut walk = Walk::new(start);
                    while walk.offset() < end {
                        match walk.next(segment)? {
                            Some((record, ..)) => records.push(record),
                            None => break,
                        }
                    }
                }
                None => match segments.pop() {
                    Some(segment) => {
                        let list = segment.stretches(self.after)?;
                        *stretches = Some((segment, list));
                    }
                    None => return Ok(None),
                },
            }
        }
    }

    /// The same over every record of the log, those without an entry included.
    pub(crate) fn with_bare(mut self) -> OplogCursor {
        self.bare = true;
        self
    }

    pub(crate) fn next_record(&mut self) -> Result<Option<Record>, Error> {
        self.follow()?;
        match self.way {
            Way::Forward { .. } => self.forward(),
            Way::Backward { .. } => self.backward(),
        }
    }
}

impl Iterator for OplogCursor {
    type Item = Result<OplogEntry, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let record = self.next_record();
        let entry = |record: Record| Ok(OplogEntry { op_time: record.at, doc: document(record.entry)? });
        record.and_then(|record| record.map(entry).transpose()).transpose()
    }
}
