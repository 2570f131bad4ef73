//! A collection made capped: its documents go into a new one that then takes its name and its place. Writers are not held up; if one of
//! them was faster than the exchange, it begins anew. Indexes other than the one on `_id` are not kept, as in MongoDB.

use crate::capped::Capped;
use crate::change;
use crate::collection::Collection;
use crate::ddl::CatalogChange;
use crate::keyspace::Range;
use crate::scan::Direction;
use crate::snapshot::Snapshot;
use crate::{CommitMeta, Error, Store};
use bson::raw::cstr;
use bson::{RawDocumentBuf, rawdoc};
use std::ops::Bound;
use std::sync::Arc;
use types::{Code, Fault, Namespace, OpTime, Timestamp};
use value::interval::KeyRange;

/// How often writers may be faster.
const ATTEMPTS_MAX: usize = 50;
/// Documents of one commit of the copy.
const PORTION_COUNT_MAX: usize = 500;
const PORTION_BYTES_MAX: usize = 1 << 20;

impl Store {
    /// Makes a collection capped: the newest documents, in the order of records, as far as `bytes_max` allows.
    ///
    /// # Errors
    /// [`Error::NamespaceNotFound`]; `ConflictingOperationInProgress` (117) where writers were faster time and again.
    pub fn convert_to_capped(&self, ns: &Namespace, bytes_max: i64) -> Result<OpTime, Error> {
        for _ in 0..ATTEMPTS_MAX {
            let source = self.existing(ns)?;
            let options = capped_options(&source, bytes_max);
            Capped::of(&options)?;
            let temporary = temporary(ns)?;
            let target = self.create_collection(&temporary, None, &options)?;
            let snapshot = self.snapshot();
            let done = self
                .copy_records(&snapshot, &source, &target)
                .and_then(|()| self.exchange(&snapshot, &source, &target));
            match done {
                Ok(Some(at)) => return Ok(at),
                Ok(None) => drop(self.drop_collection(&temporary)?),
                Err(error) => {
                    // The first failure is told; what it leaves is removed as far as that is possible.
                    if let Err(second) = self.drop_collection(&temporary) {
                        tracing::warn!(%temporary, error = %second, "unfinished copy is left");
                    }
                    return Err(error);
                }
            }
        }
        Err(Error::Value(Fault::new(
            Code::ConflictingOperationInProgress,
            format!("{ns} was written to each time it was about to become capped"),
        )))
    }

    fn copy_records(
        &self,
        snapshot: &Snapshot,
        source: &Collection,
        target: &Arc<Collection>,
    ) -> Result<(), Error> {
        let mut records = snapshot.scan(source, &KeyRange::all(), Direction::Forward).peekable();
        while records.peek().is_some() {
            let mut batch = self.batch(self.snapshot());
            let (mut count, mut bytes) = (0, 0);
            while count < PORTION_COUNT_MAX
                && bytes < PORTION_BYTES_MAX
                && let Some(record) = records.next()
            {
                let (_, doc) = record?;
                batch.insert(target, &doc)?;
                (count, bytes) = (count + 1, bytes + doc.as_bytes().len());
            }
            batch.commit(CommitMeta::default())?;
        }
        Ok(())
    }

    /// Gives the copy the name of the source and drops the source. `None` where somebody wrote to the source after the snapshot.
    fn exchange(
        &self,
        snapshot: &Snapshot,
        source: &Arc<Collection>,
        target: &Collection,
    ) -> Result<Option<OpTime>, Error> {
        let _ddl = self.shared.ddl.lock();
        let (from, to) = (target.ns.clone(), source.ns.clone());
        let command = rawdoc! {
            "renameCollection": from.as_str(), "to": to.as_str(), "stayTemp": false, "dropTarget": source.uuid.to_bson(),
        };
        let mut overtaken = false;
        let done = self.shared.commit_ddl(|at, catalog| {
            let now = catalog.by_ident(source.id.0);
            overtaken = now.is_none_or(|now| now.version != source.version)
                || self.written_since(source, snapshot.timestamp());
            if overtaken {
                return Err(change::aborted());
            }
            let changed = change::rename(catalog, target, Some(source.as_ref()), &to, at.ts)?;
            Ok(CatalogChange { ns: &from, uuid: Some(target.uuid), command, changed })
        });
        match done {
            Err(_) if overtaken => Ok(None),
            other => other.map(Some),
        }
    }

    /// Whether a record was changed after a time that a snapshot still holds. In the commit section.
    fn written_since(&self, collection: &Collection, at: Timestamp) -> bool {
        // Not all of it need be in memory.
        if at < self.shared.spill.newest_time() {
            return true;
        }
        let range = Range::records(collection.id.0, &KeyRange::all());
        let mut start = Bound::Included(range.start.clone());
        loop {
            let mut found = Vec::new();
            let from = start.as_ref().map(Vec::as_slice);
            self.shared.versions.collect_forward(from, &range.end, Timestamp::MAX, 1_000, &mut found);
            if found.iter().any(|version| version.time > at) {
                return true;
            }
            match found.last() {
                Some(last) => start = Bound::Excluded(last.key.to_vec()),
                None => return false,
            }
        }
    }
}

fn capped_options(source: &Collection, bytes_max: i64) -> RawDocumentBuf {
    let mut options = RawDocumentBuf::new();
    options.append(cstr!("capped"), true);
    options.append(cstr!("size"), bytes_max);
    for (name, value) in source.options.iter().flatten() {
        if !matches!(name.as_str(), "capped" | "size" | "max") {
            options.append(name, value);
        }
    }
    options
}

fn temporary(ns: &Namespace) -> Result<Namespace, Error> {
    let number: u32 = rand::random();
    Ok(Namespace::parse(&format!("{}.tmp{number:08x}.convertToCapped.{}", ns.db(), ns.collection()))?)
}
