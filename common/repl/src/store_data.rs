//! Storage, as replication sees it.

use crate::data::{Data, Export, Import, KeyRange, Located, Piece, Pieces, Records, Visible};
use bson::{RawBson, RawDocument, RawDocumentBuf};
use bytes::Bytes;
use command::BoxFuture;
use runtime::clock::HybridClock;
use std::path::PathBuf;
use std::sync::Arc;
use storage::{LogRecord, RecordCursor, Store};
use types::{Fault, OpTime, Timestamp, Uuid};

/// Bytes of records in one piece of a copy, roughly.
const PIECE_BYTES: usize = 1024 * 1024;

/// The store of the process.
pub(crate) struct StoreData {
    store: Store,
    clock: Arc<HybridClock>,
}

impl StoreData {
    pub(crate) fn new(store: Store, clock: Arc<HybridClock>) -> StoreData {
        StoreData { store, clock }
    }
}

struct Cursor(RecordCursor);

impl Records for Cursor {
    fn next(&mut self) -> Result<Option<LogRecord>, Fault> {
        self.0.next().transpose().map_err(|error| error.fault())
    }
}

/// Records of a range at the snapshot that it was begun with.
struct Batches {
    at: Timestamp,
    export: storage::Export,
}

impl Pieces for Batches {
    fn next(&mut self) -> Result<Option<Piece>, Fault> {
        let records = self.export.next().transpose().map_err(fault)?;
        Ok(records.map(|records| Piece { at: self.at, records }))
    }
}

fn fault(error: storage::Error) -> Fault {
    error.fault()
}

impl Data for StoreData {
    fn last(&self) -> OpTime {
        self.store.last_op_time()
    }

    fn durable(&self) -> OpTime {
        self.store.durable_op_time()
    }

    fn visible(&self) -> Box<dyn Visible> {
        Box::new(self.store.oplog().watch())
    }

    fn synced_past(&self, durable: OpTime) -> BoxFuture<()> {
        let mut watch = self.store.durable_watch();
        Box::pin(async move {
            // The log is gone with the store: nothing will be synced any more.
            if watch.wait_for(|now| now.at != durable).await.is_err() {
                std::future::pending::<()>().await;
            }
        })
    }

    fn ask_for_sync(&self, at: OpTime) {
        self.store.ask_for_sync(at);
    }

    fn sync_to(&self, at: OpTime) -> BoxFuture<Result<(), Fault>> {
        let synced = self.store.durable(at);
        Box::pin(async move { synced.await.map_err(fault) })
    }

    fn set_writable(&self, term: Option<i64>) {
        self.store.set_writable(term);
    }

    fn noop(&self, message: &RawDocument) -> Result<OpTime, Fault> {
        self.store.noop(message).map_err(fault)
    }

    fn is_brief(&self, records: &[LogRecord]) -> bool {
        self.store.is_brief(records)
    }

    fn apply(&self, records: &[LogRecord]) -> Result<OpTime, Fault> {
        let last = self.store.apply(records).map_err(fault)?;
        self.clock.observe(last.ts);
        Ok(last)
    }

    fn locate(&self, at: OpTime) -> Result<Located, Fault> {
        Ok(match self.store.locate(at).map_err(fault)? {
            storage::Located::Found => Located::Found,
            storage::Located::NotThere { last } => Located::NotThere { last },
            storage::Located::TooOld { first } => Located::TooOld { first },
        })
    }

    fn records_after(&self, after: OpTime) -> Result<Box<dyn Records>, Fault> {
        Ok(Box::new(Cursor(self.store.records_after(after).map_err(fault)?)))
    }

    fn op_times_before(&self, before: Option<OpTime>, limit: usize) -> Result<Vec<OpTime>, Fault> {
        self.store.op_times_before(before, limit).map_err(fault)
    }

    fn roll_back_to(&self, to: OpTime) -> Result<Option<(u64, Vec<PathBuf>)>, Fault> {
        match self.store.roll_back_to(to) {
            Ok(done) => Ok(Some((done.entries, done.files))),
            Err(error @ storage::Error::RollbackRefused { .. }) => {
                tracing::warn!(%error, "storage cannot roll back");
                Ok(None)
            }
            Err(error) => Err(error.fault()),
        }
    }

    fn log_bytes(&self) -> u64 {
        self.store.oplog().bytes()
    }

    fn has_unfinished(&self) -> bool {
        self.store.has_unfinished()
    }

    fn take_over(&self) -> Result<(), Fault> {
        self.store.take_over().map_err(fault)
    }

    fn fact(&self, name: &str) -> Option<RawBson> {
        self.store.control().get(name)
    }

    fn put_fact(&self, name: &str, value: RawBson) -> Result<(), Fault> {
        self.store.control().put(name, value).map_err(fault)
    }

    fn spool_path(&self) -> PathBuf {
        self.store.dir().join("initial-sync.log")
    }

    fn importing(&self) -> Option<Import> {
        let import = self.store.importing()?;
        Some(Import {
            from: import.from,
            has_catalog: import.catalog.is_some(),
            newest: import.newest,
            progress: import.progress,
        })
    }

    fn begin_import(&self, last: OpTime) -> Result<(), Fault> {
        self.store.begin_import(last).map_err(fault)
    }

    fn import_catalog(&self, at: Timestamp, catalog: &[RawDocumentBuf]) -> Result<(), Fault> {
        self.store.import_catalog(at, catalog).map_err(fault)
    }

    fn set_import_progress(&self, progress: RawDocumentBuf) -> Result<(), Fault> {
        self.store.set_import_progress(progress).map_err(fault)
    }

    fn import_records(&self, uuid: Uuid, piece: &Piece) -> Result<(), Fault> {
        self.store.import_records(uuid, piece.at, &piece.records).map_err(fault)
    }

    fn finish_import(&self, last: OpTime) -> Result<(), Fault> {
        self.store.finish_import(last).map_err(fault)?;
        self.clock.observe(last.ts);
        Ok(())
    }

    fn export(&self, parts: usize) -> Result<Export, Fault> {
        let store = &self.store;
        // The log from here on is applied over what is copied later.
        let last = store.last_op_time();
        let mut snapshot = store.snapshot();
        while snapshot.timestamp() < last.ts {
            // The entry is in the log, and about to be seen.
            std::thread::yield_now();
            snapshot = store.snapshot();
        }
        let catalog = store.export_catalog(&snapshot).map_err(fault)?;
        let (mut ranges, mut bytes) = (Vec::new(), 0);
        for collection in store.catalog().all().filter(|collection| !collection.ns.is_local()) {
            let cut = match store.export_ranges(&snapshot, collection.uuid, parts) {
                Ok(cut) => cut,
                // Dropped meanwhile, which the log tells.
                Err(storage::Error::NamespaceNotFound { .. }) => continue,
                Err(error) => return Err(error.fault()),
            };
            bytes += store.stats(collection).bytes;
            ranges.extend(cut.into_iter().map(|range| KeyRange {
                uuid: collection.uuid,
                from: range.start.into(),
                to: range.end.map(Bytes::from),
            }));
        }
        Ok(Export { last, at: snapshot.timestamp(), catalog, ranges, bytes })
    }

    fn export_range(&self, range: &KeyRange, after: Option<&Bytes>) -> Result<Box<dyn Pieces>, Fault> {
        let mut start = after.map_or_else(|| range.from.to_vec(), |after| after.to_vec());
        if after.is_some() {
            // The next possible key.
            start.push(0);
        }
        let keys = value::interval::KeyRange { start, end: range.to.as_ref().map(|to| to.to_vec()) };
        let snapshot = self.store.snapshot();
        let export = self.store.export_records(&snapshot, range.uuid, &keys, PIECE_BYTES).map_err(fault)?;
        Ok(Box::new(Batches { at: snapshot.timestamp(), export }))
    }
}
