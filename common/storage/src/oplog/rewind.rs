//! Cutting the log back to an earlier time: what came after it never happened.
//! Segments go from the newest to the oldest, each durably, so a crash in between leaves a log that ends a little later.

use super::append::Log;
use super::record::Record;
use super::segment::{HEADER_BYTES, Segment, Walk};
use crate::Error;
use crate::control::sync_dir;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use types::{OpTime, Timestamp};

/// The end of a record in the log.
#[derive(Debug)]
pub(crate) struct Place {
    segment: Arc<Segment>,
    end: u64,
}

impl Log {
    /// Where the record of that time ends; `None` if there is none of that time and term.
    pub(crate) fn place(&self, at: OpTime) -> Result<Option<Place>, Error> {
        for segment in self.segments().into_iter().rev() {
            if segment.first()?.is_none_or(|first| first > at.ts) {
                continue;
            }
            let mut walk = Walk::new(segment.place_after(at.ts)?);
            while let Some((record, offset, length)) = walk.next(&segment)? {
                if record.at == at {
                    return Ok(Some(Place { segment, end: offset + length as u64 }));
                }
                if record.at.ts > at.ts {
                    break;
                }
            }
            return Ok(None);
        }
        Ok(None)
    }

    /// Hands every record after a place to `each`, oldest first.
    pub(crate) fn records_after(
        &self,
        place: &Place,
        each: &mut dyn FnMut(Record) -> Result<(), Error>,
    ) -> Result<(), Error> {
        for segment in self.segments().iter().filter(|segment| segment.number >= place.segment.number) {
            let start = if segment.number == place.segment.number { place.end } else { HEADER_BYTES };
            let mut walk = Walk::new(start);
            while let Some((record, ..)) = walk.next(segment)? {
                each(record)?;
            }
        }
        Ok(())
    }

    /// Cuts everything after a place, durably. In the commit section, and after [`Log::write_out`].
    /// After a failure the caller poisons the log: start-up sorts out what is left.
    pub(crate) fn cut_back(&self, place: &Place, to: OpTime) -> Result<(), Error> {
        let mut writer = self.writer.lock();
        self.write_locked(&mut writer)?;
        let mut newer = self.segments();
        newer.retain(|segment| segment.number > place.segment.number);
        while let Some(segment) = newer.pop() {
            self.segments.write().retain(|other| other.number != segment.number);
            segment.remove()?;
            sync_dir(&self.dir)?;
        }
        // Until the epoch has changed: nobody says of what is gone that it is synced.
        let disk = self.disk.lock();
        self.check()?;
        place.segment.cut(place.end, to.ts).inspect_err(|error| self.poison(error))?;
        writer.segment = place.segment.clone();
        writer.written = to;
        self.buffer.lock().last = to;
        self.durable.send_modify(|durable| {
            durable.epoch += 1;
            durable.at = to;
            self.durable_ts.store(to.ts.0, Ordering::Release);
            self.cuts.lock().push(to.ts);
            self.epoch.store(durable.epoch, Ordering::Release);
        });
        drop(disk);
        self.signal.lock().wanted = to.ts;
        self.release_all();
        self.visible.send_replace(to.ts);
        Ok(())
    }

    /// Removes everything and begins again after a place. Returns the number of the first segment. In the commit section. After a
    /// failure, or a crash halfway, what is left is to be removed.
    pub(crate) fn restart(&self, after: OpTime) -> Result<u64, Error> {
        let mut writer = self.writer.lock();
        self.write_locked(&mut writer)?;
        let old = self.segments();
        let number = writer.segment.number + 1;
        let disk = self.disk.lock();
        let fresh = Arc::new(Segment::create(&self.dir, number)?);
        *self.segments.write() = vec![fresh.clone()];
        for segment in old {
            segment.remove()?;
        }
        sync_dir(&self.dir)?;
        writer.segment = fresh;
        writer.written = after;
        self.buffer.lock().last = after;
        *self.start.lock() = Some(after);
        self.durable.send_modify(|durable| {
            durable.epoch += 1;
            durable.at = after;
            self.durable_ts.store(after.ts.0, Ordering::Release);
            self.cuts.lock().push(Timestamp::ZERO);
            self.epoch.store(durable.epoch, Ordering::Release);
        });
        drop(disk);
        self.signal.lock().wanted = after.ts;
        self.release_all();
        self.visible.send_replace(after.ts);
        Ok(number)
    }

    /// The earliest time that the log was cut back to since an epoch.
    pub(crate) fn cut_since(&self, epoch: u64) -> Timestamp {
        let cuts = self.cuts.lock();
        cuts.iter().skip(epoch as usize).copied().min().unwrap_or(Timestamp::MAX)
    }
}
