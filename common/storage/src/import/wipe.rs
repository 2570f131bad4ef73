//! The beginning of an import: everything that was here goes.

use super::{IMPORTING, Importing, LOG_START, log_start};
use crate::catalog::Catalog;
use crate::checkpoint::{CHECKPOINT, CHECKPOINTING, SYNCED};
use crate::collection::Collection;
use crate::control::{Control, sync_dir};
use crate::keyspace::Range;
use crate::store::Shared;
use crate::{Error, Store, fail};
use bytes::Bytes;
use std::fs;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use types::{OpTime, Timestamp};

impl Store {
    /// Removes everything and begins to copy another store, whose log stood at `source_last` before anything of it is copied. The
    /// log of this one goes on after that place. Snapshots of what was here end with [`Error::SnapshotTooOld`]. Facts of the
    /// control file that are not of storage stay.
    ///
    /// # Errors
    /// [`Error::ApplyRefused`] while this member is writable; else if the disk fails, which poisons the store: start-up goes on then.
    pub fn begin_import(&self, source_last: OpTime) -> Result<(), Error> {
        let shared = &self.shared;
        let _applying = shared.applying.lock();
        let _ddl = shared.ddl.lock();
        let _pass = shared.checkpointer.pass.lock();
        let section = shared.commit.lock();
        shared.check_open()?;
        if shared.writable.load(Ordering::Acquire) {
            return Err(super::refused("this member is writable"));
        }
        let mut import = Importing::new(source_last);
        shared.control.change([(IMPORTING, import.fact())], &[CHECKPOINT, CHECKPOINTING, SYNCED])?;
        fail::point("import-begun");
        shared.is_importing.store(true, Ordering::Release);
        shared.wipe(&mut import).inspect_err(|error| match error {
            Error::Closed => {}
            error => shared.log.poison(error),
        })?;
        *shared.importing.lock() = Some(import);
        drop(section);
        *shared.catalog_changes.lock() += 1;
        shared.catalog_changed.notify_all();
        tracing::info!(from = %source_last, "wiped for an initial copy");
        Ok(())
    }
}

impl Shared {
    fn wipe(&self, import: &mut Importing) -> Result<(), Error> {
        let from = import.from;
        // Nobody reads any more.
        self.pins.roll_back(Timestamp::ZERO);
        let segment = self.log.restart(from)?;
        fail::point("log-restarted");
        self.versions.remove_newer(Timestamp::ZERO);
        self.clear_base(&Range { start: Vec::new(), end: vec![u8::MAX] })?;
        self.base.flush()?;
        self.spill.reset();
        self.purge.reset();
        self.counts.retain(|_| false);
        self.numbers.clear();
        self.builds.clear();
        let mut catalog = Catalog::default();
        catalog.set_log(Collection::of_log(self.options.oplog_bytes_max)?);
        self.catalog.store(Arc::new(catalog));
        self.checkpointer.restart();
        self.pins.set_floor(from.ts);
        self.pins.set_committed(from.ts);
        import.wiping = false;
        self.control.put_all([(IMPORTING, import.fact()), (LOG_START, log_start(from, segment))])?;
        fail::point("import-wiped");
        Ok(())
    }

    /// Removes a range of keys from the base. Ends with the store: what it leaves then, start-up removes.
    pub(super) fn clear_base(&self, range: &Range) -> Result<(), Error> {
        let end = Bytes::copy_from_slice(&range.end);
        let mut from = Bound::Included(Bytes::copy_from_slice(&range.start));
        loop {
            if self.closed.load(Ordering::Acquire) {
                return Err(Error::Closed);
            }
            match self.remove_round(from, end.clone())? {
                Some(last) => from = Bound::Excluded(last),
                None => return Ok(()),
            }
        }
    }
}

/// At start-up, before anything is opened: removes what an interrupted wipe left.
pub(crate) fn wipe_at_start(dir: &Path, control: &Control) -> Result<(), Error> {
    let Some(mut import) = Importing::load(control)?.filter(|import| import.wiping) else { return Ok(()) };
    for part in ["base", "oplog"] {
        let path = dir.join(part);
        match fs::remove_dir_all(&path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::Io { path, source });
            }
            _ => {}
        }
    }
    sync_dir(dir)?;
    import.wiping = false;
    control.put_all([(IMPORTING, import.fact()), (LOG_START, log_start(import.from, 1))])
}
