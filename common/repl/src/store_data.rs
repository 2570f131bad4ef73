//! Storage, as replication sees it.

use crate::data::{Data, Export, Import, KeyRange, Located, Piece, Pieces, Records};
use bson::{RawBson, RawDocument, RawDocumentBuf};
use bytes::Bytes;
use command::BoxFuture;
use runtime::clock::HybridClock;
use std::path::PathBuf;
use std::sync::Arc;
use storage::{LogRecord, RecordCursor, Store};
use tokio::sync::watch;
use types::{Fault, OpTime, Timestamp, Uuid};

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

    fn visible(&self) -> watch::Receiver<Timestamp> {
        self.store.oplog().watch()
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
        let catalog = self.store.catalog();
        catalog.all().any(|collection| collection.indexes.iter().any(|index| index.ready.is_none()))
    }

    fn take_over(&self) -> Result<(), Fault> {
        self.store.resume_builds().map_err(fault)
    }

    fn fact(&self, name: &str) -> Option<RawBson> {
        self.store.control().get(name)
    }

    fn put_fact(&self, name: &str, value: RawBson) -> Result<(), Fault> {
        self.store.control().put(name, value).map_err(fault)
    }

    fn importing(&self) -> Option<Import> {
        None
    }

    fn begin_import(&self, _last: OpTime) -> Result<(), Fault> {
        Err(Fault::not_implemented("a copy of the data"))
    }

    fn import_catalog(&self, _at: Timestamp, _catalog: &[RawDocumentBuf]) -> Result<(), Fault> {
        Err(Fault::not_implemented("a copy of the data"))
    }

    fn set_import_progress(&self, _progress: RawDocumentBuf) -> Result<(), Fault> {
        Err(Fault::not_implemented("a copy of the data"))
    }

    fn import_records(&self, _uuid: Uuid, _piece: &Piece) -> Result<(), Fault> {
        Err(Fault::not_implemented("a copy of the data"))
    }

    fn finish_import(&self, _last: OpTime) -> Result<(), Fault> {
        Err(Fault::not_implemented("a copy of the data"))
    }

    fn export(&self, _parts: usize) -> Result<Export, Fault> {
        Err(Fault::not_implemented("a copy of the data"))
    }

    fn export_range(&self, _range: &KeyRange, _after: Option<&Bytes>) -> Result<Box<dyn Pieces>, Fault> {
        Err(Fault::not_implemented("a copy of the data"))
    }
}
