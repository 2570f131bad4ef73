//! Applies contiguous records of another member: runs of changes of documents as groups, commands that change the catalogue each
//! by itself in between.

use super::LogRecord;
use super::group::{Group, is_command};
use crate::brake::Admitted;
use crate::{Error, Store};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use types::OpTime;

/// Beyond this many records, or bytes of them, applying takes longer than a commit.
const BRIEF_COUNT_MAX: usize = 64;
const BRIEF_BYTES_MAX: usize = 256 * 1024;

/// What a record is taken to need in memory beside twice its size: keys, index entries, what they cost.
const RECORD_BYTES: usize = 1024;

fn bytes_of(records: &[LogRecord]) -> usize {
    records.iter().map(|record| 2 * record.size() + RECORD_BYTES).sum()
}

impl Store {
    /// Whether [`Store::apply`] of these records takes about as long as a commit, and waits for nothing: few records, no command, and
    /// memory that has room. To hand them to another thread and back would cost more.
    pub fn is_brief(&self, records: &[LogRecord]) -> bool {
        records.len() <= BRIEF_COUNT_MAX
            && records.iter().map(LogRecord::size).sum::<usize>() <= BRIEF_BYTES_MAX
            && records.iter().all(|record| is_command(record).is_ok_and(|is_command| !is_command))
            && self.shared.has_room_for(bytes_of(records))
    }

    /// Applies records that follow the last one of the log: they are appended to it, not yet synced, and become visible together,
    /// but for what comes before a command that changes the catalogue, which becomes visible before it. Returns the last one.
    /// May wait: for an index build that the log says is complete, for room in memory.
    ///
    /// # Errors
    /// [`Error::ApplyRefused`] and [`Error::DiskFull`] before anything was applied. Any other failure poisons the store, for half
    /// a group cannot be taken back: the process should end.
    pub fn apply(&self, records: &[LogRecord]) -> Result<OpTime, Error> {
        let shared = &self.shared;
        let _applying = shared.applying.lock();
        shared.check_open()?;
        if shared.writable.load(Ordering::Acquire) {
            return Err(Error::ApplyRefused("this member is writable".to_owned()));
        }
        shared.check_room()?;
        let mut last = shared.log.last();
        for record in records {
            if record.at.ts <= last.ts || record.at.term < last.term {
                return Err(Error::ApplyRefused(format!("{} does not follow {last}", record.at)));
            }
            last = record.at;
        }
        if records.is_empty() {
            return Ok(last);
        }
        if shared.is_importing.load(Ordering::Acquire) {
            let from = self.importing().filter(|import| import.catalog.is_some()).map(|import| import.from);
            let from =
                from.ok_or_else(|| Error::ApplyRefused("the catalogue was not imported".to_owned()))?;
            if shared.log.last() == from {
                shared.keep_marks()?;
            }
        }
        let admitted = shared.throttle(bytes_of(records), None)?;
        self.apply_all(records, admitted).inspect_err(|error| match error {
            Error::Closed => {}
            error => shared.log.poison(error),
        })?;
        Ok(last)
    }

    fn apply_all(&self, records: &[LogRecord], admitted: Admitted<'_>) -> Result<(), Error> {
        let shared: &Arc<_> = &self.shared;
        let mut admitted = Some(admitted);
        let mut rest = records;
        while !rest.is_empty() {
            let mut length = 0;
            for record in rest {
                if is_command(record)? {
                    break;
                }
                length += 1;
            }
            let (run, others) = rest.split_at(length);
            if !run.is_empty() {
                Group::new(shared, run)?.apply(shared)?;
            }
            rest = others;
            if let Some((command, others)) = rest.split_first() {
                // It may wait for an index build, and that for room in memory.
                drop(admitted.take());
                shared.apply_command(command)?;
                rest = others;
            }
        }
        Ok(())
    }
}
