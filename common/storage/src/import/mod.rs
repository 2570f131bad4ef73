//! Initial sync: this store becomes a copy of another one. First it is wiped, then the catalogue and all records of the other are
//! copied, each range at a snapshot of its own, straight into the base; then the log of the other is applied from before the first
//! snapshot on, where a record that was copied later than an entry stays as it is.
//! A fact in the control file says that this is going on, from before the first byte is removed until everything is there, so every
//! crash leaves the old store, a copy that goes on, or the finished one. Nobody reads it before.

mod export;
mod records;
mod wipe;

use crate::base::Write;
use crate::change::definition;
use crate::checkpoint::{CHECKPOINTING, time};
use crate::collection::Collection;
use crate::control::Control;
use crate::counts::Count;
use crate::keyspace::{self, Ident, Range};
use crate::scan::{Direction, Merge};
use crate::snapshot::join_base;
use crate::store::Shared;
use crate::{Error, Store, fail};
use bson::{RawBson, RawDocument, RawDocumentBuf, rawdoc};
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use types::{OpTime, Timestamp};
use value::interval::KeyRange;

pub use export::Export;
pub(crate) use wipe::wipe_at_start;

/// Control fact: an import is going on, and how far it is.
pub(crate) const IMPORTING: &str = "storage.importing";
/// Control fact: times of the newest snapshot and of the catalogue of a finished import. Entries up to the first may not fit the
/// base, which was copied later.
pub(crate) const IMPORTED: &str = "storage.imported";
/// Control fact: the place after which the log was begun, and its first segment.
pub(crate) const LOG_START: &str = "storage.logStart";

/// An import that is going on.
#[derive(Debug, Clone, PartialEq)]
pub struct Importing {
    /// The log is applied from here on.
    pub from: OpTime,
    /// The time of the copied catalogue; `None` while there is none.
    pub catalog: Option<Timestamp>,
    /// The newest snapshot that was copied from: the log has to be applied up to there.
    pub newest: Timestamp,
    /// What [`Store::set_import_progress`] left.
    pub progress: RawDocumentBuf,
    pub(crate) wiping: bool,
    /// Whether a process before this one began it: counts are not known then.
    pub(crate) resumed: bool,
}

/// What a finished import left, or one that is going on: up to when entries may not fit the base, and the time of the catalogue, whose
/// indexes are in the base.
pub(crate) fn imported(control: &Control) -> Result<(Timestamp, Timestamp), Error> {
    if let Some(import) = Importing::load(control)? {
        return Ok((Timestamp::MAX, import.catalog.unwrap_or_default()));
    }
    let damaged = || Error::Damaged(format!("control fact {IMPORTED}"));
    match control.get(IMPORTED) {
        None => Ok(Default::default()),
        Some(RawBson::Document(fact)) => {
            let time = |name| fact.get_timestamp(name).map(Timestamp::from).map_err(|_| damaged());
            Ok((time("newest")?, time("catalog")?))
        }
        Some(_) => Err(damaged()),
    }
}

fn place(at: OpTime) -> RawDocumentBuf {
    rawdoc! { "ts": bson::Timestamp::from(at.ts), "t": at.term }
}

pub(crate) fn place_of(doc: &RawDocument) -> Option<OpTime> {
    let ts = doc.get_timestamp("ts").ok()?;
    Some(OpTime { ts: ts.into(), term: doc.get_i64("t").ok()? })
}

impl Importing {
    fn new(from: OpTime) -> Importing {
        let progress = RawDocumentBuf::new();
        Importing { from, catalog: None, newest: from.ts, progress, wiping: true, resumed: false }
    }

    /// What the control file says.
    pub(crate) fn load(control: &Control) -> Result<Option<Importing>, Error> {
        let damaged = || Error::Damaged(format!("control fact {IMPORTING}"));
        let fact = match control.get(IMPORTING) {
            None => return Ok(None),
            Some(RawBson::Document(fact)) => fact,
            Some(_) => return Err(damaged()),
        };
        let from = fact.get_document("from").ok().and_then(place_of).ok_or_else(damaged)?;
        Ok(Some(Importing {
            from,
            catalog: fact.get_timestamp("catalog").ok().map(Timestamp::from),
            newest: fact.get_timestamp("newest").map_err(|_| damaged())?.into(),
            progress: fact.get_document("progress").map_err(|_| damaged())?.to_owned(),
            wiping: fact.get_bool("wiping").map_err(|_| damaged())?,
            resumed: true,
        }))
    }

    pub(crate) fn fact(&self) -> RawBson {
        let mut fact = rawdoc! {
            "from": place(self.from),
            "newest": bson::Timestamp::from(self.newest),
            "progress": self.progress.clone(),
            "wiping": self.wiping,
        };
        if let Some(catalog) = self.catalog {
            fact.append(bson::raw::cstr!("catalog"), bson::Timestamp::from(catalog));
        }
        RawBson::Document(fact)
    }
}

pub(crate) fn log_start(at: OpTime, segment: u64) -> RawBson {
    let mut fact = place(at);
    fact.append(bson::raw::cstr!("segment"), i64::try_from(segment).unwrap_or(i64::MAX));
    RawBson::Document(fact)
}

fn refused(what: &str) -> Error {
    Error::ApplyRefused(what.to_owned())
}

impl Shared {
    /// The time of the copied catalogue, while an import is going on.
    pub(crate) fn import_time(&self) -> Option<Timestamp> {
        if !self.is_importing.load(Ordering::Acquire) {
            return None;
        }
        self.importing.lock().as_ref().and_then(|import| import.catalog)
    }

    fn change_import(&self, change: impl FnOnce(&mut Importing)) -> Result<(), Error> {
        let mut held = self.importing.lock();
        let mut next = held.clone().ok_or_else(|| refused("no import is going on"))?;
        change(&mut next);
        self.control.put(IMPORTING, next.fact())?;
        *held = Some(next);
        Ok(())
    }
}

impl Store {
    /// The import that is going on, from [`Store::begin_import`] to [`Store::finish_import`], also in a process after that.
    pub fn importing(&self) -> Option<Importing> {
        self.shared.importing.lock().clone()
    }

    /// Takes over the catalogue of the source as [`Store::export_catalog`] gave it at a snapshot of `at`. Once, before any record.
    ///
    /// # Errors
    /// [`Error::ApplyRefused`] out of turn; else if a definition cannot be taken or the base fails.
    pub fn import_catalog(&self, at: Timestamp, collections: &[RawDocumentBuf]) -> Result<(), Error> {
        let shared = &self.shared;
        let _applying = shared.applying.lock();
        let mut free = shared.ddl.lock();
        match &*shared.importing.lock() {
            Some(Importing { catalog: None, wiping: false, from, .. }) if at >= from.ts => {}
            _ => return Err(refused("the catalogue cannot be imported now")),
        }
        // Of a process that ended before it was noted that all is there.
        shared.clear_base(&keyspace::catalog_space())?;
        let mut next = *free;
        let mut writes = Vec::new();
        let mut catalog = crate::catalog::Catalog::default();
        catalog.set_log(Collection::of_log(shared.options.oplog_bytes_max)?);
        for doc in collections {
            let collection = export::collection(doc, &mut next, shared.options.predicates.as_ref())?;
            // As recovery will read it, and with multikey marks of its own.
            let (key, value) = definition(&collection);
            let value = value.unwrap_or_default();
            writes.push(Write { value: Some(join_base(&key, at, &value)), key });
            catalog.put(Arc::new(collection));
        }
        let (key, value) = crate::change::next_ident(next);
        writes.push(Write { value: Some(join_base(&key, at, &value.unwrap_or_default())), key });
        shared.base.write(&writes)?;
        shared.base.flush()?;
        fail::point("catalog-imported");
        *free = next;
        shared.change_import(|import| {
            import.catalog = Some(at);
            import.newest = import.newest.max(at);
        })?;
        let open: Vec<Ident> = catalog
            .all()
            .flat_map(|collection| collection.secondary())
            .filter(|index| index.ready.is_none())
            .map(|index| index.id.0)
            .collect();
        shared.catalog.store(Arc::new(catalog));
        // They get their entries with the records.
        let epoch = shared.log.epoch();
        shared.builds.begin(&open, epoch);
        shared.builds.end(&open, epoch, Some(Vec::new()));
        *shared.catalog_changes.lock() += 1;
        shared.catalog_changed.notify_all();
        Ok(())
    }

    /// Keeps a document that says how far the copying is; what was imported before is on disk with it. What is not noted as
    /// complete here has to be imported again after a crash, from the start of its range.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn set_import_progress(&self, progress: RawDocumentBuf) -> Result<(), Error> {
        self.shared.base.flush()?;
        fail::point("import-flushed");
        self.shared.change_import(|import| import.progress = progress)
    }

    /// Ends the import: all ranges were copied and the log was applied up to `last`, which is not before the newest snapshot.
    ///
    /// # Errors
    /// [`Error::ApplyRefused`] too early; else if the disk fails: the import is still going on then.
    pub fn finish_import(&self, last: OpTime) -> Result<(), Error> {
        let shared = &self.shared;
        {
            let _applying = shared.applying.lock();
            let _ddl = shared.ddl.lock();
            let _pass = shared.checkpointer.pass.lock();
            let import = self.importing().ok_or_else(|| refused("no import is going on"))?;
            let applied = self.last_op_time();
            if import.catalog.is_none() || applied.ts < import.newest || applied < last {
                return Err(refused(&format!("applied up to {applied}, copied up to {}", import.newest)));
            }
            shared.log.sync()?;
            if import.resumed {
                shared.recount_all()?;
            }
            if applied == import.from {
                shared.keep_marks()?;
            }
            shared.write_counts()?;
            shared.base.flush()?;
            fail::point("import-complete");
            let done = rawdoc! {
                "newest": bson::Timestamp::from(import.newest),
                "catalog": bson::Timestamp::from(import.catalog.unwrap_or_default()),
            };
            shared.pins.raise_floor_to(import.newest);
            shared.control.change(
                [
                    (IMPORTED, RawBson::Document(done)),
                    (CHECKPOINTING, time(import.newest.max(shared.base_newest()))),
                ],
                &[IMPORTING],
            )?;
            fail::point("import-noted");
            *shared.importing.lock() = None;
            shared.is_importing.store(false, Ordering::Release);
            shared.builds.clear();
            shared.start_open_builds()?;
        }
        tracing::info!(%last, "initial copy complete");
        shared.checkpoint(true)
    }
}

impl Shared {
    /// What the base may hold already of checkpoints.
    fn base_newest(&self) -> Timestamp {
        let held = self.control.get(CHECKPOINTING).and_then(|value| value.as_timestamp());
        held.map_or(Timestamp::ZERO, Timestamp::from)
    }

    /// What was copied is in no log: its counts must not wait for the next checkpoint.
    fn write_counts(&self) -> Result<(), Error> {
        let at = self.checkpointer.at();
        let writes: Vec<Write> = self
            .counts
            .fold(at)
            .into_iter()
            .map(|(ident, count)| {
                let key = Bytes::from(keyspace::count(ident));
                Write { value: Some(join_base(&key, at, &count.to_bytes())), key }
            })
            .collect();
        self.base.write(&writes)
    }

    /// Counts everything, where a process that ended knew the counts. Nothing is committed meanwhile.
    fn recount_all(self: &Arc<Shared>) -> Result<(), Error> {
        let all = KeyRange::all();
        for collection in self.catalog.load().all() {
            let ident = collection.id.0;
            let mut count = Count::default();
            for pair in Merge::new(self.snapshot(), Range::records(ident, &all), Direction::Forward) {
                count.add(Count { records: 1, bytes: pair?.1.len() as i64 });
            }
            self.counts.correct(ident, count);
            for index in collection.secondary() {
                let mut count = Count::default();
                let range = Range::index(index.id.0, &all);
                for pair in Merge::new(self.snapshot(), range, Direction::Forward) {
                    count.add(Count { records: 1, bytes: pair?.0.len() as i64 });
                }
                self.counts.correct(index.id.0, count);
            }
        }
        Ok(())
    }

    /// Marks of arrays that were met while copying are of no time of the log: they go into the definitions as they stand, before
    /// the first record of the log says something about them.
    pub(crate) fn keep_marks(&self) -> Result<(), Error> {
        let mut writes = Vec::new();
        for collection in self.catalog.load().all() {
            let (key, value) = definition(collection);
            let at = self.base_value(&key)?.map_or(Timestamp::ZERO, |(at, _)| at);
            writes.push(Write { value: Some(join_base(&key, at, &value.unwrap_or_default())), key });
        }
        self.base.write(&writes)?;
        self.base.flush()
    }
}
