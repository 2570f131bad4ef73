//! The authority over the cluster's metadata: the catalogue, the shards it concerns, and those who watch it.
//! Knows nothing of the process around it but where this replica set is reached.

use crate::catalog::{Catalog, View};
use crate::shard_calls::{RpcCalls, ShardCalls};
use bson::oid::ObjectId;
use bson::{DateTime, Document};
use rpc::cluster::{Change, change};
use rpc::{Pool, SetAddress};
use runtime::Tasks;
use runtime::clock::now_millis;
use sharding::documents::{ClusterVersion, Event};
use std::future::Future;
use std::sync::Arc;
use storage::Store;
use tokio::sync::{broadcast, oneshot};
use types::{Code, Fault, Namespace};

/// Changes that a watcher may be behind before it has to start over.
const CHANGE_COUNT_MAX: usize = 1024;

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
        pool: Pool,
        own_address: impl Fn() -> Option<SetAddress> + Send + Sync + 'static,
        tasks: &Tasks,
    ) -> Arc<Metadata> {
        Metadata::with_calls(store, Arc::new(RpcCalls::new(pool)), Arc::new(own_address), tasks)
    }

    /// As [`Metadata::new`], with another way to reach shards.
    pub fn with_calls(
        store: Store,
        calls: Arc<dyn ShardCalls>,
        own_address: OwnAddress,
        tasks: &Tasks,
    ) -> Arc<Metadata> {
        Arc::new(Metadata {
            catalog: Catalog::new(store),
            calls,
            tasks: tasks.clone(),
            changing: tokio::sync::Mutex::new(()),
            own_address,
            changes: broadcast::channel(CHANGE_COUNT_MAX).0,
        })
    }

    /// Makes what must be there from the first moment on, and finishes what a crash broke off. To be called once this member is
    /// primary: after the initiation, and at every later start. Repeating it changes nothing. Blocks; needs a runtime.
    ///
    /// # Errors
    /// A failure of storage.
    pub fn initialise(self: &Arc<Self>) -> Result<(), Fault> {
        self.catalog.create_tables()?;
        if self.catalog.view().cluster()?.is_none() {
            let cluster_id = ObjectId::new();
            self.catalog.commit_blocking(|changes| match changes.view().cluster()? {
                Some(_) => Ok(()),
                None => changes.put_cluster(ClusterVersion { cluster_id }),
            })?;
            tracing::info!(%cluster_id, "cluster metadata made");
        }
        self.resume_drops();
        Ok(())
    }

    /// The metadata as they are now.
    ///
    /// # Errors
    /// `NotWritablePrimary` (10107) before they exist.
    pub fn view(&self) -> Result<View, Fault> {
        let view = self.catalog.view();
        match view.cluster()? {
            Some(_) => Ok(view),
            None => Err(not_initiated()),
        }
    }

    /// The identity of the cluster.
    pub(crate) fn cluster_id(&self) -> Result<ObjectId, Fault> {
        self.catalog.view().cluster()?.map(|cluster| cluster.cluster_id).ok_or_else(not_initiated)
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

fn not_initiated() -> Fault {
    Fault::new(
        Code::NotWritablePrimary,
        "not primary: the config server's replica set is not initiated yet; run rs.initiate() on it",
    )
}
