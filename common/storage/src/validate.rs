//! Compares records, index entries and counts of a collection with each other: what the command `validate` tells, and the tests ask.

use crate::Error;
use crate::collection::{Collection, Index, RecordKey, RecordOrder};
use crate::counts::Count;
use crate::ddl::Interrupted;
use crate::keyspace::{self, Range};
use crate::scan::{Direction, Merge, split_entry};
use crate::snapshot::Snapshot;
use crate::store::Store;
use bson::RawBson;
use types::{Timestamp, limits};
use value::SharedDoc;
use value::interval::KeyRange;

/// More findings than this are counted, not told.
const ERRORS_MAX: usize = 100;

/// What mends an index.
const REBUILD: &str = "drop the index and create it again";
/// What mends the records of a member.
const COPY: &str =
    "let this member copy its data anew from another one, or copy the collection into a new one";

/// An index entry that does not fit: the index, and the `_id` of its document if there is one.
pub type Misfit = (String, Option<RawBson>);

/// What a comparison found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Validation {
    /// The time that was read.
    pub at: Timestamp,
    pub records: u64,
    pub bytes: u64,
    /// Records that are no document, or not where they belong.
    pub invalid_records: u64,
    /// Name and number of entries of each complete index that has entries of its own.
    pub keys_per_index: Vec<(String, u64)>,
    /// Names of the indexes that something was found about.
    pub invalid_indexes: Vec<String>,
    pub missing_entries: Vec<Misfit>,
    pub extra_entries: Vec<Misfit>,
    /// Empty when everything fits. Each says what to do.
    pub errors: Vec<String>,
}

impl Validation {
    fn tell(&mut self, error: impl FnOnce() -> String) {
        if self.errors.len() < ERRORS_MAX {
            self.errors.push(error());
        }
    }

    fn tell_of(&mut self, index: &Index, error: impl FnOnce() -> String) {
        if !self.invalid_indexes.contains(&index.name) {
            self.invalid_indexes.push(index.name.clone());
        }
        self.tell(|| format!("index '{}': {}; {REBUILD}", index.name, error()));
    }

    /// Whether nothing was found.
    pub fn valid(&self) -> bool {
        self.errors.is_empty()
    }
}

/// A comparison under way.
struct Comparison<'a> {
    snapshot: Snapshot,
    collection: &'a Collection,
    interrupted: &'a mut Interrupted<'a>,
    found: Validation,
}

/// An index, what is counted of it, and what its documents yield.
struct Compared<'a> {
    index: &'a Index,
    counted: Count,
    yielded: Count,
}

impl Store {
    /// Reads the whole collection and all its complete indexes at one time. Writes go on.
    ///
    /// # Errors
    /// If something cannot be read; what does not fit together is in the result.
    pub fn validate(&self, collection: &Collection) -> Result<Validation, Error> {
        self.validate_unless(collection, &mut || Ok(()))
    }

    /// As [`Store::validate`]; `interrupted` is asked with every record and entry.
    ///
    /// # Errors
    /// As [`Store::validate`], and what `interrupted` says.
    pub fn validate_unless<'a>(
        &self,
        collection: &'a Collection,
        interrupted: &'a mut Interrupted<'a>,
    ) -> Result<Validation, Error> {
        // Counts and snapshot of the same moment.
        let section = self.shared.commit.lock();
        let snapshot = self.snapshot();
        let count = |ident| self.shared.counts.get(ident);
        let counted = count(collection.id.0);
        let mut indexes: Vec<Compared<'_>> = collection
            .secondary()
            .filter(|index| index.usable_at(snapshot.timestamp()))
            .map(|index| Compared { index, counted: count(index.id.0), yielded: Count::default() })
            .collect();
        drop(section);
        let found = Validation { at: snapshot.timestamp(), ..Validation::default() };
        let mut comparison = Comparison { snapshot, collection, interrupted, found };
        comparison.records(counted, &mut indexes)?;
        for compared in &indexes {
            comparison.entries(compared)?;
        }
        Ok(comparison.found)
    }
}

impl Comparison<'_> {
    fn records(&mut self, counted: Count, indexes: &mut [Compared<'_>]) -> Result<(), Error> {
        let snapshot = self.snapshot.clone();
        for record in snapshot.scan(self.collection, &KeyRange::all(), Direction::Forward).checked() {
            (self.interrupted)()?;
            let (record_key, doc) = record?;
            self.found.records += 1;
            self.found.bytes += doc.as_bytes().len() as u64;
            if let Some(problem) = self.problem(&record_key, &doc) {
                self.found.invalid_records += 1;
                let number = self.found.records;
                self.found.tell(|| format!("record {number}: {problem}; {COPY}"));
                continue;
            }
            for compared in &mut *indexes {
                self.yields(compared, &record_key, &doc)?;
            }
        }
        let is_log = self.collection.order == RecordOrder::Log;
        let (records, bytes) = (self.found.records, self.found.bytes);
        if !is_log && (counted.records, counted.bytes) != (records as i64, bytes as i64) {
            let Count { records: counted_records, bytes: counted_bytes } = counted;
            self.found.tell(|| {
                format!(
                    "the collection is counted as {counted_records} records of {counted_bytes} bytes and has {records} of {bytes}; {COPY}"
                )
            });
        }
        Ok(())
    }

    /// What is wrong with a record by itself.
    fn problem(&self, record_key: &RecordKey, doc: &SharedDoc) -> Option<String> {
        if let Err(fault) = value::validate::document(doc.as_bytes(), limits::BSON_DEPTH_MAX) {
            return Some(fault.message);
        }
        if self.collection.order != RecordOrder::Id {
            return None;
        }
        match doc.get("_id") {
            Ok(Some(id)) if self.collection.record_key(id) == *record_key => None,
            _ => Some("it is not stored under its _id".to_owned()),
        }
    }

    fn yields(
        &mut self,
        compared: &mut Compared<'_>,
        record_key: &RecordKey,
        doc: &SharedDoc,
    ) -> Result<(), Error> {
        let index = compared.index;
        let id = || doc.get("_id").ok().flatten().map(RawBson::from);
        let yielded = match index.yields(doc) {
            Ok(yielded) => yielded,
            Err(Error::Unindexable { message, .. }) => {
                self.found
                    .tell_of(index, || format!("it cannot hold the document with _id {:?}: {message}", id()));
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        if yielded.multikey & !index.multikey_fields() != 0 {
            self.found.tell_of(index, || {
                format!(
                    "it is not marked as multikey, and the document with _id {:?} has an array on its path",
                    id()
                )
            });
        }
        for key in yielded.keys {
            let mut full = keyspace::index_prefix(index.id.0);
            full.extend_from_slice(&key);
            full.extend_from_slice(record_key);
            compared.yielded.add(Count { records: 1, bytes: full.len() as i64 });
            if self.snapshot.value(&full)?.is_none() {
                self.found
                    .tell_of(index, || format!("it lacks an entry of the document with _id {:?}", id()));
                if self.found.missing_entries.len() < ERRORS_MAX {
                    self.found.missing_entries.push((index.name.clone(), id()));
                }
            }
        }
        Ok(())
    }

    fn entries(&mut self, compared: &Compared<'_>) -> Result<(), Error> {
        let Compared { index, counted, yielded } = *compared;
        let mut present = Count::default();
        let mut before = None;
        for entry in self.all(index) {
            (self.interrupted)()?;
            let (full, value) = entry?;
            present.add(Count { records: 1, bytes: full.len() as i64 });
            if !index.unique {
                continue;
            }
            let (key, _) = split_entry(&keyspace::strip(full), &value)?;
            if before.as_ref() == Some(&key) {
                self.found.tell_of(index, || "it is unique, and two documents have one key".to_owned());
            }
            before = Some(key);
        }
        if present != yielded {
            self.extra(index)?;
            // One missing and one too many may be the same number.
            self.found.tell_of(index, || {
                format!("it has {} entries, and its documents yield {}", present.records, yielded.records)
            });
        }
        if present != counted {
            self.found.tell_of(index, || {
                format!(
                    "it is counted as {} entries of {} bytes and has {} of {}",
                    counted.records, counted.bytes, present.records, present.bytes
                )
            });
        }
        self.found.keys_per_index.push((index.name.clone(), present.records as u64));
        Ok(())
    }

    fn all(&self, index: &Index) -> Merge {
        let range = Range::index(index.id.0, &KeyRange::all());
        Merge::new(self.snapshot.clone(), range, Direction::Forward).checked()
    }

    /// Names the entries that belong to no document.
    fn extra(&mut self, index: &Index) -> Result<(), Error> {
        for entry in self.all(index) {
            (self.interrupted)()?;
            let (full, value) = entry?;
            let (key, record_key) = split_entry(&keyspace::strip(full), &value)?;
            let doc = self.snapshot.get(self.collection, &record_key)?;
            let keys = doc.as_deref().map(|doc| index.keys(doc)).transpose();
            let belongs = match keys {
                Ok(keys) => keys.is_some_and(|keys| keys.iter().any(|yielded| *yielded == *key)),
                Err(Error::Unindexable { .. }) => false,
                Err(error) => return Err(error),
            };
            if belongs {
                continue;
            }
            let id = doc.and_then(|doc| doc.get("_id").ok().flatten().map(RawBson::from));
            self.found.tell_of(index, || match &id {
                Some(id) => format!("it has an entry that the document with _id {id:?} does not yield"),
                None => "it has an entry of a document that is not there".to_owned(),
            });
            if self.found.extra_entries.len() < ERRORS_MAX {
                self.found.extra_entries.push((index.name.clone(), id));
            }
        }
        Ok(())
    }
}

/// Damage for tests, that a comparison has to find.
#[cfg(any(debug_assertions, feature = "failpoints"))]
impl Store {
    /// Counts a record that is not there.
    pub fn spoil_count(&self, collection: &Collection) {
        let wrong = Count { records: 1, bytes: 5 };
        self.shared.counts.apply(self.last_op_time().ts, [(collection.id.0, wrong)]);
    }

    /// Forgets that an index crosses arrays.
    pub fn spoil_multikey(&self, index: &Index) {
        index.forget_multikey();
    }
}
