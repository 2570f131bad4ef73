//! A collection made capped: its documents go into a new one that then takes its name and its place. Writers are not held up while
//! it is copied; if one of them was faster than the exchange, it begins anew. The last time writers wait, if the copy was quick enough
//! for that. Indexes other than the one on `_id` are not kept, as in MongoDB.
//! The copy is marked as temporary until it has the name: what a crash or a step-down leaves, the next primary drops.

use crate::capped::Capped;
use crate::change;
use crate::collection::{Collection, TEMPORARY};
use crate::ddl::CatalogChange;
use crate::keyspace::{Ident, Range};
use crate::scan::Direction;
use crate::snapshot::Snapshot;
use crate::store::Shared;
use crate::{CommitMeta, Error, Store};
use bson::raw::cstr;
use bson::{RawDocumentBuf, rawdoc};
use parking_lot::{Mutex, MutexGuard};
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use types::{Code, Fault, Namespace, OpTime, Timestamp};
use value::interval::KeyRange;

/// How often writers may be faster.
const ATTEMPTS_MAX: usize = 4;
/// Writers wait for a whole copy only if the one before took no longer: less than a statement bears conflicts for.
const HOLD_MAX: Duration = Duration::from_secs(5);
/// Documents of one commit of the copy.
const PORTION_COUNT_MAX: usize = 500;
const PORTION_BYTES_MAX: usize = 1 << 20;

/// The collection whose writers wait: their commits conflict until it is let go.
#[derive(Debug, Default)]
pub(crate) struct Held {
    /// One at a time.
    turn: Mutex<()>,
    /// That of the log, which has no batches, for none.
    ident: AtomicU32,
}

/// Lets writers go on when it is dropped.
pub(crate) struct Hold<'a> {
    held: &'a Held,
    _turn: MutexGuard<'a, ()>,
}

impl Held {
    /// Whether commits to that collection have to wait. In the commit section.
    pub(crate) fn is(&self, ident: Ident) -> bool {
        self.ident.load(Ordering::Acquire) == ident
    }
}

impl Shared {
    /// From here on no batch commits to the collection.
    pub(crate) fn hold_writers(&self, ident: Ident) -> Hold<'_> {
        let turn = self.held.turn.lock();
        let _section = self.commit.lock();
        self.held.ident.store(ident, Ordering::Release);
        Hold { held: &self.held, _turn: turn }
    }
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        self.held.ident.store(0, Ordering::Release);
    }
}

impl Store {
    /// Makes a collection capped: the newest documents, in the order of records, as far as `bytes_max` allows.
    ///
    /// # Errors
    /// [`Error::NamespaceNotFound`]; `ConflictingOperationInProgress` (117) where writers were faster time and again.
    pub fn convert_to_capped(&self, ns: &Namespace, bytes_max: i64) -> Result<OpTime, Error> {
        let mut took = Duration::MAX;
        for attempt in 1..=ATTEMPTS_MAX {
            let source = self.existing(ns)?;
            let options = capped_options(&source, bytes_max);
            Capped::of(&options)?;
            let is_last = attempt == ATTEMPTS_MAX && took <= HOLD_MAX;
            let hold = is_last.then(|| self.shared.hold_writers(source.id.0));
            let temporary = temporary(ns)?;
            let target = self.create_collection(&temporary, None, &options)?;
            let begun = Instant::now();
            let snapshot = self.snapshot();
            let done = self
                .copy_records(&snapshot, &source, &target)
                .and_then(|()| self.exchange(&snapshot, &source, &target, hold));
            took = begun.elapsed();
            match done {
                Ok(Some(at)) => return Ok(at),
                Ok(None) => drop(self.drop_collection(&temporary)?),
                Err(error) => {
                    // The first failure is told; what it leaves is removed as far as that is possible.
                    if let Err(second) = self.drop_collection(&temporary) {
                        tracing::warn!(%temporary, error = %second, "unfinished copy is left for the next primary");
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

    /// Drops what commands that did not end have left. For a member that has just become writable, before it takes other commits.
    ///
    /// # Errors
    /// [`Error::NotWritable`], or if storage fails.
    pub fn drop_temporary(&self) -> Result<(), Error> {
        for collection in self.catalog().all().filter(|collection| collection.is_temporary()) {
            tracing::info!(ns = %collection.ns, "dropping what an unfinished command has left");
            match self.drop_collection(&collection.ns) {
                Ok(_) | Err(Error::NamespaceNotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    pub(crate) fn copy_records(
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
    /// Writers of the source wait meanwhile; all others go on.
    pub(crate) fn exchange(
        &self,
        snapshot: &Snapshot,
        source: &Arc<Collection>,
        target: &Collection,
        hold: Option<Hold<'_>>,
    ) -> Result<Option<OpTime>, Error> {
        // Before the catalogue: who waits for a whole copy changes the catalogue as well.
        let _hold = hold.unwrap_or_else(|| self.shared.hold_writers(source.id.0));
        let _ddl = self.shared.ddl.lock();
        let (from, to) = (target.ns.clone(), source.ns.clone());
        let command = rawdoc! {
            "renameCollection": from.as_str(), "to": to.as_str(), "stayTemp": false, "dropTarget": source.uuid.to_bson(),
        };
        if self.written_since(source, snapshot.timestamp()) {
            return Ok(None);
        }
        let mut overtaken = false;
        let done = self.shared.commit_ddl(|at, catalog| {
            let now = catalog.by_ident(source.id.0);
            // An expired pin no longer holds newer versions in memory, where they were looked for.
            overtaken = now.is_none_or(|now| now.version != source.version) || snapshot.check().is_err();
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

    /// Whether a record was changed after a time that a snapshot still holds. Nobody writes to it meanwhile.
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
    options.append(TEMPORARY, true);
    for (name, value) in source.options.iter().flatten() {
        if !matches!(name.as_str(), "capped" | "size" | "max" | "temp") {
            options.append(name, value);
        }
    }
    options
}

fn temporary(ns: &Namespace) -> Result<Namespace, Error> {
    let number: u32 = rand::random();
    Ok(Namespace::parse(&format!("{}.tmp{number:08x}.convertToCapped.{}", ns.db(), ns.collection()))?)
}
