//! The other end of an import: what a store hands out of itself at a snapshot.

use crate::collection::{Collection, Index, RecordKey};
use crate::index;
use crate::keyspace::Ident;
use crate::predicate::Predicates;
use crate::scan::{Direction, RecordScan};
use crate::snapshot::Snapshot;
use crate::{CollectionId, Error, Store};
use bson::raw::cstr;
use bson::{RawArrayBuf, RawBsonRef, RawDocument, RawDocumentBuf};
use bytes::Bytes;
use std::sync::Arc;
use types::{Namespace, Timestamp, Uuid};
use value::interval::KeyRange;

/// Places that are looked at to find out how a collection is spread, per range wanted.
const PROBES_PER_PART: u64 = 16;
/// Records that are looked at in each.
const PROBE_RECORDS: usize = 4;
/// Fewer records are not worth a range of their own.
const PART_RECORDS_MIN: u64 = 256;

/// `{ns, uuid, options, version, indexes: [{multikey, ready, spec}]}` of one collection.
fn document(collection: &Collection) -> RawDocumentBuf {
    let mut indexes = RawArrayBuf::new();
    for index in &collection.indexes {
        let mut doc = RawDocumentBuf::new();
        doc.append(cstr!("multikey"), index.multikey_fields() as i64);
        if let Some(ready) = index.ready {
            doc.append(cstr!("ready"), bson::Timestamp::from(ready));
        }
        doc.append(cstr!("spec"), index.spec.clone());
        indexes.push(doc);
    }
    let mut doc = RawDocumentBuf::new();
    doc.append(cstr!("ns"), collection.ns.as_str());
    doc.append(cstr!("uuid"), collection.uuid.to_bson());
    doc.append(cstr!("options"), collection.options.clone());
    doc.append(cstr!("version"), bson::Timestamp::from(collection.version));
    doc.append(cstr!("indexes"), indexes);
    doc
}

/// The collection that such a document describes, with idents from `free` on.
pub(super) fn collection(
    doc: &RawDocument,
    free: &mut Ident,
    predicates: Option<&Arc<dyn Predicates>>,
) -> Result<Collection, Error> {
    let bad = |what: &str| Error::ApplyRefused(format!("a definition of the catalogue has no {what}"));
    let ns = Namespace::parse(doc.get_str("ns").map_err(|_| bad("ns"))?)?;
    let uuid = doc.get("uuid").ok().flatten().and_then(Uuid::from_bson).ok_or_else(|| bad("uuid"))?;
    let options = doc.get_document("options").map_err(|_| bad("options"))?.to_owned();
    let version: Timestamp = doc.get_timestamp("version").map_err(|_| bad("version"))?.into();
    let capped = crate::Capped::of(&options)?;
    let collation = crate::collection::collation_of(&options)?;
    let ident = *free;
    *free += 1;
    let mut indexes = Vec::new();
    for index in doc.get_array("indexes").map_err(|_| bad("indexes"))? {
        let Ok(RawBsonRef::Document(index)) = index else { return Err(bad("index")) };
        let spec = index.get_document("spec").map_err(|_| bad("spec"))?.to_owned();
        let ready = index.get_timestamp("ready").ok().map(Timestamp::from);
        let id = spec.get_str("name").ok() == Some(index::IdIndex::NAME);
        let made = if id && capped.is_none() {
            Index::clustered(ident, &ns, ready.unwrap_or(version), collation.as_ref())?
        } else {
            *free += 1;
            Index::new(*free - 1, &ns, spec.clone(), predicates)?.with(ready, spec)?
        };
        made.add_multikey(index.get_i64("multikey").map_err(|_| bad("multikey"))? as u64);
        indexes.push(Arc::new(made));
    }
    Ok(Collection {
        ns,
        uuid,
        id: CollectionId(ident),
        options,
        order: if capped.is_some() { crate::RecordOrder::Number } else { crate::RecordOrder::Id },
        capped,
        collation,
        indexes,
        version,
    })
}

impl Store {
    /// The definitions of all collections at a snapshot, as [`Store::import_catalog`] takes them: not those of `local`.
    ///
    /// # Errors
    /// [`Error::SnapshotTooOld`], or if the catalogue cannot be read.
    pub fn export_catalog(&self, snapshot: &Snapshot) -> Result<Vec<RawDocumentBuf>, Error> {
        let catalog = crate::rollback::catalog_at(snapshot)?;
        Ok(catalog
            .all()
            .filter(|collection| !collection.ns.is_local())
            .map(|found| document(found))
            .collect())
    }

    /// Cuts the records of a collection into ranges of about the same number, at most `parts`. They cover all keys.
    ///
    /// # Errors
    /// [`Error::NamespaceNotFound`] when the collection was dropped; [`Error::SnapshotTooOld`].
    pub fn export_ranges(
        &self,
        snapshot: &Snapshot,
        uuid: Uuid,
        parts: usize,
    ) -> Result<Vec<KeyRange>, Error> {
        let collection = self.exported(uuid)?;
        let records = self.stats(&collection).records;
        let parts = (parts as u64).min(records / PART_RECORDS_MIN).max(1);
        let mut cuts = if parts > 1 { cuts(snapshot, &collection, parts)? } else { Vec::new() };
        cuts.dedup();
        let mut ranges = Vec::with_capacity(cuts.len() + 1);
        let mut start = Vec::new();
        for cut in cuts {
            if cut > start {
                ranges.push(KeyRange { start: std::mem::replace(&mut start, cut.clone()), end: Some(cut) });
            }
        }
        ranges.push(KeyRange { start, end: None });
        Ok(ranges)
    }

    /// The records of a range at a snapshot, in batches of about `bytes_max`.
    ///
    /// # Errors
    /// [`Error::NamespaceNotFound`] when the collection was dropped.
    pub fn export_records(
        &self,
        snapshot: &Snapshot,
        uuid: Uuid,
        range: &KeyRange,
        bytes_max: usize,
    ) -> Result<Export, Error> {
        let collection = self.exported(uuid)?;
        let scan = snapshot.scan(&collection, range, Direction::Forward).checked();
        Ok(Export { scan, bytes_max, failed: false })
    }

    fn exported(&self, uuid: Uuid) -> Result<Arc<Collection>, Error> {
        match self.catalog().by_uuid(uuid) {
            Some(collection) if !collection.ns.is_local() => Ok(collection.clone()),
            Some(collection) => Err(Error::NamespaceNotFound { ns: collection.ns.clone() }),
            None => Err(Error::NamespaceNotFound { ns: Namespace::parse("unknown.collection")? }),
        }
    }
}

/// Batches of records with rising keys.
pub struct Export {
    scan: RecordScan,
    bytes_max: usize,
    failed: bool,
}

impl Iterator for Export {
    type Item = Result<Vec<(RecordKey, Bytes)>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut batch = Vec::new();
        let mut bytes = 0;
        while !self.failed && bytes < self.bytes_max {
            match self.scan.next() {
                Some(Ok((key, doc))) => {
                    let doc = doc.bytes().clone();
                    bytes += key.len() + doc.len();
                    batch.push((key, doc));
                }
                Some(Err(error)) => {
                    self.failed = true;
                    return Some(Err(error));
                }
                None => break,
            }
        }
        (!batch.is_empty()).then_some(Ok(batch))
    }
}

/// Keys that divide a collection: places are looked at that lie evenly between the first and the last key, and how close the keys
/// stand there says how many there are up to the next place.
fn cuts(snapshot: &Snapshot, collection: &Collection, parts: u64) -> Result<Vec<Vec<u8>>, Error> {
    let end = |direction| -> Result<Option<RecordKey>, Error> {
        let first = snapshot.scan(collection, &KeyRange::all(), direction).next().transpose()?;
        Ok(first.map(|(key, _)| key))
    };
    let (Some(first), Some(last)) = (end(Direction::Forward)?, end(Direction::Backward)?) else {
        return Ok(Vec::new());
    };
    let common = first.iter().zip(last.iter()).take_while(|(left, right)| left == right).count();
    let number = |key: &[u8]| {
        let mut bytes = [0; 8];
        for (to, from) in bytes.iter_mut().zip(key.iter().skip(common)) {
            *to = *from;
        }
        u64::from_be_bytes(bytes)
    };
    let (low, high) = (number(&first), number(&last));
    let probes = parts * PROBES_PER_PART;
    // Place, key found there, and records up to the next place, about.
    let mut found: Vec<(u64, RecordKey, f64)> = Vec::new();
    for probe in 0..probes {
        let place = low + ((u128::from(high - low) * u128::from(probe)) / u128::from(probes)) as u64;
        let mut start = first.get(..common).unwrap_or_default().to_vec();
        start.extend_from_slice(&place.to_be_bytes());
        let range = KeyRange { start, end: None };
        let keys = snapshot.scan(collection, &range, Direction::Forward).take(PROBE_RECORDS);
        let keys = keys.map(|record| record.map(|(key, _)| key)).collect::<Result<Vec<_>, Error>>()?;
        let (Some(near), Some(far)) = (keys.first(), keys.last()) else { break };
        if found.last().is_some_and(|(_, key, _)| key == near) {
            continue;
        }
        let gap = (number(far) - number(near)) as f64 / (keys.len().max(2) - 1) as f64;
        found.push((number(near), near.clone(), gap.max(1.0)));
    }
    let ends: Vec<u64> = found.iter().skip(1).map(|(place, ..)| *place).chain([high]).collect();
    let weights: Vec<f64> = found
        .iter()
        .zip(ends)
        .map(|((place, _, gap), end)| (end.saturating_sub(*place) as f64 / gap).max(1.0))
        .collect();
    let each = weights.iter().sum::<f64>() / parts as f64;
    let mut cuts = Vec::new();
    let mut sum = 0.0;
    for ((_, key, _), weight) in found.iter().zip(&weights) {
        if sum >= each * (cuts.len() + 1) as f64 {
            cuts.push(key.to_vec());
        }
        sum += weight;
    }
    Ok(cuts)
}
