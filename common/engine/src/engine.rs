//! The state that commands share: the store, the open cursors, and the bound on long work.

use crate::cursor::OpenCursor;
use crate::defaults::Defaults;
use crate::exec::Scan;
use crate::index_uses::IndexUses;
use crate::plan::Access;
use crate::ttl::TtlMonitor;
use session::cursor_registry::Cursors;
use std::sync::Arc;
use storage::Store;
use tokio::sync::Semaphore;
use types::{Fault, Timestamp};

/// Long operations that run at the same time; further ones wait for their turn.
const LONG_WORK_COUNT_MAX: usize = 32;

/// Executes commands against one store.
pub struct Engine {
    store: Store,
    cursors: Arc<Cursors<OpenCursor>>,
    clock: Arc<runtime::clock::HybridClock>,
    long_work: Semaphore,
    index_uses: IndexUses,
    ttl: TtlMonitor,
    defaults: Defaults,
}

impl Engine {
    /// An engine over an open store; `clock` gives the times that are written into documents.
    pub fn new(store: Store, clock: Arc<runtime::clock::HybridClock>) -> Arc<Engine> {
        Arc::new(Engine {
            store,
            cursors: Arc::new(Cursors::default()),
            clock,
            long_work: Semaphore::new(LONG_WORK_COUNT_MAX),
            index_uses: IndexUses::new(runtime::clock::now_millis()),
            ttl: TtlMonitor::default(),
            defaults: Defaults::default(),
        })
    }

    /// The storage beneath.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The open cursors, for the reaper and for currentOp.
    pub fn cursors(&self) -> &Arc<Cursors<OpenCursor>> {
        &self.cursors
    }

    /// How often queries went by each index.
    pub fn index_uses(&self) -> &IndexUses {
        &self.index_uses
    }

    /// The removal of what has expired.
    pub fn ttl(&self) -> &TtlMonitor {
        &self.ttl
    }

    /// The concerns of clients that name none.
    pub fn defaults(&self) -> &Defaults {
        &self.defaults
    }

    /// Counts the index that a scan goes by, once per scan.
    pub(crate) fn note_use(&self, scan: &Scan) {
        if scan.keys_examined == 0
            && let Access::Index(access) = &scan.plan().access
        {
            self.index_uses.add(access.index.id);
        }
    }

    /// Moves the clock to a time that somebody else has seen.
    pub(crate) fn observe(&self, seen: Timestamp) {
        self.clock.observe(seen);
    }

    pub(crate) fn tick(&self) -> Timestamp {
        self.clock.tick()
    }

    /// Runs work that may take long or block, without holding up the tasks beside it.
    ///
    /// # Errors
    /// Those of the work.
    pub(crate) async fn long_work<T, E: From<Fault>>(
        &self,
        work: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        let _permit = self.long_work.acquire().await.map_err(|_| Fault::internal("engine is closing"))?;
        match tokio::runtime::Handle::current().runtime_flavor() {
            tokio::runtime::RuntimeFlavor::CurrentThread => work(),
            _ => tokio::task::block_in_place(work),
        }
    }
}
