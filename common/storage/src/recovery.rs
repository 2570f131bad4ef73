//! Start-up: the base as the last checkpoint left it, then every log record after the checkpoint, once more.
//! Records hold resulting values, and one that the base already has at that time or later is skipped, so a crash halfway
//! through a checkpoint changes nothing.

use crate::Error;
use crate::base::Engine;
use crate::batch::{document_id, entry_value, index_change_accepted};
use crate::brake::Brake;
use crate::capped::{self, NumberTable};
use crate::catalog::Catalog;
use crate::checkpoint::{CHECKPOINT, CHECKPOINTING, Checkpointer, SYNCED};
use crate::collection::{Collection, Index, RecordKey, RecordOrder};
use crate::control::Control;
use crate::counts::{Count, Counts};
use crate::fail;
use crate::import::{Importing, LOG_START, imported, place_of};
use crate::index::{self, Builds};
use crate::keyspace::{self, Ident, Range};
use crate::oplog::side::{self, SideWrite};
use crate::oplog::{Begun, Log, Record, diff};
use crate::options::{EngineKind, Options};
use crate::pins::Registry;
use crate::predicate::Predicates;
use crate::purge::Purge;
use crate::rollback::NEXT_IDENT;
use crate::room::Room;
use crate::scan::Direction;
use crate::snapshot::split_base;
use crate::spill::Spill;
use crate::store::{Shared, Store};
use crate::versions::{Value, Versions};
use arc_swap::ArcSwap;
use bson::{RawBson, RawBsonRef, RawDocument};
use bytes::Bytes;
use parking_lot::{Condvar, Mutex};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64};
use std::time::Instant;
use types::{Timestamp, Uuid};

const ENGINE: &str = "storage.engine";
/// The first ident; those below are free for what may need a fixed one.
const FIRST_IDENT: Ident = 16;
/// The term of a log that has no entry yet.
const FIRST_TERM: i64 = 1;
const PROGRESS_EVERY: u64 = 500_000;

/// Remembers the engine of a new directory; refuses another one later.
pub(crate) fn check_engine(control: &Control, asked: EngineKind) -> Result<(), Error> {
    match control.get(ENGINE) {
        None => control.put(ENGINE, asked.name().to_owned()),
        Some(RawBson::String(found)) if found == asked.name() => Ok(()),
        Some(found) => {
            let found = found.as_str().unwrap_or("unknown").to_owned();
            Err(Error::EngineMismatch { found, asked: asked.name().to_owned() })
        }
    }
}

fn fact(control: &Control, name: &str) -> Timestamp {
    control.get(name).and_then(|value| value.as_timestamp()).map_or(Timestamp::ZERO, Timestamp::from)
}

/// Where a log that was begun anew begins.
fn begun(control: &Control) -> Result<Begun, Error> {
    let damaged = || Error::Damaged(format!("control fact {LOG_START}"));
    match control.get(LOG_START) {
        None => Ok(None),
        Some(RawBson::Document(doc)) => {
            let at = place_of(&doc).ok_or_else(damaged)?;
            let segment = doc.get_i64("segment").ok().and_then(|number| u64::try_from(number).ok());
            Ok(Some((at, segment.ok_or_else(damaged)?)))
        }
        Some(_) => Err(damaged()),
    }
}

/// A base that has lost the end of what a checkpoint wrote is refused: the log may no longer have it.
fn check_complete(base: &dyn Engine, checkpoint: Timestamp) -> Result<(), Error> {
    if checkpoint == Timestamp::ZERO {
        return Ok(());
    }
    let stored = base.get(keyspace::COMPLETE_KEY)?;
    let complete = stored.map(|stored| split_base(keyspace::COMPLETE_KEY, &stored)).transpose()?;
    match complete {
        Some((time, _)) if time >= checkpoint => Ok(()),
        found => {
            let found = found.map_or(Timestamp::ZERO, |(time, _)| time);
            Err(Error::Damaged(format!(
                "the base ends with the checkpoint at {found}, but the one at {checkpoint} was complete; its files are kept as they are"
            )))
        }
    }
}

/// Builds the state of a store from base and log.
pub(crate) fn recover(
    options: Options,
    control: Control,
    base: Arc<dyn Engine>,
) -> Result<Arc<Shared>, Error> {
    let start = Instant::now();
    // An engine that forgets has everything to learn from the log again.
    let checkpoint = match options.engine {
        EngineKind::Memory => Timestamp::ZERO,
        EngineKind::Sled | EngineKind::Fjall => fact(&control, CHECKPOINT),
    };
    let synced = fact(&control, SYNCED);
    check_complete(&*base, checkpoint)?;
    let mut replay =
        Replay::load(base.clone(), options.versions_bytes_max, options.predicates.clone(), checkpoint)?;
    let importing = Importing::load(&control)?;
    replay.imported = imported(&control)?.0;
    let dir = options.dir.join("oplog");
    let begun = begun(&control)?;
    if begun.is_some() && options.engine == EngineKind::Memory {
        return Err(Error::Damaged(
            "a copy of another store is gone with the memory that held it".to_owned(),
        ));
    }
    let recovered = Log::open(&dir, options.oplog_segment_bytes, checkpoint, synced, begun, &mut |record| {
        replay.record(record)
    })?;
    replay.check_missing()?;
    let last = recovered.last.ts.max(checkpoint);
    if recovered.cut > 0 {
        tracing::warn!(bytes = recovered.cut, after = %recovered.last, "cut a torn tail off the oplog");
    }
    tracing::info!(
        %checkpoint,
        last = %recovered.last,
        replayed = replay.replayed,
        millis = start.elapsed().as_millis() as u64,
        "storage recovered"
    );
    fail::point("recovered");
    let taken = control.get(NEXT_IDENT).and_then(|value| value.as_i64()).unwrap_or(0);
    replay.next_ident = replay.next_ident.max(Ident::try_from(taken).unwrap_or(Ident::MAX));
    let mut catalog = Catalog::default();
    for collection in replay.collections.into_values() {
        catalog.put(collection);
    }
    catalog.set_log(Collection::of_log(options.oplog_bytes_max)?);
    let Replay { versions, spill, counts, next_ident, lost, .. } = replay;
    let pins = Arc::new(Registry::default());
    pins.set_committed(last);
    // The base may be ahead of the last complete checkpoint, up to the one that was going on.
    let floor = match options.engine {
        EngineKind::Memory => Timestamp::ZERO,
        _ if control.get(CHECKPOINTING).is_none() && control.get(CHECKPOINT).is_some() => last,
        _ => checkpoint.max(fact(&control, CHECKPOINTING)),
    };
    pins.set_floor(floor.min(last));
    let term = if recovered.last.ts == Timestamp::ZERO { FIRST_TERM } else { recovered.last.term };
    Ok(Arc::new(Shared {
        versions,
        spill,
        base,
        log: Arc::new(recovered.log),
        pins,
        counts,
        control,
        catalog: ArcSwap::from_pointee(catalog),
        checkpointer: Checkpointer::new(checkpoint),
        brake: Brake::default(),
        purge: Purge::default(),
        conflicts: AtomicU64::new(0),
        room: Room::default(),
        term: AtomicI64::new(term),
        writable: AtomicBool::new(options.writable),
        applying: Mutex::new(()),
        builds: Builds::default(),
        lost: Mutex::new(lost),
        is_importing: AtomicBool::new(importing.is_some()),
        importing: Mutex::new(importing),
        closed: AtomicBool::new(false),
        numbers: NumberTable::default(),
        commit: Mutex::new(()),
        ddl: Mutex::new(next_ident),
        held: crate::convert::Held::default(),
        catalog_changed: Condvar::new(),
        catalog_changes: Mutex::new(0),
        options,
    }))
}

impl Store {
    /// Builds again what was not complete at the last checkpoint: entries of a build are not in the log. What was not complete at
    /// all goes on in the background. The caller holds checkpoints back: one would say that the base has the entries of all that are
    /// ready.
    pub(crate) fn rebuild_indexes(&self) -> Result<(), Error> {
        // Those of a copied catalogue got their entries with the records.
        let checkpoint = self.shared.checkpointer.at().max(imported(&self.shared.control)?.1);
        let catalog = self.catalog();
        let now = catalog.all().flat_map(|collection| {
            let indexes = collection.secondary().map(|index| (collection.clone(), index.clone()));
            indexes.collect::<Vec<_>>()
        });
        let now = now.map(|(collection, index)| Lost { collection, index, dropped: Timestamp::MAX });
        for Lost { collection, index, dropped } in now.chain(std::mem::take(&mut *self.shared.lost.lock())) {
            let Some(ready) = index.ready.filter(|ready| *ready > checkpoint) else { continue };
            // As of the first time that may be read through it: the log had what changed later.
            let at = self.shared.pins.floor().max(ready);
            if at < dropped {
                tracing::info!(ns = %collection.ns, index = index.name, "building an index again");
                index::build::run_at(&self.shared, &collection, &index, at)?;
            }
        }
        Ok(())
    }
}

/// An index that was complete for a while and is dropped by now. A rollback may bring it back, and a checkpoint may be at a time when
/// it was there: its entries are needed as long as one can go back to before its end.
#[derive(Debug)]
pub(crate) struct Lost {
    collection: Arc<Collection>,
    index: Arc<Index>,
    dropped: Timestamp,
}

/// The state while it is being rebuilt.
struct Replay {
    base: Arc<dyn Engine>,
    versions: Versions,
    spill: Spill,
    versions_bytes_max: usize,
    counts: Counts,
    /// Times of the counts in the base: changes up to there are in them.
    counted: HashMap<Ident, Timestamp>,
    /// By ident and UUID, not by name: where the base is ahead, two lives of one name are known at once.
    collections: BTreeMap<Ident, Arc<Collection>>,
    by_uuid: HashMap<Uuid, Ident>,
    next_ident: Ident,
    replayed: u64,
    predicates: Option<Arc<dyn Predicates>>,
    checkpoint: Timestamp,
    /// Indexes that were complete for a while; what their builds added is in no log.
    lost: Vec<Lost>,
    /// Up to here records may have been copied later than the log says.
    imported: Timestamp,
    /// Records that a difference was to be applied to and that are not there: the base is ahead by their removal or by that of
    /// their collection, and the log must say so too.
    missing: HashSet<Vec<u8>>,
}

impl Replay {
    /// What the base has of catalogue and counts.
    fn load(
        base: Arc<dyn Engine>,
        versions_bytes_max: usize,
        predicates: Option<Arc<dyn Predicates>>,
        checkpoint: Timestamp,
    ) -> Result<Replay, Error> {
        let mut replay = Replay {
            versions: Versions::default(),
            spill: Spill::open(base.clone())?,
            versions_bytes_max,
            counts: Counts::default(),
            counted: HashMap::new(),
            collections: BTreeMap::new(),
            by_uuid: HashMap::new(),
            next_ident: FIRST_IDENT,
            replayed: 0,
            base: base.clone(),
            predicates,
            checkpoint,
            lost: Vec::new(),
            imported: Timestamp::ZERO,
            missing: HashSet::new(),
        };
        for pair in all(&base, keyspace::catalog_space()) {
            let (key, stored) = pair?;
            let (at, value) = split_base(&key, &stored)?;
            replay.define(&key, &Some(value), at)?;
        }
        for pair in all(&base, keyspace::count_space()) {
            let (key, stored) = pair?;
            let (at, value) = split_base(&key, &stored)?;
            let ident = keyspace::ident_of(&key).ok_or_else(|| Error::Damaged("count key".to_owned()))?;
            replay.counts.load(ident, Count::from_bytes(&value)?);
            replay.counted.insert(ident, at);
        }
        if let Some(stored) = base.get(keyspace::NEXT_IDENT_KEY)? {
            replay.take_ident(&split_base(keyspace::NEXT_IDENT_KEY, &stored)?.1)?;
        }
        Ok(replay)
    }

    fn take_ident(&mut self, value: &[u8]) -> Result<(), Error> {
        let bytes = value.try_into().map_err(|_| Error::Damaged("next ident".to_owned()))?;
        self.next_ident = self.next_ident.max(Ident::from_le_bytes(bytes));
        Ok(())
    }

    /// Takes a catalogue record.
    fn define(&mut self, key: &[u8], value: &Value, at: Timestamp) -> Result<(), Error> {
        let ident = keyspace::ident_of(key).ok_or_else(|| Error::Damaged("catalogue key".to_owned()))?;
        let before = self.collections.get(&ident).cloned();
        match value {
            Some(bytes) => {
                let doc = RawDocument::from_bytes(bytes)
                    .map_err(|error| Error::Damaged(format!("catalogue record {ident}: {error}")))?;
                let collection = Collection::from_document(ident, doc, self.predicates.as_ref())?;
                self.by_uuid.insert(collection.uuid, ident);
                self.collections.insert(ident, Arc::new(collection));
            }
            None => {
                self.collections.remove(&ident);
                // What was removed with its collection is explained as well.
                self.missing.retain(|key| keyspace::ident_of(key) != Some(ident));
            }
        }
        let now = self.collections.get(&ident);
        let Some(before) = before else { return Ok(()) };
        let gone = before.secondary().filter(|index| {
            index.ready.is_some_and(|ready| ready > self.checkpoint)
                && now.is_none_or(|now| now.indexes.iter().all(|other| other.id != index.id))
        });
        let lost = gone.map(|index| Lost { collection: before.clone(), index: index.clone(), dropped: at });
        self.lost.extend(lost);
        Ok(())
    }

    fn record(&mut self, record: Record) -> Result<(), Error> {
        fail::point("replaying");
        let at = record.at.ts;
        let local = record.local()?;
        for (key, value) in local.puts {
            if self.base_time(&key)?.is_some_and(|time| time >= at) {
                continue;
            }
            if keyspace::is_catalog(&key) {
                self.define(&key, &value, at)?;
            } else if key == keyspace::NEXT_IDENT_KEY {
                self.take_ident(value.as_deref().unwrap_or_default())?;
            }
            self.versions.put(&key, at, value);
        }
        if !record.entry.is_empty() {
            let entry = RawDocument::from_bytes(&record.entry)
                .map_err(|error| Error::Damaged(format!("oplog entry at {}: {error}", record.at)))?;
            self.entry(entry, at)?;
        }
        for SideWrite { uuid, record_key, value } in side::decode(&local.side, record.at)? {
            // As for entries: a collection that is gone is dropped later in the log, or was before the base was written.
            let ident = self.by_uuid.get(&uuid);
            let Some(collection) = ident.and_then(|ident| self.collections.get(ident)).cloned() else {
                continue;
            };
            let put = value.as_ref().map(|bytes| RawDocument::from_bytes(bytes)).transpose();
            let put = put.map_err(|error| Error::Damaged(format!("side write at {at}: {error}")))?;
            self.change(&collection, &record_key, put, at)?;
        }
        let counted = &self.counted;
        let fresh = |ident: &Ident| counted.get(ident).is_none_or(|time| *time < at);
        self.counts.apply(at, local.deltas.into_iter().filter(|(ident, _)| fresh(ident)));
        if self.versions.bytes() > self.versions_bytes_max / 2 {
            let goal = self.versions_bytes_max / 4;
            self.spill.fill(&self.versions, at, &|| self.versions.bytes() <= goal)?;
        }
        self.replayed += 1;
        if self.replayed.is_multiple_of(PROGRESS_EVERY) {
            tracing::info!(replayed = self.replayed, %at, "recovering");
        }
        Ok(())
    }

    fn check_missing(&self) -> Result<(), Error> {
        match self.missing.iter().next() {
            None => Ok(()),
            Some(key) => Err(Error::Damaged(format!(
                "{} updated records are not there, and the log does not say that they were removed; the first has key {key:02x?}",
                self.missing.len()
            ))),
        }
    }

    fn base_time(&self, key: &[u8]) -> Result<Option<Timestamp>, Error> {
        self.base.get(key)?.map(|stored| split_base(key, &stored).map(|(time, _)| time)).transpose()
    }

    /// Applies one entry, or each of an `applyOps`.
    fn entry(&mut self, entry: &RawDocument, at: Timestamp) -> Result<(), Error> {
        let bad = |what: &str| Error::Damaged(format!("oplog entry at {at}: {what}"));
        let op = entry.get_str("op").map_err(|_| bad("op"))?;
        let o = || entry.get_document("o").map_err(|_| bad("o"));
        match op {
            "n" => Ok(()),
            "c" => {
                let Ok(list) = o()?.get_array("applyOps") else {
                    // What a command did to the catalogue stands in the local part.
                    return Ok(());
                };
                for inner in list {
                    let inner = inner.map_err(|_| bad("applyOps"))?;
                    let RawBsonRef::Document(inner) = inner else { return Err(bad("applyOps")) };
                    self.entry(inner, at)?;
                }
                Ok(())
            }
            "i" | "u" | "d" => {
                let uuid =
                    entry.get("ui").ok().flatten().and_then(Uuid::from_bson).ok_or_else(|| bad("ui"))?;
                // A collection that is gone is dropped later in the log, or was before the base was written.
                let ident = self.by_uuid.get(&uuid);
                let Some(collection) = ident.and_then(|ident| self.collections.get(ident)).cloned() else {
                    return Ok(());
                };
                let o = o()?;
                let record_key = match collection.order {
                    RecordOrder::Id => {
                        let named =
                            if op == "u" { entry.get_document("o2").map_err(|_| bad("o2"))? } else { o };
                        collection.record_key(document_id(named)?)
                    }
                    _ => {
                        let number = entry.get_i64("rid").ok().and_then(|number| u64::try_from(number).ok());
                        capped::record_key(number.ok_or_else(|| bad("rid"))?)
                    }
                };
                let put = (op != "d").then_some(o);
                self.change(&collection, &record_key, put, at)
            }
            _ => Err(bad("unknown op")),
        }
    }

    /// Puts or removes one record with its index entries, unless the base has it as of this time or later.
    /// `put` is the document, or a difference to the one before. The one before is what memory or base have: all changes since
    /// the base's time of the record are in the log and come here in order.
    fn change(
        &mut self,
        collection: &Collection,
        record_key: &RecordKey,
        put: Option<&RawDocument>,
        at: Timestamp,
    ) -> Result<(), Error> {
        let key = keyspace::record(collection.id.0, record_key);
        let old = match self.spill.newest_of(&self.versions, &key, Timestamp::MAX)? {
            Some((_, value)) => value,
            None => match self.base.get(&key)?.map(|stored| split_base(&key, &stored)).transpose()? {
                Some((time, _)) if time >= at => return Ok(()),
                found => found.map(|(_, value)| value),
            },
        };
        let old = old.as_deref().and_then(|bytes| RawDocument::from_bytes(bytes).ok());
        let updated;
        let put = match (put, old) {
            (Some(difference), Some(old)) if diff::is_diff(difference) => {
                let bad =
                    || Error::Damaged(format!("oplog entry at {at}: the update does not fit its document"));
                updated = diff::apply(old, difference).ok_or_else(bad)?;
                Some(&*updated)
            }
            (Some(difference), None) if diff::is_diff(difference) => {
                // The base is ahead by a removal, of the record and of its entries.
                if at > self.imported {
                    self.missing.insert(key);
                }
                return Ok(());
            }
            (put, _) => put,
        };
        if !self.missing.is_empty() {
            self.missing.remove(&key);
        }
        for index in collection.secondary() {
            let change = index_change_accepted(index, record_key, old, put)?;
            for key in change.removed {
                self.versions.put(&key, at, None);
            }
            for (key, prefix_len) in change.added {
                self.versions.put(&key, at, Some(entry_value(prefix_len)));
            }
        }
        let value = put.map(|doc| Bytes::copy_from_slice(doc.as_bytes()));
        self.versions.put(&key, at, value);
        Ok(())
    }
}

fn all(base: &Arc<dyn Engine>, range: Range) -> crate::base::BaseIter {
    let bounds = (Bound::Included(Bytes::from(range.start)), Bound::Excluded(Bytes::from(range.end)));
    base.range(bounds, Direction::Forward)
}
