//! Whether this member takes commits of its own, and open index builds when it begins to.

use crate::change;
use crate::collection::{Collection, Index, RecordKey};
use crate::ddl::index_command;
use crate::index;
use crate::keyspace::Ident;
use crate::{Error, Store};
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl Store {
    /// From here on commits are taken in this term, or none are: when this returns, no commit of before can still appear. Waits
    /// for records that are being applied before it allows commits.
    pub fn set_writable(&self, term: Option<i64>) {
        let shared = &self.shared;
        let _applying = term.is_some().then(|| shared.applying.lock());
        let _section = shared.commit.lock();
        if let Some(term) = term {
            shared.term.store(term, Ordering::Release);
            // What was removed at the front of capped collections is found anew.
            shared.numbers.clear();
        }
        shared.writable.store(term.is_some(), Ordering::Release);
    }

    /// Whether commits are taken now.
    pub fn is_writable(&self) -> bool {
        self.shared.writable.load(Ordering::Acquire)
    }

    /// Whether there is something that [`Store::take_over`] has to do.
    pub fn has_unfinished(&self) -> bool {
        self.catalog().all().any(|collection| {
            collection.is_temporary() || collection.indexes.iter().any(|index| index.ready.is_none())
        })
    }

    /// Ends what the last primary has begun: index builds, and the copies of commands that did not end. For a new primary, before
    /// it takes other commits.
    ///
    /// # Errors
    /// [`Error::NotWritable`], or if storage fails.
    pub fn take_over(&self) -> Result<(), Error> {
        self.drop_temporary()?;
        self.resume_builds()
    }

    /// Brings every index build that has begun to its end: completes it, or takes it back where the data violates it. For a new
    /// primary, before it takes other commits; blocks until all are built.
    ///
    /// # Errors
    /// [`Error::NotWritable`], or if storage fails.
    pub fn resume_builds(&self) -> Result<(), Error> {
        for collection in self.catalog().all() {
            let open: Vec<Arc<Index>> =
                collection.secondary().filter(|index| index.ready.is_none()).cloned().collect();
            if open.is_empty() {
                continue;
            }
            tracing::info!(ns = %collection.ns, indexes = open.len(), "finishing index builds");
            match self.finish_open(collection, &open) {
                Ok(()) => {}
                Err(error @ (Error::DuplicateKey(_) | Error::Unindexable { .. })) => {
                    tracing::info!(ns = %collection.ns, %error, "index build taken back");
                    self.take_back(collection, &open)?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn finish_open(&self, collection: &Arc<Collection>, open: &[Arc<Index>]) -> Result<(), Error> {
        let idents: Vec<Ident> = open.iter().map(|index| index.id.0).collect();
        let passed = self.shared.await_build(collection.id.0, &idents)?;
        let snapshot = self.snapshot();
        for record_key in &passed {
            self.check_passed(&snapshot, collection, open, record_key)?;
        }
        for index in open.iter().filter(|index| index.unique) {
            index::build::suspect_all(&self.shared, index)?;
        }
        self.finish_build(collection, open).map(drop)
    }

    /// A document that had no entries because an index could not hold it must have changed meanwhile.
    fn check_passed(
        &self,
        snapshot: &crate::Snapshot,
        collection: &Collection,
        open: &[Arc<Index>],
        record_key: &RecordKey,
    ) -> Result<(), Error> {
        if let Some(doc) = snapshot.get(collection, record_key)? {
            for index in open {
                index.yields(&doc)?;
            }
        }
        Ok(())
    }

    fn take_back(&self, collection: &Collection, open: &[Arc<Index>]) -> Result<(), Error> {
        let idents: Vec<Ident> = open.iter().map(|index| index.id.0).collect();
        let _ddl = self.shared.ddl.lock();
        let command = index_command("abortIndexBuild", &collection.ns, open);
        self.shared
            .commit_definition(collection.id.0, command, None, &idents, |now, _| {
                Ok(change::without(now, &idents))
            })
            .map(|_| self.shared.builds.forget(&idents))
    }
}
