//! Rollback: the log is cut after a common point and newer versions are dropped. The base never holds anything newer than the
//! stable time, so nothing else has to be undone. What is undone is kept as files of BSON for people to look at.

use crate::Error;
use crate::catalog::Catalog;
use crate::checkpoint::{SYNCED, time};
use crate::collection::Collection;
use crate::keyspace::{self, Ident};
use crate::oplog::Place;
use crate::scan::{Direction, Merge};
use crate::snapshot::Snapshot;
use crate::store::{Shared, Store};
use crate::undone::Undone;
use bson::RawDocument;
use std::path::PathBuf;
use std::sync::Arc;
use types::OpTime;

/// Control fact: idents below it are taken, whatever the catalogue says.
pub(crate) const NEXT_IDENT: &str = "storage.nextIdent";

/// What a rollback did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RolledBack {
    /// Entries that were undone; an `applyOps` counts once.
    pub entries: u64,
    /// The files that hold them.
    pub files: Vec<PathBuf>,
}

impl Store {
    /// Goes back to the state right after the commit at `to`: cuts the log, drops newer versions; counts and catalogue are as of
    /// then. The undone entries are kept under `rollback/`. Snapshots later than `to` end with [`Error::SnapshotTooOld`], waits
    /// for the durability of what is undone with [`Error::RolledBack`]. The caller sees to it that nobody writes meanwhile that
    /// should not.
    ///
    /// # Errors
    /// [`Error::RollbackRefused`] below the stable time, or if the log has no such commit. If the disk fails halfway, the log is
    /// poisoned and start-up finds a state between both points.
    pub fn roll_back_to(&self, to: OpTime) -> Result<RolledBack, Error> {
        let shared = &self.shared;
        let refused = |reason: String| Error::RollbackRefused { to: to.ts, reason };
        let _applying = shared.applying.lock();
        let free = shared.ddl.lock();
        let _pass = shared.checkpointer.pass.lock();
        let section = shared.commit.lock();
        shared.check_open()?;
        if shared.is_importing.load(std::sync::atomic::Ordering::Acquire) {
            return Err(refused("another store is being copied".to_owned()));
        }
        let pin = shared.pins.pin_at(to.ts).map_err(|(oldest, newest)| {
            refused(format!("the stable time is {oldest}, the last commit {newest}"))
        })?;
        shared.log.write_out()?;
        let place = shared.log.place(to)?;
        let place = place.ok_or_else(|| refused("the log has no such entry".to_owned()))?;
        let at_goal = catalog_at(&Snapshot::new(shared.clone(), pin.clone()))?;
        let mut undone = Undone::new(shared, shared.options.dir.join("rollback"), &at_goal);
        shared.log.records_after(&place, &mut |record| undone.take(&record))?;
        let done = undone.finish()?;
        // From here on a log that ends at `to` is whole.
        if shared.log.durable_ts() > to.ts {
            shared.control.put(SYNCED, time(to.ts))?;
        }
        // What is undone may have used idents; they stay used.
        shared.control.put(NEXT_IDENT, i64::from(*free))?;
        shared.pins.roll_back(to.ts);
        let snapshot = Snapshot::new(shared.clone(), pin);
        // Half of it is worth nothing: what is in memory then does not belong together.
        shared.undo(&place, to, &snapshot).inspect_err(|error| shared.log.poison(error))?;
        drop(section);
        // What goes on belongs to indexes that are no more, or are others by now.
        shared.builds.clear();
        shared.start_open_builds()?;
        tracing::warn!(to = %to, entries = done.entries, "rolled back");
        *shared.catalog_changes.lock() += 1;
        shared.catalog_changed.notify_all();
        Ok(done)
    }
}

impl Shared {
    /// In the commit section, when nobody can read anything later than `to`.
    fn undo(&self, place: &Place, to: OpTime, snapshot: &Snapshot) -> Result<(), Error> {
        self.log.cut_back(place, to)?;
        self.versions.remove_newer(to.ts);
        self.spill.roll_back(to.ts)?;
        self.counts.roll_back(to.ts);
        self.numbers.clear();
        // What was made later is gone for good. What is dropped now may be there again after another rollback.
        let free = match snapshot.value(keyspace::NEXT_IDENT_KEY)? {
            Some(bytes) => Ident::from_le_bytes(
                bytes.as_ref().try_into().map_err(|_| Error::Damaged("next ident".to_owned()))?,
            ),
            None => Ident::MIN,
        };
        self.counts.retain(|ident| ident < free);
        self.catalog.store(Arc::new(catalog_at(snapshot)?));
        Ok(())
    }

    /// Fails if the log was cut back since `epoch`: what was prepared before is worth nothing.
    pub(crate) fn check_epoch(&self, epoch: u64) -> Result<(), Error> {
        if self.log.epoch() == epoch {
            return Ok(());
        }
        Err(Error::RolledBack { to: self.log.cut_since(epoch) })
    }
}

/// The catalogue as its records say at a time.
pub(crate) fn catalog_at(snapshot: &Snapshot) -> Result<Catalog, Error> {
    let mut catalog = Catalog::default();
    let options = &snapshot.shared.options;
    catalog.set_log(Collection::of_log(options.oplog_bytes_max)?);
    let predicates = options.predicates.as_ref();
    for pair in Merge::new(snapshot.clone(), keyspace::catalog_space(), Direction::Forward) {
        let (key, value) = pair?;
        let ident = keyspace::ident_of(&key).ok_or_else(|| Error::Damaged("catalogue key".to_owned()))?;
        let doc = RawDocument::from_bytes(&value)
            .map_err(|error| Error::Damaged(format!("catalogue record {ident}: {error}")))?;
        catalog.put(Arc::new(Collection::from_document(ident, doc, predicates)?));
    }
    Ok(catalog)
}
