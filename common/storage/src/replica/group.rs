//! A run of records that change documents only: taken apart by record key and worked on by several threads, then put into the log
//! and shown to readers all at once.
//! What one thread writes nobody reads before the commit: its times are later than any that can be read.

use super::LogRecord;
use super::change::{Content, Done, Part, Worker};
use crate::Error;
use crate::capped;
use crate::catalog::Catalog;
use crate::change::definition;
use crate::collection::{Collection, RecordOrder};
use crate::counts::{Count, Delta};
use crate::keyspace::{self, Ident};
use crate::oplog::record::{Local, write_foreign};
use crate::oplog::{Fields, diff, side};
use crate::store::Shared;
use crate::versions::Value;
use bson::{RawBsonRef, RawDocument};
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock};
use types::{OpTime, Timestamp, Uuid};

/// Below this many changes a second thread costs more than it brings.
const PARTS_PER_THREAD_MIN: usize = 64;
const THREADS_MAX: usize = 8;
/// Asked for once: to find out reads several files.
static CORES: LazyLock<usize> =
    LazyLock::new(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get));

/// The records of a run, taken apart.
pub(super) struct Group<'a> {
    catalog: Arc<Catalog>,
    records: &'a [LogRecord],
    parts: Vec<Part<'a>>,
    /// The collection of the last part: most often also that of the next.
    known: Option<Arc<Collection>>,
    /// Highest number of each capped collection.
    numbers: HashMap<Ident, u64>,
    /// Changes of collections that the catalogue has not, up to here, belong to what was dropped before it was copied.
    imported: Option<Timestamp>,
}

pub(super) fn bad(at: OpTime, what: &str) -> Error {
    Fields::bad(at, what)
}

/// Whether an entry is a command that changes the catalogue.
pub(super) fn is_command(record: &LogRecord) -> Result<bool, Error> {
    if record.entry.is_empty() {
        return Ok(false);
    }
    let entry = RawDocument::from_bytes(&record.entry).map_err(|error| bad(record.at, &error.to_string()))?;
    if entry.get_str("op").map_err(|_| bad(record.at, "op"))? != "c" {
        return Ok(false);
    }
    let o = entry.get_document("o").map_err(|_| bad(record.at, "o"))?;
    Ok(!matches!(o.get("applyOps"), Ok(Some(RawBsonRef::Array(_)))))
}

impl<'a> Group<'a> {
    pub(super) fn new(shared: &Shared, records: &'a [LogRecord]) -> Result<Group<'a>, Error> {
        let mut group = Group {
            catalog: shared.catalog.load_full(),
            records,
            parts: Vec::with_capacity(records.len()),
            known: None,
            numbers: HashMap::new(),
            imported: shared.import_time(),
        };
        for (place, record) in records.iter().enumerate() {
            let place = place as u32;
            if !record.entry.is_empty() {
                let entry = RawDocument::from_bytes(&record.entry)
                    .map_err(|error| bad(record.at, &error.to_string()))?;
                group.entry(place, record.at, entry)?;
            }
            group.side(place, record)?;
        }
        Ok(group)
    }

    fn collection(&mut self, uuid: Uuid, at: OpTime) -> Result<Option<Arc<Collection>>, Error> {
        if let Some(known) = &self.known
            && known.uuid == uuid
        {
            return Ok(Some(known.clone()));
        }
        match self.catalog.by_uuid(uuid) {
            Some(collection) => {
                self.known = Some(collection.clone());
                Ok(self.known.clone())
            }
            None if self.imported.is_some_and(|imported| at.ts <= imported) => Ok(None),
            None => Err(bad(at, &format!("there is no collection with UUID {uuid:?}"))),
        }
    }

    fn entry(&mut self, place: u32, at: OpTime, entry: &'a RawDocument) -> Result<(), Error> {
        let fields = Fields::of(entry, at)?;
        let o = fields.o.ok_or_else(|| bad(at, "o"))?;
        match fields.op {
            "n" => Ok(()),
            "c" => {
                let parts = o.get_array("applyOps").map_err(|_| bad(at, "command inside"))?;
                for part in parts {
                    let Ok(RawBsonRef::Document(part)) = part else { return Err(bad(at, "applyOps")) };
                    self.entry(place, at, part)?;
                }
                Ok(())
            }
            "i" | "u" | "d" => {
                let uuid = fields.uuid.ok_or_else(|| bad(at, "ui"))?;
                let Some(collection) = self.collection(uuid, at)? else { return Ok(()) };
                let record_key = fields.record_key(&collection, at)?;
                if let Some(number) = capped::number_of(&record_key)
                    && collection.order == RecordOrder::Number
                {
                    let last = self.numbers.entry(collection.id.0).or_default();
                    *last = (*last).max(number);
                }
                let content = match fields.op {
                    "i" => Content::Fresh(o),
                    "d" => Content::Gone,
                    _ if diff::is_diff(o) => Content::Difference(o),
                    _ => Content::Whole(Bytes::copy_from_slice(o.as_bytes())),
                };
                self.push(place, at.ts, collection, record_key, content);
                Ok(())
            }
            _ => Err(bad(at, "unknown op")),
        }
    }

    fn side(&mut self, place: u32, record: &LogRecord) -> Result<(), Error> {
        for write in side::decode(&record.side, record.at)? {
            let Some(collection) = self.collection(write.uuid, record.at)? else { continue };
            let content = write.value.map_or(Content::Gone, |value| {
                // The rest of what was received is not kept for it.
                Content::Whole(Bytes::copy_from_slice(&value))
            });
            self.push(place, record.at.ts, collection, write.record_key, content);
        }
        Ok(())
    }

    fn push(
        &mut self,
        record: u32,
        at: Timestamp,
        collection: Arc<Collection>,
        record_key: Bytes,
        content: Content<'a>,
    ) {
        let key = Bytes::from(keyspace::record(collection.id.0, &record_key));
        self.parts.push(Part { record, at, collection, key, content });
    }

    /// Writes all versions, and says what they do to counts and catalogue.
    fn work(&self, shared: &Shared) -> Result<Done, Error> {
        let threads = (self.parts.len() / PARTS_PER_THREAD_MIN).min(*CORES).clamp(1, THREADS_MAX);
        let worker = || Worker::new(shared, self.imported.is_some());
        if threads == 1 {
            return worker().run(self.parts.iter());
        }
        let mut dealt: Vec<Vec<&Part<'_>>> =
            vec![Vec::with_capacity(self.parts.len() / threads + 64); threads];
        for part in &self.parts {
            let place = crc32c::crc32c(&part.key) as usize % threads;
            if let Some(list) = dealt.get_mut(place) {
                list.push(part);
            }
        }
        let results: Vec<Result<Done, Error>> = std::thread::scope(|scope| {
            let (first, others) = match dealt.split_first() {
                Some(split) => split,
                None => return Vec::new(),
            };
            let running: Vec<_> =
                others.iter().map(|list| scope.spawn(|| worker().run(list.iter().copied()))).collect();
            let mut results = vec![worker().run(first.iter().copied())];
            for thread in running {
                let panicked = || Error::Damaged("a thread that applied records panicked".to_owned());
                results.push(thread.join().unwrap_or_else(|_| Err(panicked())));
            }
            results
        });
        let mut done = Done::default();
        for result in results {
            done.add(result?);
        }
        Ok(done)
    }

    /// The whole run: afterwards it is in the log and readers see it.
    pub(super) fn apply(self, shared: &Shared) -> Result<(), Error> {
        let Some(last) = self.records.last() else { return Ok(()) };
        let Done { mut deltas, marks } = self.work(shared)?;
        deltas.sort_by_key(|(record, _)| *record);
        let mut definitions = self.mark(shared, marks);
        let synced = shared.log.durable_ts();
        let mut out = Outgoing::default();
        let size: usize = self.records.iter().map(LogRecord::size).sum();
        out.bytes.reserve(size + self.records.len() * 128);
        let mut rest = deltas.as_slice();
        for (place, record) in self.records.iter().enumerate() {
            let place = place as u32;
            let (own, later) = rest.split_at(rest.partition_point(|(other, _)| *other <= place));
            rest = later;
            let puts = definitions.remove(&place).unwrap_or_default();
            for (key, value) in &puts {
                shared.versions.put(key, record.at.ts, value.clone());
            }
            let local = Local { deltas: summed(own), puts, side: record.side.clone() };
            out.push(record, &local, synced);
            out.deltas.extend(local.deltas.into_iter().map(|delta| (record.at.ts, delta)));
        }
        out.numbers = self.numbers;
        shared.commit_applied(out, last.at)
    }

    /// Indexes that met their first array: marks them, and returns the definitions that say so, by the record that was the first.
    fn mark(
        &self,
        shared: &Shared,
        mut marks: Vec<(u32, Ident, crate::IndexId, u64)>,
    ) -> HashMap<u32, Vec<(Bytes, Value)>> {
        let mut out: HashMap<u32, Vec<(Bytes, Value)>> = HashMap::new();
        if marks.is_empty() {
            return out;
        }
        marks.sort_by_key(|(record, ..)| *record);
        let catalog = shared.catalog.load();
        let mut first: BTreeMap<crate::IndexId, u64> = BTreeMap::new();
        let mut changed: Vec<(u32, Ident)> = Vec::new();
        for (record, collection, index, fields) in &marks {
            let known = first.entry(*index).or_default();
            if fields & !*known != 0 {
                *known |= fields;
                changed.push((*record, *collection));
            }
        }
        changed.dedup();
        for (_, ident) in &changed {
            for index in catalog.by_ident(*ident).into_iter().flat_map(|now| now.secondary()) {
                index.add_multikey(first.get(&index.id).copied().unwrap_or(0));
            }
        }
        for (record, ident) in changed {
            if let Some(now) = catalog.by_ident(ident) {
                out.entry(record).or_default().push(definition(now));
            }
        }
        out
    }
}

/// Changes of one ident as one.
fn summed(deltas: &[(u32, Delta)]) -> Vec<Delta> {
    let mut out: Vec<Delta> = Vec::with_capacity(deltas.len());
    for (_, (ident, count)) in deltas {
        match out.iter_mut().find(|(other, _)| other == ident) {
            Some((_, sum)) => sum.add(*count),
            None => out.push((*ident, *count)),
        }
    }
    out.retain(|(_, count)| *count != Count::default());
    out
}

/// Records on their way into the log, and what becomes visible with them.
#[derive(Default)]
pub(super) struct Outgoing {
    bytes: Vec<u8>,
    lengths: Vec<(OpTime, usize)>,
    pub deltas: Vec<(Timestamp, Delta)>,
    pub numbers: HashMap<Ident, u64>,
    pub catalog: Option<Catalog>,
}

impl Outgoing {
    pub(super) fn push(&mut self, record: &LogRecord, local: &Local, synced: Timestamp) {
        let start = self.bytes.len();
        write_foreign(&mut self.bytes, local, &record.entry, record.at, synced);
        self.lengths.push((record.at, self.bytes.len() - start));
    }
}

impl Shared {
    /// The commit section of records from elsewhere. Their versions are in place already.
    pub(super) fn commit_applied(&self, out: Outgoing, last: OpTime) -> Result<(), Error> {
        self.log.wait_for_room();
        let section = self.commit.lock();
        self.check_open()?;
        crate::fail::point("apply-before-append");
        self.log.append_all(&out.bytes, &out.lengths);
        crate::fail::point("apply-appended");
        self.counts.apply_all(out.deltas);
        let catalog_changes = out.catalog.is_some();
        if let Some(catalog) = out.catalog {
            self.catalog.store(Arc::new(catalog));
        }
        self.pins.set_committed(last.ts);
        // After what they name can be read: who sees a number goes and looks for it.
        for (ident, number) in out.numbers {
            self.numbers.applied(ident, number);
        }
        self.log.publish(last.ts);
        crate::fail::point("apply-published");
        drop(section);
        if catalog_changes {
            *self.catalog_changes.lock() += 1;
            self.catalog_changed.notify_all();
        }
        Ok(())
    }
}
