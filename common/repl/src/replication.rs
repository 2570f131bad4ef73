//! Replication as the rest of the process sees it: what this member is, whether it takes writes and reads, and waits for concerns.
//! Everything here is cheap; what decides is the driver's core, of which this is the published side.

use crate::applied::{Applied, AppliedOps};
use crate::board::Board;
use crate::changes;
use crate::core::config::MemberConfig;
use crate::core::timer::{SECOND, Time};
use crate::core::{Command, Member};
use crate::data::Data;
use crate::driver::{Driver, FEED_COUNT_MAX, Feed, remove_spool, restore};
use crate::identity::Identity;
use crate::shared::{Admission, MajorityPoint, Peers, Shared};
use crate::status::{self, Inspection};
use crate::store_data::StoreData;
use crate::view::{MemberPosition, ReadAt, View};
use crate::{service, wait};
use arc_swap::ArcSwap;
use bson::Document;
use command::WriteConcernError;
use runtime::clock::HybridClock;
use runtime::{OnError, Tasks};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use storage::Store;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use types::{Code, Fault, OpTime, ReadConcern, WriteConcern};

/// How long a primary that stops waits for somebody to have everything.
const RETIRE_CATCH_UP: Time = 2 * SECOND;
/// And then for somebody to be elected.
const RETIRE_WAIT: Duration = Duration::from_secs(1);
/// It stands for no election any more.
const RETIRE_PERIOD: Time = 60 * SECOND;

/// A server that is a member of a replica set.
pub trait HasReplication: Send + Sync + 'static {
    fn replication(&self) -> &Arc<Replication>;

    /// Called once a configuration took effect and this member takes writes: what else has to be there from the first moment on.
    ///
    /// # Errors
    /// What could not be made; the initiation is then reported as failed.
    fn initiated(&self) -> Result<(), Fault> {
        Ok(())
    }
}

/// Replication of one process.
pub struct Replication {
    pub(crate) shared: Arc<Shared>,
}

/// As long as it lives, nothing of other members' logs is applied.
#[derive(Debug)]
pub struct ApplyHold {
    _turn: OwnedSemaphorePermit,
}

/// What a process takes from outside beside its data and its time.
pub(crate) struct Surroundings {
    pub(crate) identity: Identity,
    pub(crate) network: Arc<dyn rpc::Network>,
    /// Two numbers that no other process has.
    pub(crate) chance: (u64, u64),
    /// A seeded fault.
    #[cfg(feature = "bugs")]
    pub(crate) bug: Option<crate::core::bug::Bug>,
}

impl Surroundings {
    /// The system's own.
    pub(crate) fn of_the_process(identity: Identity) -> Surroundings {
        Surroundings {
            identity,
            network: Arc::new(rpc::Tcp),
            chance: rand::random(),
            #[cfg(feature = "bugs")]
            bug: None,
        }
    }
}

/// Writers that came in before a step-down was asked for have ended after this time. An entry of theirs that came later would be missing
/// on the heir, and nobody would vote for it.
const WRITERS_WAIT: Duration = Duration::from_millis(15);

/// Writes are held back for a step-down that the core does not know of yet. Dropped before it does, they are let in again.
struct Held<'a>(Option<&'a Shared>);

impl Held<'_> {
    fn begin(shared: &Shared) -> Option<Held<'_>> {
        let is_held = shared.admission.change(|admission| {
            let is_open = *admission == Admission::Open;
            if is_open {
                *admission = Admission::Paused;
            }
            is_open
        });
        is_held.then_some(Held(Some(shared)))
    }

    fn leave(mut self) {
        self.0 = None;
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let Some(shared) = self.0 else { return };
        shared.admission.change(|admission| {
            let is_held = *admission == Admission::Paused;
            if is_held {
                *admission = Admission::Open;
            }
            is_held
        });
    }
}

impl Replication {
    /// Reads what is on disk and takes part in the set. A set of one has its primary when this returns.
    ///
    /// # Errors
    /// If storage fails, or the configuration on disk is of another set.
    pub fn start(
        store: Store,
        clock: Arc<HybridClock>,
        identity: Identity,
        majority_point: MajorityPoint,
        tasks: &Tasks,
    ) -> Result<Arc<Replication>, Fault> {
        let data = Arc::new(StoreData::new(store, clock));
        Replication::start_on(data, Surroundings::of_the_process(identity), majority_point, tasks)
    }

    /// As [`Replication::start`], on whatever holds the data, and over whatever network.
    pub(crate) fn start_on(
        data: Arc<dyn Data>,
        surroundings: Surroundings,
        majority_point: MajorityPoint,
        tasks: &Tasks,
    ) -> Result<Arc<Replication>, Fault> {
        let Surroundings { identity, network, chance, .. } = surroundings;
        let restored = restore(&*data)?;
        if data.importing().is_none() {
            remove_spool(&data.spool_path());
        }
        if let Some(config) = &restored.config
            && config.name != identity.set_name
        {
            return Err(Fault::new(
                Code::InvalidReplicaSetConfig,
                format!(
                    "this directory belongs to replica set {}, but --replSet says {}",
                    config.name, identity.set_name
                ),
            ));
        }
        let own_name = restored.config.as_ref().and_then(|config| identity.name_in(config, None));
        let own_name = own_name.unwrap_or_else(|| identity.host.clone());
        let (feed, inbox) = mpsc::channel(FEED_COUNT_MAX);
        let shared = Arc::new(Shared {
            identity,
            data,
            tasks: tasks.clone(),
            feed,
            board: Board::default(),
            view: ArcSwap::from_pointee(View::uninitiated()),
            topology: watch::channel(0).0,
            commit: changes::Sender::new(OpTime::default()),
            admission: changes::Sender::new(Admission::Closed),
            streams: changes::Sender::new(0),
            reports: Default::default(),
            majority_point,
            peers: Peers::new(network, tasks),
            started: runtime::clock::now(),
            counters: Default::default(),
            applied: Applied::default(),
            applying: Arc::new(Semaphore::new(1)),
            copy: Default::default(),
            instance: chance.1,
        });
        shared.data.set_writable(None);
        let member = Member::new(&own_name, restored, chance.0 | 1);
        #[cfg(feature = "bugs")]
        let member = match surroundings.bug {
            Some(bug) => member.with_bug(bug),
            None => member,
        };
        let mut driver = Driver::new(shared.clone(), member, inbox, own_name);
        driver.begin()?;
        tasks.spawn_fallible("replication", OnError::StopProcess, driver.run());
        Ok(Arc::new(Replication { shared }))
    }

    /// Adds the service that other members call to a server's routes.
    pub fn add_service(&self, routes: rpc::Routes) -> rpc::Routes {
        service::routes(self.shared.clone(), routes)
    }

    /// What this process was started as.
    pub fn identity(&self) -> &Identity {
        &self.shared.identity
    }

    /// This member's part in the set.
    pub fn view(&self) -> Arc<View> {
        self.shared.view.load_full()
    }

    /// Rises with every change of this member's part.
    pub fn topology(&self) -> watch::Receiver<u64> {
        self.shared.topology.subscribe()
    }

    /// Up to where a majority has everything, as far as this member knows.
    pub fn commit_point(&self) -> OpTime {
        if self.shared.view.load().is_alone {
            return self.shared.data.durable();
        }
        self.shared.commit.get()
    }

    /// How far everybody with data is, as this member knows.
    pub fn positions(&self) -> Vec<MemberPosition> {
        self.shared.board.read(|progress| {
            let each = progress.positions.iter().map(|(member, position)| MemberPosition {
                member: *member,
                applied: position.applied,
                durable: position.durable,
            });
            each.collect()
        })
    }

    /// Whether this member takes writes now; a pause does not count.
    ///
    /// # Errors
    /// `NotWritablePrimary` (10107).
    pub fn check_writable(&self) -> Result<(), Fault> {
        wait::check_writable(&self.shared)
    }

    /// Whether a write may begin now without [`Replication::admit_write`].
    pub fn admits_writes(&self) -> bool {
        self.shared.admission.get() == Admission::Open
    }

    /// Waits while a step-down holds writes back.
    ///
    /// # Errors
    /// `NotWritablePrimary` (10107), `MaxTimeMSExpired` (50).
    pub async fn admit_write(&self, deadline: Option<Instant>) -> Result<(), Fault> {
        wait::admit_write(&self.shared, deadline).await
    }

    /// Whether reads are answered here; `secondary_ok` is what the read preference says.
    ///
    /// # Errors
    /// `NotPrimaryNoSecondaryOk` (13435), `NotPrimaryOrSecondary` (13436).
    pub fn check_readable(&self, secondary_ok: bool) -> Result<(), Fault> {
        use crate::core::message::State;
        match self.shared.view.load().state {
            State::Primary => Ok(()),
            State::Secondary if secondary_ok => Ok(()),
            State::Secondary => {
                Err(Fault::new(Code::NotPrimaryNoSecondaryOk, "not primary and secondaryOk=false"))
            }
            _ => Err(Fault::new(
                Code::NotPrimaryOrSecondary,
                "node is not in primary or recovering state; it cannot be read from now",
            )),
        }
    }

    /// Waits until an entry has reached what the concern asks for. What time runs out for, or an office that ends, is an error of the
    /// concern and not of the write, which stays.
    ///
    /// # Errors
    /// If storage fails.
    pub async fn await_write_concern(
        &self,
        at: OpTime,
        concern: &WriteConcern,
        deadline: Option<Instant>,
    ) -> Result<Option<WriteConcernError>, Fault> {
        wait::write_concern(&self.shared, at, concern, deadline).await
    }

    /// Waits until this member can answer a read of that concern, and says at which time to read.
    ///
    /// # Errors
    /// `MaxTimeMSExpired` (50), `NotWritablePrimary` (10107) for linearizable reads elsewhere.
    pub async fn await_read(
        &self,
        concern: &ReadConcern,
        deadline: Option<Instant>,
    ) -> Result<ReadAt, Fault> {
        wait::read_concern(&self.shared, concern, deadline).await
    }

    /// Has the core do something. Ends when that is done or refused.
    ///
    /// # Errors
    /// What speaks against it.
    pub async fn command(&self, command: Command) -> Result<(), Fault> {
        self.command_as(command, None).await
    }

    /// The same, where the command's configuration calls this process by another name.
    pub(crate) async fn command_as(&self, command: Command, own_name: Option<String>) -> Result<(), Fault> {
        let held = match command {
            Command::StepDown { .. } => Held::begin(&self.shared),
            _ => None,
        };
        if held.is_some() {
            tokio::time::sleep(WRITERS_WAIT).await;
        }
        let (reply, answer) = oneshot::channel();
        self.shared.feed(Feed::Command { command, own_name, reply }).await;
        // From here on it is the core that holds writes back and lets them in again.
        held.into_iter().for_each(Held::leave);
        match answer.await {
            Ok(result) => result,
            Err(_) => Err(Fault::new(Code::InterruptedAtShutdown, "interrupted at shutdown")),
        }
    }

    /// Before the process stops: a primary hands over to somebody who is there and can take over, if there is anybody.
    pub async fn retire(&self) {
        let Ok(seen) = self.inspect().await else { return };
        let view = self.view();
        let Some(config) = view.config.as_ref().filter(|_| view.accepts_writes) else { return };
        let is_heir = |peer: &crate::core::PeerView| {
            peer.is_connected && config.member(peer.id).is_some_and(MemberConfig::is_electable)
        };
        if !seen.peers.iter().any(is_heir) {
            return;
        }
        let command = Command::StepDown { period: RETIRE_PERIOD, catch_up: RETIRE_CATCH_UP, force: true };
        match self.command(command).await {
            Ok(()) => {
                // The heir has to hear of it, and is better known before connections end.
                let mut topology = self.topology();
                let known =
                    async { while self.view().primary.is_none() && topology.changed().await.is_ok() {} };
                let is_known = tokio::time::timeout(RETIRE_WAIT, known).await.is_ok();
                tracing::info!(is_known, "handed over before the stop");
            }
            Err(fault) => tracing::info!(%fault, "not handed over before the stop"),
        }
    }

    pub(crate) async fn inspect(&self) -> Result<Inspection, Fault> {
        let (reply, answer) = oneshot::channel();
        self.shared.feed(Feed::Inspect(reply)).await;
        answer.await.map_err(|_| Fault::new(Code::InterruptedAtShutdown, "interrupted at shutdown"))
    }

    /// `replSetGetStatus`.
    ///
    /// # Errors
    /// `NotYetInitialized` (94).
    pub async fn status(&self) -> Result<Document, Fault> {
        let seen = self.inspect().await?;
        let view = self.view();
        self.check_initiated(&view)?;
        Ok(status::status(&self.shared, &view, &seen))
    }

    /// The configuration in force.
    ///
    /// # Errors
    /// `NotYetInitialized` (94).
    pub fn config(&self) -> Result<Document, Fault> {
        let view = self.view();
        self.check_initiated(&view)?;
        Ok(view.config.as_ref().map(|config| config.to_document()).unwrap_or_default())
    }

    fn check_initiated(&self, view: &View) -> Result<(), Fault> {
        match view.config {
            Some(_) => Ok(()),
            None => Err(Fault::new(Code::NotYetInitialized, "no replset config has been received")),
        }
    }

    /// Keeps records of other members from being written here until what is returned is dropped; those that are being written are waited
    /// for. Reads, votes and positions go on.
    ///
    /// # Errors
    /// `LockTimeout` (24) if they take longer than `bound`.
    pub async fn hold_applying(&self, bound: Duration) -> Result<ApplyHold, Fault> {
        let turn = tokio::time::timeout(bound, self.shared.applying.clone().acquire_owned()).await;
        match turn {
            Ok(Ok(turn)) => Ok(ApplyHold { _turn: turn }),
            // Nobody closes it.
            Ok(Err(_)) => Err(Fault::internal("nothing is applied any more")),
            Err(_) => Err(Fault::new(
                Code::LockTimeout,
                format!("what is being applied did not end within {} ms", bound.as_millis()),
            )),
        }
    }

    /// What was applied of other members' logs since the process started.
    pub fn applied_ops(&self) -> AppliedOps {
        self.shared.applied.get()
    }

    /// Figures since the process started, with what they say.
    pub fn counters(&self) -> [(&'static str, &'static str, u64); 10] {
        let counters = &self.shared.counters;
        let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        [
            ("elections_won", "Elections that this member won", count(&counters.elections_won)),
            ("rollbacks", "Rollbacks", count(&counters.rollbacks)),
            ("rolled_back_entries", "Entries that rollbacks undid", count(&counters.entries_rolled_back)),
            ("initial_syncs", "Copies of all data", count(&counters.copies)),
            ("messages_dropped", "Messages that did not fit", count(&counters.messages_dropped)),
            ("applied_batches", "Groups of entries applied", count(&counters.batches_applied)),
            ("applied_entries", "Entries applied", count(&counters.records_applied)),
            ("applied_bytes", "Bytes of entries applied", count(&counters.bytes_applied)),
            ("sent_batches", "Messages with entries or a commit point", count(&counters.batches_sent)),
            ("sent_reports", "Messages that say how far members are", count(&counters.reports_sent)),
        ]
    }

    /// The same for `serverStatus`.
    pub fn metrics(&self) -> Document {
        let each = self.counters().into_iter();
        each.map(|(name, _, count)| {
            (name.to_owned(), bson::Bson::Int64(i64::try_from(count).unwrap_or(i64::MAX)))
        })
        .collect()
    }
}
