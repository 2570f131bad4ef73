//! What the driver, its helpers, the gRPC service and everybody who asks have in common.

use crate::applied::Applied;
use crate::board::Board;
use crate::changes;
use crate::convert::Sender;
use crate::core::timer::{SECOND, Time};
use crate::data::Data;
use crate::driver::Feed;
use crate::identity::Identity;
use crate::service::Reports;
use crate::status::CopyStatus;
use crate::view::View;
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use runtime::{Tasks, clock};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use tokio::sync::{Semaphore, mpsc, watch};
use types::{Fault, OpTime, Timestamp};

/// The newest time that a majority is known to have: what bounds what storage may move to its base. Made before the store is opened.
#[derive(Debug, Clone, Default)]
pub struct MajorityPoint(Arc<AtomicU64>);

impl MajorityPoint {
    /// For [`storage::Options::majority_point`].
    pub fn hook(&self) -> Arc<dyn Fn() -> Timestamp + Send + Sync> {
        let point = self.0.clone();
        Arc::new(move || Timestamp(point.load(Ordering::Acquire)))
    }

    pub(crate) fn set(&self, to: Timestamp) {
        self.0.store(to.0, Ordering::Release);
    }
}

/// Whether writes come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    Open,
    /// A step-down is under way: they wait.
    Paused,
    Closed,
}

/// What happened since the process started, for metrics and `serverStatus`.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) elections_won: AtomicU64,
    pub(crate) rollbacks: AtomicU64,
    pub(crate) entries_rolled_back: AtomicU64,
    pub(crate) copies: AtomicU64,
    pub(crate) messages_dropped: AtomicU64,
    pub(crate) batches_applied: AtomicU64,
    pub(crate) records_applied: AtomicU64,
    pub(crate) bytes_applied: AtomicU64,
    pub(crate) batches_sent: AtomicU64,
    pub(crate) reports_sent: AtomicU64,
}

pub(crate) struct Shared {
    pub(crate) identity: Identity,
    pub(crate) data: Arc<dyn Data>,
    pub(crate) tasks: Tasks,
    pub(crate) feed: mpsc::Sender<Feed>,
    pub(crate) board: Board,
    pub(crate) view: ArcSwap<View>,
    pub(crate) topology: watch::Sender<u64>,
    /// The commit point.
    pub(crate) commit: changes::Sender<OpTime>,
    pub(crate) admission: changes::Sender<Admission>,
    /// Rises when the log here is about to be cut or thrown away: streams to others end.
    pub(crate) streams: changes::Sender<u64>,
    pub(crate) reports: Reports,
    pub(crate) majority_point: MajorityPoint,
    pub(crate) peers: Peers,
    pub(crate) started: Instant,
    pub(crate) counters: Counters,
    pub(crate) applied: Applied,
    /// Held while other members' records are written here, and by whoever wants that they are not.
    pub(crate) applying: Arc<Semaphore>,
    pub(crate) copy: Mutex<Option<CopyStatus>>,
    /// Chosen by chance when the process started.
    pub(crate) instance: u64,
}

impl Shared {
    /// The core's time.
    pub(crate) fn now(&self) -> Time {
        // The core takes zero for never.
        SECOND + Time::try_from((clock::now() - self.started).as_micros()).unwrap_or(Time::MAX / 2)
    }

    /// How this member calls itself when it calls `to`.
    pub(crate) fn sender(&self, to: &str) -> Sender {
        let view = self.view.load();
        Sender {
            set: self.identity.set_name.clone(),
            replica_set_id: view.config.as_ref().map(|config| config.replica_set_id),
            host: view.own_host().unwrap_or(&self.identity.host).to_owned(),
            to: to.to_owned(),
        }
    }

    /// Streams of the log and of the data to others end: what is here is about to be cut or thrown away.
    pub(crate) fn end_streams(&self) {
        self.streams.change(|epoch| {
            *epoch += 1;
            true
        });
    }

    /// Writes down how far an initial sync is.
    pub(crate) fn note_copy(&self, change: impl FnOnce(&mut CopyStatus)) {
        if let Some(copy) = &mut *self.copy.lock() {
            change(copy);
        }
    }

    /// Something happened; waits where the driver has much to do.
    pub(crate) async fn feed(&self, feed: Feed) {
        self.feed.send(feed).await.ok(); // the process stops
    }
}

/// The other members' processes, on connections of their own: a client's load does not hold a heartbeat back.
pub(crate) struct Peers {
    known: Mutex<BTreeMap<String, Arc<rpc::Peer>>>,
    network: Arc<dyn rpc::Network>,
    tasks: Tasks,
}

impl Peers {
    pub(crate) fn new(network: Arc<dyn rpc::Network>, tasks: &Tasks) -> Peers {
        Peers { known: Mutex::default(), network, tasks: tasks.clone() }
    }

    /// The process at `host:port`.
    pub(crate) fn get(&self, host: &str) -> Result<Arc<rpc::Peer>, Fault> {
        let mut known = self.known.lock();
        if let Some(peer) = known.get(host) {
            return Ok(peer.clone());
        }
        let peer = Arc::new(rpc::Peer::over(self.network.clone(), host, &self.tasks)?);
        known.insert(host.to_owned(), peer.clone());
        Ok(peer)
    }

    /// Closes the connections to all others.
    pub(crate) fn keep(&self, is_wanted: impl Fn(&str) -> bool) {
        self.known.lock().retain(|host, _| is_wanted(host));
    }
}

/// Whether the tasks have several threads. Where they have one, what blocks is done in its turn: there is nobody to go on beside it,
/// and everything happens in one order.
fn has_threads() -> bool {
    let flavor = tokio::runtime::Handle::try_current().map(|handle| handle.runtime_flavor());
    matches!(flavor, Ok(tokio::runtime::RuntimeFlavor::MultiThread))
}

/// Runs work that blocks where it may: beside other tasks if the runtime has several threads.
pub(crate) fn blocking<T>(work: impl FnOnce() -> T) -> T {
    if has_threads() { tokio::task::block_in_place(work) } else { work() }
}

/// Runs work that blocks on a thread for such work, if the runtime has several threads.
pub(crate) async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    if !has_threads() {
        return work();
    }
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(error) => Err(Fault::internal(format!("a thread of replication ended: {error}"))),
    }
}
