//! Reading the log for other members: records one by one, where an entry stands, the places of the newest ones.

use super::LogRecord;
use crate::oplog::{Durable, Log, OplogCursor, Record};
use crate::{Error, Store};
use std::sync::Arc;
use tokio::sync::watch;
use types::{OpTime, Timestamp};

/// Whether the log has an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Located {
    Found,
    /// The log reaches back so far, and has no such entry; `last` is its newest.
    NotThere {
        last: OpTime,
    },
    /// The log begins later, with `first`.
    TooOld {
        first: OpTime,
    },
}

/// Records later than a place, oldest first. At the end `next` is `None`; called again later it goes on:
/// [`crate::OplogReader::watch`] tells when. After a rollback below what was handed out it ends with [`Error::RolledBack`].
#[derive(Debug)]
pub struct RecordCursor(OplogCursor);

impl RecordCursor {
    /// The time of the last record handed out, or where the cursor was placed.
    pub fn position(&self) -> Timestamp {
        self.0.position()
    }
}

impl Iterator for RecordCursor {
    type Item = Result<LogRecord, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next_record().and_then(|record| record.map(travelling).transpose()).transpose()
    }
}

/// A part of the log that is kept.
#[derive(Debug)]
pub struct LogHold {
    log: Arc<Log>,
    number: u64,
}

impl Drop for LogHold {
    fn drop(&mut self) {
        self.log.let_go(self.number);
    }
}

fn travelling(record: Record) -> Result<LogRecord, Error> {
    let side = record.local()?.side;
    Ok(LogRecord { at: record.at, entry: record.entry, side })
}

impl Store {
    /// The oldest record of the log.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn first_op_time(&self) -> Result<Option<OpTime>, Error> {
        let record = self.oplog().after(Timestamp::ZERO)?.with_bare().next_record()?;
        Ok(record.map(|record| record.at))
    }

    /// Whether the log has exactly this entry. The place before all entries is there while none was removed.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn locate(&self, at: OpTime) -> Result<Located, Error> {
        let log = &self.shared.log;
        let last = log.last();
        if let Some(start) = log.start().filter(|start| at.ts <= start.ts) {
            return Ok(match self.first_op_time()? {
                _ if at == start => Located::Found,
                _ if at.ts == start.ts => Located::NotThere { last },
                first => Located::TooOld { first: first.unwrap_or(start) },
            });
        }
        if at.ts > last.ts {
            return Ok(Located::NotThere { last });
        }
        log.write_out()?;
        if log.place(at)?.is_some() {
            return Ok(Located::Found);
        }
        Ok(match self.first_op_time()? {
            Some(first) if at.ts < first.ts => Located::TooOld { first },
            _ => Located::NotThere { last },
        })
    }

    /// Records after a place that [`Store::locate`] found.
    ///
    /// # Errors
    /// [`Error::OplogPositionLost`] when records after it are gone already.
    pub fn records_after(&self, after: OpTime) -> Result<RecordCursor, Error> {
        if after.ts == Timestamp::ZERO && self.shared.log.start() != Some(OpTime::default()) {
            // Not what is there still, as for other readers of the log.
            let oldest = self.first_op_time()?.unwrap_or_default();
            return Err(Error::OplogPositionLost { at: after.ts, oldest: oldest.ts });
        }
        Ok(RecordCursor(self.oplog().after(after.ts)?.with_bare()))
    }

    /// The places of the newest records before a place, or of the newest of all, latest first.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn op_times_before(&self, before: Option<OpTime>, limit: usize) -> Result<Vec<OpTime>, Error> {
        let before = before.map_or(Timestamp::MAX, |before| before.ts);
        let mut cursor = self.oplog().before(before)?.with_bare();
        let mut times = Vec::new();
        while times.len() < limit
            && let Some(record) = cursor.next_record()?
        {
            times.push(record.at);
        }
        Ok(times)
    }

    /// Has the log synced up to a place soon, without waiting for it.
    pub fn ask_for_sync(&self, at: OpTime) {
        if self.shared.log.durable_ts() < at.ts {
            self.shared.log.hurry(at.ts);
        }
    }

    /// Keeps the log after a place, up to several times its size, as long as the result is held: for a member that copies this
    /// store and will ask for it.
    pub fn hold_log(&self, after: OpTime) -> LogHold {
        let log = self.shared.log.clone();
        LogHold { number: log.hold(after.ts), log }
    }

    /// Up to where the log is synced, how often it was cut back, and whether it failed; changes with each sync.
    pub fn durable_watch(&self) -> watch::Receiver<Durable> {
        self.shared.log.durable()
    }
}
