//! The authority over the cluster's metadata: the catalogue, the shards it concerns, and those who watch it.
//! Knows nothing of the process around it but where this replica set is reached.

use crate::catalog::{Catalog, View};
use crate::replica::Replica;
use crate::shard_calls::{RpcCalls, ShardCalls};
use bson::oid::ObjectId;
use bson::{DateTime, Document};
use parking_lot::Mutex;
use rpc::cluster::{Change, change};
use rpc::{Pool, SetAddress};
use runtime::Tasks;
use runtime::clock::now_millis;
use sharding::documents::{ClusterVersion, Event};
use std::future::Future;
use std::sync::Arc;
use storage::Store;
use tokio::sync::{broadcast, oneshot, watch};
use tokio_util::sync::CancellationToken;
use types::{Code, Fault, Namespace};

/// Changes that a watcher may be behind before it has to start over.
const CHANGE_COUNT_MAX: usize = 1024;
/// How long a request waits for a primary that has just been elected.
const READY_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);

/// Where this replica set is reached, from its configuration; `None` before it is initiated.
pub type OwnAddress = Arc<dyn Fn() -> Option<SetAddress> + Send + Sync>;

/// A server that keeps the cluster's metadata.
pub trait HasMetadata: Send + Sync + 'static {
    /// The metadata.
    fn metadata(&self) -> &Arc<Metadata>;
}

/// The metadata of one cluster.
pub struct Metadata {
    pub(crate) catalog: Catalog,
    pub(crate) calls: Arc<dyn ShardCalls>,
    pub(crate) tasks: Tasks,
    /// Held by the one change of definitions that runs.
    pub(crate) changing: tokio::sync::Mutex<()>,
    replica: Arc<dyn Replica>,
    /// Cancelled when this member is no primary any more: what was begun in its name ends.
    office: Mutex<CancellationToken>,
    is_ready: watch::Sender<bool>,
    own_address: OwnAddress,
    changes: broadcast::Sender<Change>,
}

impl std::fmt::Debug for Metadata {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Metadata").field("catalog", &self.catalog).finish_non_exhaustive()
    }
}

impl Metadata {
    /// The metadata in a store; shards are reached through `pool`.
    pub fn new(
        store: Store,
        replica: Arc<dyn Replica>,
        pool: Pool,
        own_address: impl Fn() -> Option<SetAddress> + Send + Sync + 'static,
        tasks: &Tasks,
    ) -> Arc<Metadata> {
        Metadata::with_calls(store, replica, Arc::new(RpcCalls::new(pool)), Arc::new(own_address), tasks)
    }

    /// As [`Metadata::new`], with another way to reach shards.
    pub fn with_calls(
        store: Store,
        replica: Arc<dyn Replica>,
        calls: Arc<dyn ShardCalls>,
        own_address: OwnAddress,
        tasks: &Tasks,
    ) -> Arc<Metadata> {
        Arc::new(Metadata {
            catalog: Catalog::new(store, replica.clone()),
            replica,
            office: Mutex::new(tasks.token().child_token()),
            is_ready: watch::channel(false).0,
            calls,
            tasks: tasks.clone(),
            changing: tokio::sync::Mutex::new(()),
            own_address,
            changes: broadcast::channel(CHANGE_COUNT_MAX).0,
        })
    }

    /// Makes what must be there from the first moment on, and finishes what the primary before broke off. To be called whenever this
    /// member has become primary. Repeating it changes nothing.
    ///
    /// # Errors
    /// A failure of storage, or the loss of the office.
    pub async fn initialise(self: &Arc<Self>) -> Result<(), Fault> {
        let _changing = self.changing.lock().await;
        self.replica.check_primary()?;
        // Builds indexes, which takes a moment.
        blocking(|| self.catalog.create_tables())?;
        let cluster_id = ObjectId::new();
        let made = self
            .catalog
            .commit(|changes| match changes.view().cluster()? {
                Some(_) => Ok(false),
                None => changes.put_cluster(ClusterVersion { cluster_id }).map(|()| true),
            })
            .await?;
        if made {
            tracing::info!(%cluster_id, "cluster metadata made");
        }
        self.catalog.settle().await?;
        self.is_ready.send_replace(true);
        self.resume_drops();
        Ok(())
    }

    /// Ends when a primary that has just been elected has its metadata together. At once on any other member: what it is asked for tells.
    pub(crate) async fn ready(&self) {
        let mut is_ready = self.is_ready.subscribe();
        if *is_ready.borrow() || self.check_primary().is_err() {
            return;
        }
        let office = self.office();
        tokio::select! {
            // Who comes too early is told so by what it then asks for.
            _ = tokio::time::timeout(READY_TIMEOUT, is_ready.wait_for(|ready| *ready)) => {}
            () = office.cancelled() => {}
        }
    }

    /// Whether there is nothing to wait for.
    pub(crate) fn is_ready(&self) -> bool {
        *self.is_ready.borrow()
    }

    /// This member is no primary any more, or what it knew was undone: watchers go to the next one, and nothing is finished here.
    pub fn resign(&self) {
        self.is_ready.send_replace(false);
        let next = self.tasks.token().child_token();
        std::mem::replace(&mut *self.office.lock(), next).cancel();
    }

    /// Ends when this member resigns, or the process stops.
    pub(crate) fn office(&self) -> CancellationToken {
        self.office.lock().clone()
    }

    /// Whether this member may read and change the metadata.
    ///
    /// # Errors
    /// `NotWritablePrimary` (10107).
    pub(crate) fn check_primary(&self) -> Result<(), Fault> {
        self.replica.check_primary()
    }

    /// The metadata as they are now.
    ///
    /// # Errors
    /// `NotWritablePrimary` (10107) before they exist.
    pub fn view(&self) -> Result<View, Fault> {
        self.replica.check_primary()?;
        let view = self.catalog.view()?;
        match view.cluster()? {
            Some(_) => Ok(view),
            None => Err(not_initiated()),
        }
    }

    /// The identity of the cluster.
    pub(crate) fn cluster_id(&self) -> Result<ObjectId, Fault> {
        self.catalog.view()?.cluster()?.map(|cluster| cluster.cluster_id).ok_or_else(not_initiated)
    }

    /// Where this replica set is reached.
    ///
    /// # Errors
    /// `NotWritablePrimary` (10107) before it is initiated.
    pub fn own_address(&self) -> Result<SetAddress, Fault> {
        (self.own_address)().ok_or_else(not_initiated)
    }

    /// The term in which this member writes.
    pub fn term(&self) -> i64 {
        self.catalog.term()
    }

    /// An event for the changelog, of now.
    pub(crate) fn event(&self, what: &str, ns: &str, client: &str, details: Document) -> Event {
        let own = (self.own_address)().and_then(|address| address.hosts.into_iter().next());
        Event {
            server: own.unwrap_or_default(),
            shard: "config".to_owned(),
            client_address: client.to_owned(),
            time: DateTime::from_millis(now_millis()),
            what: what.to_owned(),
            ns: ns.to_owned(),
            details,
        }
    }

    /// All changes from now on.
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }

    pub(crate) fn tell_collection(&self, ns: &Namespace) {
        self.tell(change::What::Collection(ns.to_string()));
    }

    pub(crate) fn tell_database(&self, db: &str) {
        self.tell(change::What::Database(db.to_owned()));
    }

    pub(crate) fn tell_shards(&self) {
        self.tell(change::What::Shards(true));
    }

    pub(crate) fn tell_defaults(&self) {
        self.tell(change::What::Defaults(true));
    }

    fn tell(&self, what: change::What) {
        self.changes.send(Change { what: Some(what) }).ok(); // nobody watches
    }

    /// Runs a change to its end in a task of its own: a client that goes away must not leave it half done. A shard that does not
    /// answer is `FailedToSatisfyReadPreference` (133) to whoever asked.
    pub(crate) async fn detached<T: Send + 'static>(
        &self,
        name: &'static str,
        work: impl Future<Output = Result<T, Fault>> + Send + 'static,
    ) -> Result<T, Fault> {
        let (done, outcome) = oneshot::channel();
        self.tasks.spawn(name, async move {
            done.send(work.await).ok(); // the client is gone
        });
        let outcome = outcome.await.unwrap_or_else(|_| {
            Err(Fault::new(
                Code::InterruptedAtShutdown,
                format!("{name} was interrupted by the shutdown of this server"),
            ))
        });
        // To a router "unreachable" would be this server, and worth another try.
        outcome.map_err(|fault| match fault.code {
            Code::HostUnreachable => Fault { code: Code::FailedToSatisfyReadPreference, ..fault },
            _ => fault,
        })
    }
}

/// Work that blocks, where the runtime can stand it.
fn blocking<T>(work: impl FnOnce() -> T) -> T {
    match tokio::runtime::Handle::current().runtime_flavor() {
        tokio::runtime::RuntimeFlavor::CurrentThread => work(),
        _ => tokio::task::block_in_place(work),
    }
}

fn not_initiated() -> Fault {
    Fault::new(
        Code::NotWritablePrimary,
        "not primary: the config server's replica set is not initiated yet; run rs.initiate() on it",
    )
}
