//! The parts of a member, built bottom-up and stopped top-down.

use crate::Waits;
use crate::config::MemberConfig;
use crate::metrics;
use bson::{Bson, RawBsonRef};
use engine::Engine;
use frontend::parameters::Parameter;
use frontend::{Front, FrontOptions};
use repl::{Replication, StoreClock};
use rpc::Pool;
use runtime::clock::HybridClock;
use runtime::metrics::Metrics;
use runtime::telemetry::Recent;
use runtime::{OnError, Tasks};
use session::Sessions;
use session::reaper::Reaper;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use storage::Store;
use tokio_util::sync::CancellationToken;
use types::{Fault, SessionId};

const MIB: usize = 1024 * 1024;
/// How often the statements of silent sessions are looked for.
const STATEMENT_EXPIRY_INTERVAL: Duration = Duration::from_secs(300);
/// How long tasks may take to end.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// A process whose store is damaged has ended by then.
const DAMAGE_TIMEOUT: Duration = Duration::from_secs(15);

/// Why a member does not start or stop.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{dir}: {source}")]
    Storage { dir: String, source: storage::Error },
    #[error("replica set: {0}")]
    Replication(Fault),
    #[error(transparent)]
    Listen(#[from] frontend::listener::Error),
    #[error("metrics endpoint: {0}")]
    Metrics(std::io::Error),
    #[error("table of commands: {0}")]
    Commands(#[from] frontend::DuplicateName),
    #[error("{0}")]
    Start(Fault),
}

/// A member of a replica set: storage, engine, replication, and what the front end needs.
pub struct Member {
    pub store: Store,
    pub engine: Arc<Engine>,
    pub replication: Arc<Replication>,
    pub sessions: Arc<Sessions>,
    pub front: Arc<Front>,
    pub pool: Pool,
    pub clock: Arc<HybridClock>,
    pub metrics: Metrics,
    pub tasks: Tasks,
    /// Whoever locked this member against writes by `fsync` holds back what others wrote, too.
    pub(crate) apply_hold: tokio::sync::Mutex<Option<repl::ApplyHold>>,
    /// The data directory.
    pub dir: PathBuf,
}

impl Member {
    /// Opens the store and takes part in the set as far as the disk knows of one. Nobody is served yet.
    ///
    /// # Errors
    /// A directory that cannot be used, or that belongs to another set.
    pub fn open(
        config: &MemberConfig,
        port: u16,
        process: &'static str,
        role: &str,
        recent: Recent,
    ) -> Result<Member, Error> {
        let tasks = Tasks::new();
        let clock = Arc::new(HybridClock::default());
        let mut options = storage::Options::new(&config.dbpath, Arc::new(StoreClock(clock.clone())));
        options.cache_bytes = config.cache_size_mb * MIB;
        options.versions_bytes_max = config.versions_mb * MIB;
        options.engine = config.engine();
        options.oplog_bytes_max = config.oplog_size_mb().saturating_mul(MIB as u64);
        options.oplog_min_retention = config.oplog_min_retention();
        options.predicates = Some(Arc::new(engine::PartialFilters));
        let majority_point = repl::MajorityPoint::default();
        options.majority_point = Some(majority_point.hook());
        // Replication opens it when this member is primary.
        options.writable = false;
        let storage_error = |source| Error::Storage { dir: config.dbpath.display().to_string(), source };
        let is_open = Arc::new(AtomicBool::new(false));
        let armed = is_open.clone();
        // What is met while opening is dealt with here.
        options.on_damage = Some(Arc::new(move |_| {
            if armed.load(Ordering::Acquire) {
                end_in_time();
            }
        }));
        // The base's engine may not only refuse what is damaged, but panic over it, also on threads of its own.
        let opened = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| Store::open(options.clone())));
        let opened =
            opened.unwrap_or_else(|_| Err(storage::Error::Damaged("opening it panicked".to_owned())));
        let opened = opened.and_then(|store| match store.damage() {
            Some(reason) => Err(storage::Error::Damaged(reason.to_owned())),
            None => Ok(store),
        });
        let store = match opened {
            // Others have the data.
            Err(error) if repl::make_room(&config.dbpath, &error).map_err(storage_error)? => {
                Store::open(options)
            }
            opened => opened,
        };
        let store = store.map_err(storage_error)?;
        is_open.store(true, Ordering::Release);
        clock.observe(store.last_op_time().ts);
        let host = config.host(port);
        let identity = repl::Identity {
            set_name: config.repl_set.clone(),
            host: host.clone(),
            configsvr: role == "configsvr",
        };
        let replication = Replication::start(store.clone(), clock.clone(), identity, majority_point, &tasks)
            .map_err(Error::Replication)?;
        let engine = Engine::new(store.clone(), clock.clone());
        let sessions = Arc::new(Sessions::default());
        let front = Front::new(FrontOptions {
            process,
            host,
            argv: std::env::args().collect(),
            parsed: config.parsed(port, role),
            recent,
            startup_warnings: config.common.startup_warnings(),
        });
        register_ttl(&front, &engine);
        let metrics = Metrics::default();
        front.register_metrics(&metrics);
        metrics::register(&store, &replication, &metrics);
        let reaper = Reaper::new(sessions.clone(), engine.cursors().clone());
        tasks.spawn("reaper", reaper.run(tasks.token(), drop));
        tasks.spawn(
            "statement-expiry",
            forget_old_statements(engine.clone(), replication.clone(), front.clone(), tasks.token()),
        );
        let failed = store.failed();
        let stop = tasks.token();
        // A store that could not sync has lost the right to acknowledge anything: what is on disk is what counts, after a restart.
        tasks.spawn_fallible("storage-failure", OnError::StopProcess, async move {
            tokio::select! {
                reason = failed => Err(reason),
                () = stop.cancelled() => Ok(()),
            }
        });
        Ok(Member {
            store,
            engine,
            replication,
            sessions,
            front,
            pool: Pool::new(&tasks),
            clock,
            metrics,
            tasks,
            apply_hold: tokio::sync::Mutex::default(),
            dir: config.dbpath.clone(),
        })
    }

    /// The waits for the other members, for futures that outlive a borrow.
    pub fn waits(&self) -> Waits {
        Waits {
            replication: self.replication.clone(),
            store: self.store.clone(),
            clock: self.clock.clone(),
            pool: self.pool.clone(),
        }
    }

    /// Ends sessions: their cursors close.
    pub fn end_sessions(&self, sessions: &[SessionId]) {
        self.sessions.end(sessions);
        drop(self.engine.cursors().kill_sessions(sessions));
    }

    /// Stops the tasks, then closes the store: what is in memory is on disk when this returns.
    ///
    /// # Errors
    /// If the store cannot be closed; its log has everything that was acknowledged all the same.
    pub async fn stop(&self) -> Result<(), storage::Error> {
        if tokio::time::timeout(STOP_TIMEOUT, self.replication.retire()).await.is_err() {
            tracing::warn!("not handed over before the stop: it took too long");
        }
        if !self.tasks.stop(STOP_TIMEOUT).await {
            tracing::warn!(seconds = STOP_TIMEOUT.as_secs(), "some tasks did not end in time");
        }
        let store = self.store.clone();
        let closed = tokio::task::block_in_place(move || store.close());
        if let Some(reason) = self.store.damage() {
            tracing::error!(reason, "stopped over a damaged store");
            // Not by the usual way out: the engine's threads, and whoever is in it, may never end.
            std::process::exit(1);
        }
        closed
    }
}

/// Ends the process, whatever its threads are held by: an engine that found damage may keep those who are in it for ever.
fn end_in_time() {
    let wait = || {
        let end = Instant::now() + DAMAGE_TIMEOUT;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            std::thread::park_timeout(left);
        }
        tracing::error!("the process did not end by itself after its store was found damaged");
        std::process::exit(1);
    };
    if let Err(error) = std::thread::Builder::new().name("damage".to_owned()).spawn(wait) {
        tracing::error!(%error, "no thread to end the process by");
        std::process::exit(1);
    }
}

/// Forgets the statements of sessions that are long silent, as long as this member takes writes.
async fn forget_old_statements(
    engine: Arc<Engine>,
    replication: Arc<Replication>,
    front: Arc<Front>,
    stop: CancellationToken,
) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(STATEMENT_EXPIRY_INTERVAL) => {}
            () = stop.cancelled() => return,
        }
        if replication.check_writable().is_err() || front.write_lock.is_locked() {
            continue;
        }
        let now = runtime::clock::now_millis();
        match tokio::task::block_in_place(|| engine::forget_old_statements(&engine, now)) {
            Ok(0) => {}
            Ok(removed) => tracing::debug!(removed, "statements of silent sessions forgotten"),
            Err(fault) => tracing::warn!(%fault, "statements of silent sessions could not be forgotten"),
        }
    }
}

/// `ttlMonitorSleepSecs` and `ttlMonitorEnabled`.
fn register_ttl(front: &Front, engine: &Arc<Engine>) {
    let wrong = |name: &str| Fault::bad_value(format!("Invalid value for parameter {name}"));
    let (reader, writer) = (engine.clone(), engine.clone());
    front.parameters.register(Parameter {
        name: "ttlMonitorSleepSecs",
        get: Arc::new(move || Bson::Int64(i64::try_from(reader.ttl().sleep_secs()).unwrap_or(i64::MAX))),
        set: Some(Arc::new(move |value| {
            let seconds = match value {
                RawBsonRef::Int32(seconds) => u64::try_from(seconds).ok(),
                RawBsonRef::Int64(seconds) => u64::try_from(seconds).ok(),
                RawBsonRef::Double(seconds) if seconds.fract() == 0.0 && seconds >= 0.0 => {
                    Some(seconds as u64)
                }
                _ => None,
            };
            let seconds =
                seconds.filter(|seconds| *seconds > 0).ok_or_else(|| wrong("ttlMonitorSleepSecs"))?;
            writer.ttl().set_sleep_secs(seconds);
            Ok(())
        })),
    });
    let (reader, writer) = (engine.clone(), engine.clone());
    front.parameters.register(Parameter {
        name: "ttlMonitorEnabled",
        get: Arc::new(move || Bson::Boolean(reader.ttl().is_enabled())),
        set: Some(Arc::new(move |value| {
            let enabled = value.as_bool().ok_or_else(|| wrong("ttlMonitorEnabled"))?;
            writer.ttl().set_enabled(enabled);
            Ok(())
        })),
    });
}
