//! The store: opens the parts in order, holds what they share, and closes them backwards.

use crate::base::{self, Cached, Engine, Guarded, Health, guard};
use crate::batch::Batch;
use crate::brake::Brake;
use crate::capped::NumberTable;
use crate::catalog::Catalog;
use crate::checkpoint::Checkpointer;
use crate::collection::{Collection, RecordOrder};
use crate::control::Control;
use crate::counts::{CollectionStats, Counts};
use crate::import::Importing;
use crate::oplog::{Log, LogStats, OplogReader};
use crate::options::Options;
use crate::pins::Registry;
use crate::room::Room;
use crate::snapshot::Snapshot;
use crate::spill::{Spill, SpillStats};
use crate::versions::Versions;
use crate::{Error, recovery};
use arc_swap::ArcSwap;
use bytes::Bytes;
use parking_lot::{Condvar, Mutex};
use std::fs::{self, File};
use std::future::Future;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use types::{OpTime, Timestamp};

const LOCK_ATTEMPTS_MAX: u32 = 30;
const LOCK_RETRY_AFTER: Duration = Duration::from_millis(10);

/// What snapshots, batches and the background threads share.
pub(crate) struct Shared {
    pub options: Options,
    pub versions: Versions,
    pub spill: Spill,
    pub base: Arc<dyn Engine>,
    pub log: Arc<Log>,
    pub pins: Arc<Registry>,
    pub counts: Counts,
    pub control: Control,
    pub catalog: ArcSwap<Catalog>,
    pub checkpointer: Checkpointer,
    pub brake: Brake,
    pub purge: crate::purge::Purge,
    /// Commits that met a newer version.
    pub conflicts: AtomicU64,
    pub room: Room,
    pub term: AtomicI64,
    /// Whether commits of this member's own are taken; changed only in the commit section.
    pub writable: AtomicBool,
    /// Records of other members are applied by one at a time.
    pub applying: Mutex<()>,
    pub builds: crate::index::Builds,
    /// What start-up has to look at, and does.
    pub lost: Mutex<Vec<recovery::Lost>>,
    pub importing: Mutex<Option<Importing>>,
    /// Whether there is one: asked with every group of records.
    pub is_importing: AtomicBool,
    pub closed: AtomicBool,
    pub numbers: NumberTable,
    /// The collection whose writers wait.
    pub held: crate::convert::Held,
    /// The commit section.
    pub commit: Mutex<()>,
    /// Changes of the catalogue, one after the other; holds the next free ident.
    pub ddl: Mutex<crate::keyspace::Ident>,
    /// Told after every change of the catalogue.
    pub catalog_changed: Condvar,
    pub catalog_changes: Mutex<u64>,
}

impl Shared {
    /// A value of the base with the time of its last change.
    pub(crate) fn base_value(&self, key: &[u8]) -> Result<Option<(Timestamp, Bytes)>, Error> {
        self.base.value(key)
    }

    pub(crate) fn check_open(&self) -> Result<(), Error> {
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::Closed);
        }
        self.log.check()
    }

    pub(crate) fn snapshot(self: &Arc<Shared>) -> Snapshot {
        Snapshot::new(self.clone(), self.pins.pin_latest())
    }
}

/// Ends the background threads when the last handle goes.
struct Handle {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    health: Arc<Health>,
    /// Held for its lock.
    _lock: File,
}

impl Handle {
    fn stop(&self) {
        self.shared.closed.store(true, Ordering::Release);
        if self.health.damage().is_some() {
            // Threads may be in the engine, and never come out of it.
            self.threads.lock().clear();
        }
        self.shared.checkpointer.stop();
        self.shared.log.stop();
        self.shared.builds.join();
        for thread in self.threads.lock().drain(..) {
            if thread.join().is_err() {
                tracing::error!("a storage thread panicked");
            }
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The store. Cheap to clone; the background threads end with the last clone.
#[derive(Clone)]
pub struct Store {
    pub(crate) shared: Arc<Shared>,
    handle: Arc<Handle>,
}

/// Figures for metrics.
#[derive(Debug, Clone, Default)]
pub struct StoreStats {
    pub versions_bytes: usize,
    pub versions_count: usize,
    pub base_bytes: u64,
    pub oplog_bytes: u64,
    pub syncs: u64,
    pub sync_nanos: u64,
    /// Waits for durability; divided by `syncs`, how many one sync served.
    pub sync_waits: u64,
    pub log_written_bytes: u64,
    pub last_op_time: OpTime,
    pub durable: Timestamp,
    pub checkpoint: Timestamp,
    pub checkpoints: u64,
    pub checkpoint_millis: u64,
    pub floor: Timestamp,
    pub pinned_snapshots: usize,
    pub oldest_pinned: Option<Timestamp>,
    /// Versions in the spill space of the base now, their bytes, and the bytes that ever went there.
    pub spilled_versions: u64,
    pub spilled_bytes: u64,
    pub spilled_total_bytes: u64,
    /// Checkpoints that were begun because memory filled.
    pub checkpoints_urgent: u64,
    /// Snapshots that were let go because memory ran out.
    pub snapshots_expired: u64,
    /// Commits that were refused because something was changed after their snapshot.
    pub write_conflicts: u64,
    /// Commits that were slowed because memory ran low.
    pub throttled: u64,
    /// How long all of them were held back.
    pub throttled_micros: u64,
}

impl Store {
    /// Opens or creates a data directory: recovers everything that was synced, and nothing that was not whole.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::Format`], [`Error::Corrupt`] with file and offset, or a failure of the disk.
    pub fn open(options: Options) -> Result<Store, Error> {
        Store::open_on(options, base::open)
    }

    /// As [`Store::open`], on a base that the caller makes.
    pub(crate) fn open_on(
        options: Options,
        base: impl FnOnce(&Options, &Path, &Arc<Health>) -> Result<Arc<dyn Engine>, Error>,
    ) -> Result<Store, Error> {
        let dir = options.dir.clone();
        fs::create_dir_all(&dir).map_err(Error::io(&dir))?;
        let lock = lock(&dir)?;
        let control = Control::open(&dir)?;
        recovery::check_engine(&control, options.engine)?;
        crate::import::wipe_at_start(&dir, &control)?;
        let health = Health::new(&dir, options.on_damage.clone())?;
        let base = guard(|| base(&options, &dir.join("base"), &health))?;
        let base: Arc<dyn Engine> = Arc::new(Cached::new(base, options.value_cache_bytes()));
        let base: Arc<dyn Engine> = Arc::new(Guarded::new(base, health.clone()));
        base.flush()?;
        let shared = recovery::recover(options, control, base)?;
        let own = shared.clone();
        // Until the indexes are whole; before there is a thread that makes checkpoints.
        let pass = own.checkpointer.pass.lock();
        let threads = start_threads(&shared).map_err(Error::io(&dir))?;
        let handle =
            Arc::new(Handle { shared: shared.clone(), threads: Mutex::new(threads), health, _lock: lock });
        let store = Store { shared, handle };
        let rebuilt = store.shared.remove_outlines().and_then(|()| store.rebuild_indexes());
        // Also where that failed: the thread may wait for it, and is waited for.
        drop(pass);
        rebuilt?;
        if store.importing().is_none() {
            store.shared.start_open_builds()?;
        }
        if store.is_writable() {
            store.drop_temporary()?;
        }
        Ok(store)
    }

    /// Syncs, checkpoints and ends the threads. Later commits fail with [`Error::Closed`].
    ///
    /// # Errors
    /// If something could not be written; everything acknowledged as durable is in the log all the same.
    pub fn close(&self) -> Result<(), Error> {
        if self.shared.closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let synced = self.shared.log.sync();
        if let Some(reason) = self.damage() {
            // Whoever is in the engine may never come out of it: nobody is waited for.
            return synced.and(Err(Error::Damaged(reason.to_owned())));
        }
        let synced = synced.and_then(|()| self.shared.checkpoint(true));
        self.handle.stop();
        synced?;
        self.shared.note_synced()
    }

    /// The catalogue as it is now.
    pub fn catalog(&self) -> Arc<Catalog> {
        self.shared.catalog.load_full()
    }

    /// A snapshot of everything committed so far.
    pub fn snapshot(&self) -> Snapshot {
        self.shared.snapshot()
    }

    /// A snapshot at a time between [`Store::oldest_readable`] and the last commit.
    ///
    /// # Errors
    /// [`Error::SnapshotUnavailable`].
    pub fn snapshot_at(&self, at: Timestamp) -> Result<Snapshot, Error> {
        let pin = self.shared.pins.pin_at(at);
        let pin = pin.map_err(|(oldest, newest)| Error::SnapshotUnavailable { at, oldest, newest })?;
        Ok(Snapshot::new(self.shared.clone(), pin))
    }

    /// The oldest time that `snapshot_at` takes now.
    pub fn oldest_readable(&self) -> Timestamp {
        self.shared.pins.floor()
    }

    /// A set of writes against a snapshot, committed together or not at all.
    pub fn batch(&self, snapshot: Snapshot) -> Batch {
        Batch::new(snapshot)
    }

    /// Writes a no-op into the log, so that time goes on without a change of data.
    ///
    /// # Errors
    /// If the log is poisoned or closed.
    pub fn noop(&self, message: &bson::RawDocument) -> Result<OpTime, Error> {
        self.shared.noop(message)
    }

    /// Where everything lies.
    pub fn dir(&self) -> &Path {
        &self.shared.options.dir
    }

    /// The time of the last commit.
    pub fn last_op_time(&self) -> OpTime {
        self.shared.log.last()
    }

    /// Up to where the log is synced.
    pub fn durable_op_time(&self) -> OpTime {
        self.shared.log.durable().borrow().at
    }

    /// Ends when everything up to `op_time` is synced. Asks for a sync at once, shared with all others that wait.
    ///
    /// # Errors
    /// [`Error::Poisoned`] when the log cannot be written any more.
    pub fn durable(&self, op_time: OpTime) -> impl Future<Output = Result<(), Error>> + Send + use<> {
        let log = self.shared.log.clone();
        let epoch = log.epoch();
        async move { log.durable_at(op_time.ts, epoch).await }
    }

    /// As [`Store::durable`], blocking: for a thread that has nothing else to do. It syncs by itself if nobody does.
    ///
    /// # Errors
    /// As [`Store::durable`].
    pub fn wait_durable(&self, op_time: OpTime) -> Result<(), Error> {
        let epoch = self.shared.log.epoch();
        self.shared.log.wait_durable(op_time.ts, epoch)
    }

    /// Syncs everything committed so far, on this thread.
    ///
    /// # Errors
    /// As [`Store::durable`].
    pub fn sync(&self) -> Result<(), Error> {
        self.shared.log.sync()
    }

    /// The first damage of the base that was met. Nothing is read from it since, and the store does not open again as it is.
    pub fn damage(&self) -> Option<&str> {
        self.handle.health.damage()
    }

    /// Ends when the log is poisoned or the base damaged, with the reason: the process should end then.
    pub fn failed(&self) -> impl Future<Output = String> + Send + use<> {
        let (poisoned, damaged) = (self.poisoned(), self.handle.health.damaged());
        async move {
            tokio::select! {
                reason = poisoned => reason,
                reason = damaged => reason,
            }
        }
    }

    fn poisoned(&self) -> impl Future<Output = String> + Send + use<> {
        let mut durable = self.shared.log.durable();
        async move {
            let failed = durable.wait_for(|durable| durable.failed.is_some()).await;
            let reason = failed.ok().map(|durable| {
                durable.failed.as_ref().map(|failure| failure.reason.clone()).unwrap_or_default()
            });
            match reason {
                Some(reason) => reason,
                // The log is gone with the store: nothing will fail any more.
                None => std::future::pending().await,
            }
        }
    }

    /// The entries of the log, as `local.oplog.rs` shows them.
    pub fn oplog(&self) -> OplogReader {
        OplogReader::new(self.shared.log.clone())
    }

    /// Named facts that are on disk when set: term, vote and the like.
    pub fn control(&self) -> &Control {
        &self.shared.control
    }

    /// The term that new entries carry.
    pub fn set_term(&self, term: i64) {
        self.shared.term.store(term, Ordering::Release);
    }

    /// Exact sizes, without a scan; those of the log after it was read once.
    pub fn stats(&self, collection: &Collection) -> CollectionStats {
        if collection.order == RecordOrder::Log {
            // A log that cannot be read is told by whoever reads it.
            let records = self.shared.log.entries().unwrap_or(0);
            return CollectionStats { records, bytes: self.shared.log.bytes(), indexes: Vec::new() };
        }
        let positive = |number: i64| u64::try_from(number).unwrap_or(0);
        let own = self.shared.counts.get(collection.id.0);
        let indexes = collection.indexes.iter().map(|index| {
            let count = self.shared.counts.get(index.id.0);
            (index.name.clone(), positive(count.records), positive(count.bytes))
        });
        CollectionStats {
            records: positive(own.records),
            bytes: positive(own.bytes),
            indexes: indexes.collect(),
        }
    }

    /// Moves everything that may be moved to the base, now.
    ///
    /// # Errors
    /// If base or log fail.
    pub fn force_checkpoint(&self) -> Result<(), Error> {
        self.shared.log.sync()?;
        self.shared.checkpoint(true)
    }

    /// Figures for metrics.
    pub fn metrics(&self) -> StoreStats {
        let shared = &self.shared;
        let LogStats { syncs, sync_nanos, written_bytes, waits } = shared.log.stats();
        let checkpoint = shared.checkpointer.stats();
        let (throttled, throttled_micros) = shared.brake.stats();
        let SpillStats { keys, bytes, total_bytes } = shared.spill.stats();
        let (pinned_snapshots, oldest_pinned) = shared.pins.oldest();
        StoreStats {
            versions_bytes: shared.versions.bytes(),
            versions_count: shared.versions.len(),
            base_bytes: shared.base.size(),
            oplog_bytes: shared.log.bytes(),
            syncs,
            sync_nanos,
            sync_waits: waits,
            log_written_bytes: written_bytes,
            last_op_time: shared.log.last(),
            durable: shared.log.durable_ts(),
            checkpoint: checkpoint.at,
            checkpoints: checkpoint.count,
            checkpoint_millis: checkpoint.millis,
            floor: shared.pins.floor(),
            pinned_snapshots,
            oldest_pinned,
            spilled_versions: keys,
            spilled_bytes: bytes,
            spilled_total_bytes: total_bytes,
            checkpoints_urgent: checkpoint.urgent,
            snapshots_expired: checkpoint.expired,
            write_conflicts: shared.conflicts.load(Ordering::Relaxed),
            throttled,
            throttled_micros,
        }
    }
}

fn lock(dir: &Path) -> Result<File, Error> {
    let path = dir.join("shoal.lock");
    let open = File::options().create(true).truncate(false).read(true).write(true).open(&path);
    let mut file = open.map_err(Error::io(&path))?;
    let mut attempts = 0;
    loop {
        match file.try_lock() {
            Ok(()) => break,
            // A process that is just ending, or one that forked and has not started its program yet.
            Err(fs::TryLockError::WouldBlock) if attempts < LOCK_ATTEMPTS_MAX => {
                attempts += 1;
                std::thread::park_timeout(LOCK_RETRY_AFTER);
            }
            Err(fs::TryLockError::WouldBlock) => return Err(Error::Locked { dir: dir.to_owned() }),
            Err(fs::TryLockError::Error(source)) => return Err(Error::Io { path, source }),
        }
    }
    // For whoever wonders which process has it; the lock itself is what counts.
    file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(Error::io(&path))?;
    Ok(file)
}

fn start_threads(shared: &Arc<Shared>) -> std::io::Result<Vec<JoinHandle<()>>> {
    let syncer = {
        let shared = shared.clone();
        std::thread::Builder::new().name("oplog-sync".to_owned()).spawn(move || {
            let interval = shared.options.sync_interval;
            let after = || {
                shared.look_for_room();
                shared.after_sync();
            };
            // The log is poisoned by then and says so to everybody who asks.
            shared.log.run_syncer(interval, &after).ok();
        })?
    };
    let checkpointer = {
        let shared = shared.clone();
        std::thread::Builder::new().name("checkpoint".to_owned()).spawn(move || shared.run_checkpointer())?
    };
    Ok(vec![checkpointer, syncer])
}
