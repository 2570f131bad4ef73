//! A set of writes that is prepared against a snapshot and committed whole.
//! Everything that costs time (encoding, index keys, look-ups) happens while preparing; the commit section only checks for
//! conflicts and publishes. A batch sees its own writes.

use crate::Error;
use crate::capped::{self, Numbers};
use crate::collection::{Collection, Index, RecordKey, RecordOrder};
use crate::commit::Outgoing;
use crate::counts::{Count, Delta};
use crate::error::DuplicateKey;
use crate::index::{self, unique};
use crate::keyspace::{self, Ident};
use crate::oplog::diff;
use crate::oplog::entry::{self, Change, Op};
use crate::oplog::record::{Draft, Local};
use crate::oplog::side::{self, SideWrite};
use crate::scan::Direction;
use crate::snapshot::{Snapshot, document};
use crate::store::Shared;
use crate::versions::Value;
use bson::{RawBsonRef, RawDocument, RawDocumentBuf};
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use types::{Code, Fault, OpTime, limits};
use value::SharedDoc;
use value::interval::KeyRange;

/// The session part of the log entry of a retryable write.
#[derive(Debug, Clone)]
pub struct SessionMeta {
    pub lsid: RawDocumentBuf,
    pub txn_number: i64,
    /// One per write of the batch to a replicated collection, in order; missing ones are left out.
    pub stmt_ids: Vec<i32>,
}

/// What a commit carries beside its writes.
#[derive(Debug, Clone, Default)]
pub struct CommitMeta {
    pub session: Option<SessionMeta>,
}

/// One write, as the log will show it.
struct Logged {
    collection: Arc<Collection>,
    kind: Kind,
    /// The document after the write; for a deletion the one before, of which the log takes the `_id`.
    doc: Bytes,
    /// Of an update, where it is smaller than the document.
    diff: Option<RawDocumentBuf>,
    record: Option<i64>,
    /// Nobody's statement: the oldest of a capped collection went.
    forced: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Insert,
    Update,
    Delete,
}

/// An entry of a unique index that this batch adds.
struct UniqueEntry {
    index: Arc<Index>,
    /// Full key of the entry, and how much of it is the index key.
    key: Bytes,
    prefix_len: usize,
}

/// The writes so far.
pub struct Batch {
    snapshot: Snapshot,
    writes: BTreeMap<Bytes, Value>,
    logged: Vec<Logged>,
    deltas: HashMap<Ident, Count>,
    unique: Vec<UniqueEntry>,
    multikey: Vec<(Arc<Collection>, Arc<Index>, u64)>,
    touched: HashMap<Ident, Arc<Collection>>,
    /// Numbers of the capped collections that were inserted into: as they were, and as they will be.
    numbers: HashMap<Ident, (Numbers, Numbers)>,
}

impl Batch {
    pub(crate) fn new(snapshot: Snapshot) -> Batch {
        Batch {
            snapshot,
            writes: BTreeMap::new(),
            logged: Vec::new(),
            deltas: HashMap::new(),
            unique: Vec::new(),
            multikey: Vec::new(),
            touched: HashMap::new(),
            numbers: HashMap::new(),
        }
    }

    /// The snapshot that reads of this batch see, beside its own writes.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Number of writes.
    pub fn len(&self) -> usize {
        self.logged.len()
    }

    /// Whether nothing was written yet.
    pub fn is_empty(&self) -> bool {
        self.logged.is_empty()
    }

    /// The record with that key, own writes included.
    ///
    /// # Errors
    /// As [`Snapshot::get`].
    pub fn get(&self, collection: &Collection, record_key: &[u8]) -> Result<Option<SharedDoc>, Error> {
        self.value(&keyspace::record(collection.id.0, record_key))?.map(document).transpose()
    }

    fn value(&self, key: &[u8]) -> Result<Value, Error> {
        match self.writes.get(key) {
            Some(value) => Ok(value.clone()),
            None => self.snapshot.value(key),
        }
    }

    /// Adds a record.
    ///
    /// # Errors
    /// [`Error::DuplicateKey`], [`Error::InvalidDocument`], or a document that an index cannot hold. Nothing of this write is kept then.
    pub fn insert(&mut self, collection: &Arc<Collection>, doc: &RawDocument) -> Result<RecordKey, Error> {
        let id = document_id(doc)?;
        check_size(collection, doc)?;
        let record_key = match collection.order {
            RecordOrder::Id => collection.record_key(id),
            RecordOrder::Number => self.next_number(collection)?,
            RecordOrder::Log => return Err(not_writable(collection)),
        };
        let key = Bytes::from(keyspace::record(collection.id.0, &record_key));
        if collection.order == RecordOrder::Id && self.value(&key)?.is_some() {
            return Err(Error::DuplicateKey(Box::new(DuplicateKey {
                ns: collection.ns.clone(),
                index: index::IdIndex::NAME.to_owned(),
                key_pattern: bson::rawdoc! { "_id": 1_i32 },
                key_value: [(bson::raw::cstr!("_id"), id)].into_iter().collect(),
            })));
        }
        let plan = self.plan(collection, &record_key, None, Some(doc))?;
        let bytes = Bytes::copy_from_slice(doc.as_bytes());
        self.keep(collection, plan);
        self.write_record(collection, key, None, Some(bytes.clone()));
        self.log(collection, Kind::Insert, &record_key, bytes, None);
        if let Some((_, after)) = self.numbers.get_mut(&collection.id.0) {
            after.last = capped::number_of(&record_key).unwrap_or(after.last);
            self.remove_oldest(collection)?;
        }
        Ok(record_key)
    }

    /// The key of the next record of a capped collection.
    fn next_number(&mut self, collection: &Collection) -> Result<RecordKey, Error> {
        let ident = collection.id.0;
        let after = match self.numbers.get(&ident) {
            Some((_, after)) => *after,
            None => {
                let now = self.snapshot.shared.numbers.get(&self.snapshot, ident)?;
                self.numbers.insert(ident, (now, now));
                now
            }
        };
        Ok(capped::record_key(after.last + 1))
    }

    fn force_out(
        &mut self,
        collection: &Arc<Collection>,
        record_key: &[u8],
        doc: &RawDocument,
    ) -> Result<(), Error> {
        self.delete(collection, record_key, doc)?;
        if let Some(logged) = self.logged.last_mut() {
            logged.forced = true;
        }
        Ok(())
    }

    /// Removes the oldest records of a capped collection until it is within its bounds.
    fn remove_oldest(&mut self, collection: &Arc<Collection>) -> Result<(), Error> {
        let (Some(bounds), ident) = (collection.capped, collection.id.0) else { return Ok(()) };
        let excess = |batch: &Batch| {
            let mut count = batch.snapshot.shared.counts.get(ident);
            count.add(batch.deltas.get(&ident).copied().unwrap_or_default());
            bounds.exceeded_by(count.records, count.bytes)
        };
        if !excess(self) {
            return Ok(());
        }
        let Some((_, after)) = self.numbers.get(&ident).copied() else { return Ok(()) };
        let range = KeyRange { start: capped::record_key(after.first).to_vec(), end: None };
        let snapshot = self.snapshot.clone();
        for record in snapshot.scan(collection, &range, Direction::Forward) {
            let (record_key, doc) = record?;
            let key = keyspace::record(ident, &record_key);
            // What this batch changed or removed itself is another document by now.
            let doc = match self.writes.get(key.as_slice()) {
                None => doc,
                Some(Some(own)) => document(own.clone())?,
                Some(None) => continue,
            };
            self.force_out(collection, &record_key, &doc)?;
            let number = capped::number_of(&record_key).unwrap_or(after.first);
            if let Some((_, after)) = self.numbers.get_mut(&ident) {
                after.first = number + 1;
            }
            if !excess(self) {
                return Ok(());
            }
        }
        // More in one batch than the collection holds: the first of the batch itself go, the last one stays.
        let start = keyspace::record(ident, &capped::record_key(after.first));
        let last = keyspace::record(
            ident,
            &capped::record_key(self.numbers.get(&ident).map_or(0, |(_, now)| now.last)),
        );
        let own: Vec<(Bytes, Bytes)> = self
            .writes
            .range::<[u8], _>((Bound::Included(start.as_slice()), Bound::Excluded(last.as_slice())))
            .filter_map(|(key, value)| value.clone().map(|value| (key.clone(), value)))
            .collect();
        for (key, value) in own {
            self.force_out(collection, &keyspace::strip(key), &document(value)?)?;
            if !excess(self) {
                break;
            }
        }
        Ok(())
    }

    /// Replaces a record. `old` is what this batch or its snapshot has under the key; the `_id` cannot change.
    ///
    /// # Errors
    /// As [`Batch::insert`].
    pub fn update(
        &mut self,
        collection: &Arc<Collection>,
        record_key: &[u8],
        old: &RawDocument,
        new: &RawDocument,
    ) -> Result<(), Error> {
        check_size(collection, new)?;
        let same_id = match collection.order {
            RecordOrder::Id if collection.collation.is_none() => {
                collection.record_key(document_id(new)?) == record_key
            }
            RecordOrder::Id | RecordOrder::Number => {
                value::order::compare(document_id(old)?, document_id(new)?).is_eq()
            }
            RecordOrder::Log => return Err(not_writable(collection)),
        };
        if !same_id {
            return Err(Error::InvalidDocument {
                code: Code::ImmutableField,
                message: "Performing an update on the path '_id' would modify the immutable field '_id'"
                    .to_owned(),
            });
        }
        let plan = self.plan(collection, record_key, Some(old), Some(new))?;
        let key = Bytes::from(keyspace::record(collection.id.0, record_key));
        let bytes = Bytes::copy_from_slice(new.as_bytes());
        self.keep(collection, plan);
        self.write_record(collection, key, Some(old), Some(bytes.clone()));
        let diff = if is_local(collection) || is_aside(collection) { None } else { diff::compute(old, new) };
        self.log(collection, Kind::Update, record_key, bytes, diff);
        Ok(())
    }

    /// Removes a record. `old` as for [`Batch::update`].
    ///
    /// # Errors
    /// If `old` cannot be read.
    pub fn delete(
        &mut self,
        collection: &Arc<Collection>,
        record_key: &[u8],
        old: &RawDocument,
    ) -> Result<(), Error> {
        if collection.order == RecordOrder::Log {
            return Err(not_writable(collection));
        }
        let plan = self.plan(collection, record_key, Some(old), None)?;
        let key = Bytes::from(keyspace::record(collection.id.0, record_key));
        self.keep(collection, plan);
        self.write_record(collection, key, Some(old), None);
        self.log(collection, Kind::Delete, record_key, Bytes::copy_from_slice(old.as_bytes()), None);
        Ok(())
    }

    /// Works out the index entries of one write and checks what is unique, without changing anything yet.
    fn plan(
        &self,
        collection: &Arc<Collection>,
        record_key: &[u8],
        old: Option<&RawDocument>,
        new: Option<&RawDocument>,
    ) -> Result<Plan, Error> {
        let mut plan = Plan::default();
        check_key(&self.snapshot.shared, keyspace::PREFIX_BYTES + record_key.len())?;
        for index in collection.secondary() {
            let change = index_change(index, record_key, old, new)?;
            for (key, _) in &change.added {
                check_key(&self.snapshot.shared, key.len())?;
            }
            if index.unique {
                for (key, prefix_len) in &change.added {
                    // While it is built nobody is refused: what is found twice is looked at again when the build is complete.
                    let other = index.ready.is_some()
                        && unique::find_other(
                            &self.snapshot,
                            &self.writes,
                            key,
                            *prefix_len,
                            &change.removed,
                        )?;
                    if other && let Some(new) = new {
                        return Err(unique::duplicate(collection, index, new, key, *prefix_len));
                    }
                    plan.unique.push(UniqueEntry {
                        index: index.clone(),
                        key: key.clone(),
                        prefix_len: *prefix_len,
                    });
                }
            }
            if change.multikey & !index.multikey_fields() != 0 {
                plan.multikey.push((collection.clone(), index.clone(), change.multikey));
            }
            plan.changes.push((index.id.0, change));
        }
        Ok(plan)
    }

    fn keep(&mut self, collection: &Arc<Collection>, plan: Plan) {
        self.touched.entry(collection.id.0).or_insert_with(|| collection.clone());
        for (ident, change) in plan.changes {
            let mut count = Count::default();
            for key in change.removed {
                count.add(Count { records: -1, bytes: -(key.len() as i64) });
                self.writes.insert(key, None);
            }
            for (key, prefix_len) in change.added {
                count.add(Count { records: 1, bytes: key.len() as i64 });
                self.writes.insert(key, Some(entry_value(prefix_len)));
            }
            if !count.is_zero() {
                self.deltas.entry(ident).or_default().add(count);
            }
        }
        self.unique.extend(plan.unique);
        self.multikey.extend(plan.multikey);
    }

    fn write_record(
        &mut self,
        collection: &Arc<Collection>,
        key: Bytes,
        old: Option<&RawDocument>,
        new: Option<Bytes>,
    ) {
        let size = |bytes: usize| Count { records: 1, bytes: bytes as i64 };
        let count = self.deltas.entry(collection.id.0).or_default();
        if let Some(new) = &new {
            count.add(size(new.len()));
        }
        if let Some(old) = old {
            count.add(Count { records: -1, bytes: -(old.as_bytes().len() as i64) });
        }
        self.writes.insert(key, new);
    }

    fn log(
        &mut self,
        collection: &Arc<Collection>,
        kind: Kind,
        record_key: &[u8],
        doc: Bytes,
        diff: Option<RawDocumentBuf>,
    ) {
        let record = match collection.order {
            RecordOrder::Number => {
                capped::number_of(record_key).and_then(|number| i64::try_from(number).ok())
            }
            _ => None,
        };
        let collection = collection.clone();
        self.logged.push(Logged { collection, kind, doc, diff, record, forced: false });
    }

    /// Commits everything, or nothing.
    ///
    /// # Errors
    /// [`Error::WriteConflict`] when a key changed after the snapshot: prepare the batch again on a new one.
    pub fn commit(self, meta: CommitMeta) -> Result<OpTime, Error> {
        let shared = self.snapshot.shared.clone();
        self.commit_to(&shared, meta).inspect_err(|error| {
            if matches!(error, Error::WriteConflict) {
                shared.conflicts.fetch_add(1, Ordering::Relaxed);
            }
        })
    }

    fn commit_to(self, shared: &Arc<Shared>, meta: CommitMeta) -> Result<OpTime, Error> {
        if self.logged.is_empty() {
            return Ok(shared.log.last());
        }
        let bytes = crate::brake::cost(&self.writes);
        let _admitted = shared.throttle(bytes, Some(self.snapshot.timestamp()))?;
        let Batch { snapshot, writes, logged, deltas, unique, multikey, touched, numbers } = self;
        let deltas: Vec<Delta> = deltas.into_iter().filter(|(_, count)| !count.is_zero()).collect();
        let (local, entry) = draft(shared, &writes, &logged, &deltas, meta.session.as_ref());
        let mut draft = Draft::new(&local, &entry);
        shared.commit_with(|at| {
            for collection in touched.values() {
                let now = shared.catalog.load();
                // Other indexes, or dropped: the batch was prepared for something that is no more.
                if now.by_ident(collection.id.0).is_none_or(|now| now.version != collection.version) {
                    return Err(Error::WriteConflict);
                }
                if shared.held.is(collection.id.0) {
                    return Err(Error::WriteConflict);
                }
            }
            // What was written up to there may be in memory no more.
            if snapshot.timestamp() < shared.spill.newest_time() {
                return Err(Error::WriteConflict);
            }
            // Entries of an index change only with their record.
            for key in writes.keys().filter(|key| keyspace::is_record(key)) {
                if shared.versions.newest(key).is_some_and(|newest| newest > snapshot.timestamp()) {
                    return Err(Error::WriteConflict);
                }
            }
            for entry in &unique {
                let own = writes.get(&entry.key).is_some_and(Option::is_some);
                if !own {
                    continue;
                }
                if entry.index.ready.is_none() {
                    // A build adds entries at times before now, so only looking at everything is enough.
                    if unique::find_other(&shared.snapshot(), &writes, &entry.key, entry.prefix_len, &[])? {
                        entry.index.suspects.note(&entry.key, entry.prefix_len);
                    }
                    continue;
                }
                if unique::taken_since(shared, &snapshot, &writes, &entry.key, entry.prefix_len) {
                    return Err(Error::WriteConflict);
                }
            }
            // An expired pin no longer holds newer versions in memory, where the checks above look.
            snapshot.check().map_err(|_| Error::WriteConflict)?;
            // Last of all checks: from here on the commit happens.
            for (ident, (before, after)) in &numbers {
                let after = Numbers { first_at: at.ts, ..*after };
                if !shared.numbers.advance(*ident, before, after) {
                    return Err(Error::WriteConflict);
                }
            }
            let mut puts: Vec<(Bytes, Value)> = writes.into_iter().collect();
            let marked = mark_multikey(shared, &multikey);
            if !marked.is_empty() {
                let mut local = local;
                local.puts.extend(marked.iter().cloned());
                puts.extend(marked);
                draft = Draft::new(&local, &entry);
            }
            Ok(Outgoing { draft, puts, deltas, catalog: None })
        })
    }
}

/// What one write does to one index.
#[derive(Default)]
pub(crate) struct IndexChange {
    pub removed: Vec<Bytes>,
    /// Full keys, and how much of each is space, ident and index key.
    pub added: Vec<(Bytes, usize)>,
    pub multikey: u64,
}

#[derive(Default)]
struct Plan {
    changes: Vec<(Ident, IndexChange)>,
    unique: Vec<UniqueEntry>,
    multikey: Vec<(Arc<Collection>, Arc<Index>, u64)>,
}

fn index_change(
    index: &Index,
    record_key: &[u8],
    old: Option<&RawDocument>,
    new: Option<&RawDocument>,
) -> Result<IndexChange, Error> {
    let yielded = |doc: Option<&RawDocument>| match doc {
        Some(doc) => index.yields(doc),
        None => Ok(index::Keys::default()),
    };
    Ok(index_difference(index, record_key, &yielded(old)?, &yielded(new)?))
}

/// As [`index_change`], for a write that was accepted elsewhere: a document that an unfinished index cannot hold has no entries
/// in it. Either it changes before the index is complete, or the index never will be.
pub(crate) fn index_change_accepted(
    index: &Index,
    record_key: &[u8],
    old: Option<&RawDocument>,
    new: Option<&RawDocument>,
) -> Result<IndexChange, Error> {
    let yielded = |doc: Option<&RawDocument>| match doc.map(|doc| index.yields(doc)) {
        None => Ok(index::Keys::default()),
        Some(Err(Error::Unindexable { .. })) if index.ready.is_none() => Ok(index::Keys::default()),
        Some(yielded) => yielded,
    };
    Ok(index_difference(index, record_key, &yielded(old)?, &yielded(new)?))
}

fn index_difference(index: &Index, record_key: &[u8], old: &index::Keys, new: &index::Keys) -> IndexChange {
    let full = |key: &[u8]| {
        let mut full = keyspace::index_prefix(index.id.0);
        full.extend_from_slice(key);
        let prefix_len = full.len();
        full.extend_from_slice(record_key);
        (Bytes::from(full), prefix_len)
    };
    // Both are sorted and without repetition.
    let removed = old.keys.iter().filter(|key| new.keys.binary_search(key).is_err());
    let added = new.keys.iter().filter(|key| old.keys.binary_search(key).is_err());
    IndexChange {
        removed: removed.map(|key| full(key).0).collect(),
        added: added.map(|key| full(key)).collect(),
        multikey: new.multikey,
    }
}

/// A key that the base cannot take must not be committed: it could never leave memory.
pub(crate) fn check_key(shared: &Shared, length: usize) -> Result<(), Error> {
    let most = shared.options.engine.key_bytes_max();
    if length <= most {
        return Ok(());
    }
    Err(Error::Unindexable {
        code: Code::BadValue,
        message: format!("key too large: {length} bytes, this storage engine takes {most}"),
    })
}

/// The value of an index entry: the length of its index key.
pub(crate) fn entry_value(prefix_len: usize) -> Bytes {
    Bytes::copy_from_slice(&((prefix_len - keyspace::PREFIX_BYTES) as u32).to_le_bytes())
}

/// Bytes that came from a document a moment ago.
fn as_raw(bytes: &[u8]) -> &RawDocument {
    RawDocument::from_bytes(bytes).unwrap_or_else(|_| unreachable!("copied from a document"))
}

/// The `_id` of a document.
pub(crate) fn document_id(doc: &RawDocument) -> Result<RawBsonRef<'_>, Error> {
    let invalid = |code, message: String| Error::InvalidDocument { code, message };
    for element in doc.iter_elements() {
        let element = element.map_err(|error| invalid(Code::InvalidBSON, error.to_string()))?;
        if element.key().as_str() == "_id" {
            return element.value().map_err(|error| invalid(Code::InvalidBSON, error.to_string()));
        }
    }
    Err(invalid(Code::InvalidIdField, "document has no _id".to_owned()))
}

fn not_writable(collection: &Collection) -> Error {
    Error::Value(Fault::new(Code::InvalidNamespace, format!("cannot write to '{}'", collection.ns)))
}

/// What the record of an answer may have beside the document in it.
const ASIDE_BYTES_MORE: usize = 64 * 1024;

fn check_size(collection: &Collection, doc: &RawDocument) -> Result<(), Error> {
    let size = doc.as_bytes().len();
    let more = if is_aside(collection) { ASIDE_BYTES_MORE } else { 0 };
    if size <= limits::DOCUMENT_BYTES_MAX + more {
        return Ok(());
    }
    Err(Error::InvalidDocument {
        code: Code::BSONObjectTooLarge,
        message: format!(
            "object to insert too large. size in bytes: {size}, max size: {}",
            limits::DOCUMENT_BYTES_MAX
        ),
    })
}

/// Collections whose writes are this member's own: they go to the local part of a record, as keys.
fn is_local(collection: &Collection) -> bool {
    collection.ns.is_local()
}

/// Collections whose writes every member makes, but are no entries: they go to a record's side writes.
fn is_aside(collection: &Collection) -> bool {
    collection.ns.as_str() == "config.transactions"
}

/// The local part and the entry of a batch.
fn draft(
    shared: &Shared,
    writes: &BTreeMap<Bytes, Value>,
    logged: &[Logged],
    deltas: &[Delta],
    session: Option<&SessionMeta>,
) -> (Local, Vec<u8>) {
    let mut local = Local { deltas: deltas.to_vec(), ..Local::default() };
    let mut hidden: Vec<Ident> = Vec::new();
    let mut aside: Vec<&Collection> = Vec::new();
    let mut ops = Vec::with_capacity(logged.len());
    let mut stmt_ids = session.into_iter().flat_map(|session| session.stmt_ids.iter().copied());
    for write in logged {
        let collection = &write.collection;
        if is_aside(collection) {
            aside.push(collection);
            continue;
        }
        if is_local(collection) {
            hidden.push(collection.id.0);
            hidden.extend(collection.secondary().map(|index| index.id.0));
            continue;
        }
        let doc = as_raw(&write.doc);
        let id = document_id(doc).unwrap_or(RawBsonRef::Null);
        ops.push(Op {
            ns: collection.ns.as_str(),
            uuid: Some(collection.uuid),
            change: match write.kind {
                Kind::Insert => Change::Insert { doc },
                Kind::Update => Change::Update { id, o: write.diff.as_deref().unwrap_or(doc) },
                Kind::Delete => Change::Delete { id },
            },
            record: write.record,
            stmt_id: if write.forced { None } else { stmt_ids.next() },
        });
    }
    if !hidden.is_empty() {
        let of_hidden = |key: &Bytes| keyspace::ident_of(key).is_some_and(|ident| hidden.contains(&ident));
        let puts = writes.iter().filter(|(key, _)| of_hidden(key));
        local.puts.extend(puts.map(|(key, value)| (key.clone(), value.clone())));
    }
    if let Some(first) = aside.first() {
        let of_aside = |key: &Bytes| keyspace::is_record(key) && keyspace::ident_of(key) == Some(first.id.0);
        let puts = writes.iter().filter(|(key, _)| of_aside(key));
        let puts = puts.map(|(key, value)| SideWrite {
            uuid: first.uuid,
            record_key: keyspace::strip(key.clone()),
            value: value.clone(),
        });
        local.side = side::encode(&puts.collect::<Vec<_>>());
    }
    if ops.is_empty() {
        return (local, Vec::new());
    }
    let session =
        session.map(|session| entry::Session { lsid: &session.lsid, txn_number: session.txn_number });
    let entry = entry::encode(&ops, session, shared.options.clock.wall_millis());
    (local, entry)
}

/// Marks indexes that met their first array, and returns the catalogue records that say so.
fn mark_multikey(shared: &Shared, multikey: &[(Arc<Collection>, Arc<Index>, u64)]) -> Vec<(Bytes, Value)> {
    let mut puts: BTreeMap<Bytes, Value> = BTreeMap::new();
    let catalog = shared.catalog.load();
    for (_, index, fields) in multikey {
        index.add_multikey(*fields);
    }
    for (collection, _, _) in multikey {
        if let Some(now) = catalog.by_ident(collection.id.0) {
            let doc = Bytes::from(now.to_document().into_bytes());
            puts.insert(Bytes::from(keyspace::catalog(now.id.0)), Some(doc));
        }
    }
    puts.into_iter().collect()
}
