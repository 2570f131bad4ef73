//! One try of a write: a snapshot, the batch prepared against it, and the statements that it records.
//! Commits whole or not at all. On a conflict the caller takes a new attempt and reads again.

use super::history::{HISTORIES, History, Recorded, Retryable, page_of};
use crate::Engine;
use bson::RawDocument;
use command::Context;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::time::{Duration, Instant};
use storage::{Batch, Collection, CommitMeta, RecordKey, SessionMeta, Snapshot};
use types::{Code, Fault, Namespace, OpTime};
use value::SharedDoc;

/// Conflicts in a row before a statement gives up with `WriteConflict`; with the pauses below, about ten seconds.
const CONFLICTS_MAX: u32 = 400;
const PAUSE_MILLIS_MAX: u64 = 32;

/// Why an attempt ended without a commit.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Something that was read changed meanwhile: read again.
    Conflict,
    Fault(Fault),
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Failure {
        Failure::Fault(fault)
    }
}

impl From<storage::Error> for Failure {
    fn from(error: storage::Error) -> Failure {
        match error {
            storage::Error::WriteConflict => Failure::Conflict,
            other => Failure::Fault(other.fault()),
        }
    }
}

/// Counts conflicts of one statement and waits between its attempts.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    conflicts: u32,
}

impl Patience {
    /// Lets a fault pass; after a conflict waits a little, longer each time.
    ///
    /// # Errors
    /// The fault; `WriteConflict` (112) after too many; interruption.
    pub(crate) async fn after(&mut self, ctx: &Context, failure: Failure) -> Result<(), Fault> {
        match failure {
            Failure::Fault(fault) => return Err(fault),
            Failure::Conflict => self.conflicts += 1,
        }
        if self.conflicts > CONFLICTS_MAX {
            return Err(storage::Error::WriteConflict.fault());
        }
        ctx.check(Instant::now())?;
        if self.conflicts <= 3 {
            tokio::task::yield_now().await;
        } else {
            let millis = 1_u64.checked_shl(self.conflicts - 4).unwrap_or(u64::MAX).min(PAUSE_MILLIS_MAX);
            tokio::time::sleep(Duration::from_millis(millis)).await;
        }
        Ok(())
    }
}

/// A write that is being prepared.
pub(crate) struct Attempt {
    pub(crate) snapshot: Snapshot,
    batch: Batch,
    retry: Option<OpenHistory>,
    changes: bool,
}

/// The pages of a session's history that this attempt has looked at. The first is always among them: it says which transaction number is
/// the newest.
struct OpenHistory {
    collection: Arc<Collection>,
    retryable: Retryable,
    pages: BTreeMap<i32, Page>,
    /// Of the statements that wrote something, in the order of their writes.
    written: Vec<i32>,
}

struct Page {
    key: RecordKey,
    stored: Option<SharedDoc>,
    history: History,
    /// To be stored with the commit.
    changed: bool,
}

impl OpenHistory {
    fn page(&mut self, snapshot: &Snapshot, page: i32) -> Result<&mut Page, Failure> {
        Ok(match self.pages.entry(page) {
            Entry::Occupied(open) => open.into_mut(),
            Entry::Vacant(vacant) => {
                let key = RecordKey::from(self.retryable.record_key(page));
                let stored = snapshot.get(&self.collection, &key)?;
                let history = self.retryable.history(page, stored.as_ref())?;
                vacant.insert(Page { key, stored, history, changed: false })
            }
        })
    }
}

impl Attempt {
    /// A fresh snapshot, an empty batch, and the session's history where the write is retryable.
    pub(crate) fn begin(engine: &Engine, retry: Option<&Retryable>) -> Result<Attempt, Failure> {
        // The collection of histories is made before the snapshot, so that the snapshot has it.
        let transactions = retry.map(|_| transactions(engine)).transpose()?;
        let snapshot = engine.store().snapshot();
        let batch = engine.store().batch(snapshot.clone());
        let retry = match (retry, transactions) {
            (Some(retryable), Some(collection)) => {
                let mut open = OpenHistory {
                    collection,
                    retryable: *retryable,
                    pages: BTreeMap::new(),
                    written: Vec::new(),
                };
                open.page(&snapshot, 0)?;
                Some(open)
            }
            _ => None,
        };
        Ok(Attempt { snapshot, batch, retry, changes: false })
    }

    /// What the statement came to when it was executed before.
    pub(crate) fn executed(&mut self, statement: i32) -> Result<Option<&Recorded>, Failure> {
        match &mut self.retry {
            Some(retry) => Ok(retry.page(&self.snapshot, page_of(statement))?.history.find(statement)),
            None => Ok(None),
        }
    }

    /// Notes an executed statement, to be stored with the commit. Does nothing for plain writes.
    pub(crate) fn record(
        &mut self,
        statement: i32,
        recorded: impl FnOnce() -> Recorded,
    ) -> Result<(), Failure> {
        if let Some(retry) = &mut self.retry {
            let recorded = recorded();
            if recorded.wrote {
                retry.written.push(statement);
            }
            let page = retry.page(&self.snapshot, page_of(statement))?;
            page.history.record(statement, recorded);
            page.changed = true;
            // The first statement of a transaction number makes it the session's newest, whichever page it is on.
            let number = retry.retryable.txn_number;
            let first = retry.page(&self.snapshot, 0)?;
            first.changed |= first.stored.as_ref().and_then(|doc| doc.get_i64("txnNum").ok()) != Some(number);
        }
        Ok(())
    }

    pub(crate) fn insert(&mut self, collection: &Arc<Collection>, doc: &RawDocument) -> Result<(), Failure> {
        self.batch.insert(collection, doc)?;
        self.changes = true;
        Ok(())
    }

    pub(crate) fn update(
        &mut self,
        collection: &Arc<Collection>,
        key: &RecordKey,
        old: &RawDocument,
        new: &RawDocument,
    ) -> Result<(), Failure> {
        self.batch.update(collection, key, old, new)?;
        self.changes = true;
        Ok(())
    }

    pub(crate) fn delete(
        &mut self,
        collection: &Arc<Collection>,
        key: &RecordKey,
        old: &RawDocument,
    ) -> Result<(), Failure> {
        self.batch.delete(collection, key, old)?;
        self.changes = true;
        Ok(())
    }

    /// Commits what was prepared; `None` where there was nothing to commit.
    pub(crate) fn commit(mut self) -> Result<Option<OpTime>, Failure> {
        let mut meta = CommitMeta::default();
        if let Some(retry) = self.retry.filter(|retry| retry.pages.values().any(|page| page.changed)) {
            let now = runtime::clock::now_millis();
            for page in retry.pages.values().filter(|page| page.changed) {
                let doc = page.history.to_doc(now);
                match &page.stored {
                    Some(stored) => self.batch.update(&retry.collection, &page.key, stored, &doc)?,
                    None => match self.batch.insert(&retry.collection, &doc) {
                        // Made by another statement of the session since the snapshot.
                        Err(storage::Error::DuplicateKey(_)) => return Err(Failure::Conflict),
                        other => drop(other?),
                    },
                }
            }
            meta.session = Some(SessionMeta {
                lsid: History::id(retry.retryable.session, 0),
                txn_number: retry.retryable.txn_number,
                stmt_ids: retry.written,
            });
        } else if !self.changes {
            return Ok(None);
        }
        Ok(Some(self.batch.commit(meta)?))
    }
}

/// The collection of histories, made when it is first needed.
fn transactions(engine: &Engine) -> Result<Arc<Collection>, Fault> {
    let ns = Namespace::parse(HISTORIES)?;
    if let Some(collection) = engine.store().catalog().get(&ns) {
        return Ok(Arc::clone(collection));
    }
    create_quietly(engine, &ns)
}

/// Makes a collection, or finds the one that another made at the same moment.
pub(crate) fn create_quietly(engine: &Engine, ns: &Namespace) -> Result<Arc<Collection>, Fault> {
    match engine.store().create_collection(ns, None, &bson::RawDocumentBuf::new()) {
        Ok(collection) => Ok(collection),
        Err(storage::Error::NamespaceExists { .. }) => {
            engine.store().catalog().get(ns).cloned().ok_or_else(|| {
                Fault::new(
                    Code::ConflictingOperationInProgress,
                    format!("{ns} was dropped while it was being made"),
                )
            })
        }
        Err(error) => Err(error.fault()),
    }
}
