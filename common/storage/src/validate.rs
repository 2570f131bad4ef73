//! Compares records, index entries and counts of a collection with each other.

use crate::Error;
use crate::collection::{Collection, Index};
use crate::counts::Count;
use crate::keyspace::{self, Range};
use crate::scan::{Direction, Merge};
use crate::snapshot::Snapshot;
use crate::store::Store;
use value::interval::KeyRange;

/// More findings than this are counted, not told.
const ERRORS_MAX: usize = 100;

/// What a comparison found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Validation {
    pub records: u64,
    pub bytes: u64,
    /// Name and number of entries of each complete index.
    pub keys_per_index: Vec<(String, u64)>,
    /// Empty when everything fits.
    pub errors: Vec<String>,
}

impl Validation {
    fn tell(&mut self, error: impl FnOnce() -> String) {
        if self.errors.len() < ERRORS_MAX {
            self.errors.push(error());
        }
    }

    /// Whether nothing was found.
    pub fn valid(&self) -> bool {
        self.errors.is_empty()
    }
}

impl Store {
    /// Reads the whole collection and all its complete indexes at one time. Writes go on.
    ///
    /// # Errors
    /// If something cannot be read; what does not fit together is in the result.
    pub fn validate(&self, collection: &Collection) -> Result<Validation, Error> {
        // Counts and snapshot of the same moment.
        let section = self.shared.commit.lock();
        let snapshot = self.snapshot();
        let count = |ident| self.shared.counts.get(ident);
        let expected = count(collection.id.0);
        let indexes: Vec<(&Index, Count)> = collection
            .secondary()
            .filter(|index| index.usable_at(snapshot.timestamp()))
            .map(|index| (index.as_ref(), count(index.id.0)))
            .collect();
        drop(section);
        let mut found = Validation::default();
        let mut entries = vec![Count::default(); indexes.len()];
        for record in snapshot.scan(collection, &KeyRange::all(), Direction::Forward).checked() {
            let (record_key, doc) = record?;
            found.records += 1;
            found.bytes += doc.as_bytes().len() as u64;
            for ((index, _), count) in indexes.iter().zip(&mut entries) {
                let yielded = index.yields(&doc)?;
                if yielded.multikey & !index.multikey_fields() != 0 {
                    found.tell(|| format!("index {} does not know of an array that it crosses", index.name));
                }
                for key in yielded.keys {
                    let mut full = keyspace::index_prefix(index.id.0);
                    full.extend_from_slice(&key);
                    full.extend_from_slice(&record_key);
                    count.add(Count { records: 1, bytes: full.len() as i64 });
                    if snapshot.value(&full)?.is_none() {
                        let id = doc.get("_id").ok().flatten();
                        found.tell(|| {
                            format!("index {} lacks an entry of the document with _id {id:?}", index.name)
                        });
                    }
                }
            }
        }
        if (expected.records, expected.bytes) != (found.records as i64, found.bytes as i64) {
            let (records, bytes) = (found.records, found.bytes);
            found.tell(|| format!("counted {expected:?}, found {records} records of {bytes} bytes"));
        }
        for ((index, expected), yielded) in indexes.iter().zip(entries) {
            check_index(&snapshot, index, *expected, yielded, &mut found)?;
        }
        Ok(found)
    }
}

fn check_index(
    snapshot: &Snapshot,
    index: &Index,
    expected: Count,
    yielded: Count,
    found: &mut Validation,
) -> Result<(), Error> {
    let mut present = Count::default();
    let range = Range::index(index.id.0, &KeyRange::all());
    for entry in Merge::new(snapshot.clone(), range, Direction::Forward).checked() {
        present.add(Count { records: 1, bytes: entry?.0.len() as i64 });
    }
    if present != yielded {
        found.tell(|| format!("index {} has {present:?}, documents yield {yielded:?}", index.name));
    }
    if present != expected {
        found.tell(|| format!("index {} has {present:?}, counted {expected:?}", index.name));
    }
    found.keys_per_index.push((index.name.clone(), present.records as u64));
    Ok(())
}
