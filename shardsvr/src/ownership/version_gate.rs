//! Compares the version that a request was routed with to what this shard owns, and asks the config server where it cannot tell.

use super::collection::{Known, Owned};
use super::database::Databases;
use super::{CollectionGate, CriticalSections, Identity, IdentityError, OwnershipFilter};
use arc_swap::ArcSwapOption;
use command::Routing;
use parking_lot::Mutex;
use rpc::convert::NamespaceRouting;
use rpc::{Pool, SetClient, cluster};
use runtime::Tasks;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, OwnedRwLockReadGuard};
use types::{Code, DatabaseVersion, Fault, Namespace, ShardId, ShardVersion, StaleRoute};

/// How long the config server may take to tell a version.
const REFRESH_TIMEOUT: Duration = Duration::from_secs(5);
/// Wait before the config server is asked again where a deposed primary answered.
const DEPOSED_PAUSE: Duration = Duration::from_millis(200);
/// How long a request waits for a critical section before the router is told to look again.
const CRITICAL_WAIT: Duration = Duration::from_secs(5);

/// Gates that are kept; beyond it, those that nobody is inside of go, and the config server is asked anew.
const GATE_COUNT_MAX: usize = 100_000;

/// No term.
const NO_OFFICE: i64 = i64::MIN;

/// Held by a writer while it runs: a critical section waits for it.
pub type Admitted = Option<OwnedRwLockReadGuard<Known>>;

/// Who this shard is, and where its config server is reached.
#[derive(Debug)]
struct Place {
    identity: Identity,
    config: SetClient,
}

/// The gate of all collections of this shard.
#[derive(Debug)]
pub struct VersionGate {
    place: ArcSwapOption<Place>,
    collections: Mutex<HashMap<Namespace, CollectionGate>>,
    databases: Databases,
    critical: CriticalSections,
    /// The term in which this member answers for the sections that were open when it became primary; [`NO_OFFICE`] otherwise.
    office: AtomicI64,
    office_changed: Notify,
    /// The highest term of a primary of the config server that asked for anything.
    config_term: AtomicI64,
    pool: Pool,
    tasks: Tasks,
}

impl VersionGate {
    /// A gate that knows nothing yet.
    pub fn new(pool: Pool, tasks: &Tasks) -> VersionGate {
        VersionGate {
            place: ArcSwapOption::empty(),
            collections: Mutex::default(),
            databases: Databases::default(),
            critical: CriticalSections::default(),
            office: AtomicI64::new(NO_OFFICE),
            office_changed: Notify::new(),
            config_term: AtomicI64::new(0),
            pool,
            tasks: tasks.clone(),
        }
    }

    /// Takes an identity: from disk at start, from the config server at `addShard`.
    ///
    /// # Errors
    /// `IllegalOperation` (20) where this shard has another one; `FailedToParse` (9) for malformed hosts.
    pub fn set_identity(&self, identity: Identity) -> Result<(), Fault> {
        if let Some(place) = self.place.load().as_deref() {
            place.identity.check_same(&identity).map_err(|error: IdentityError| error.fault())?;
        }
        let config = self.pool.set(&identity.config)?;
        self.place.store(Some(Arc::new(Place { identity, config })));
        Ok(())
    }

    /// The identity, once there is one.
    pub fn identity(&self) -> Option<Identity> {
        self.place.load().as_deref().map(|place| place.identity.clone())
    }

    /// Whether there is an identity.
    pub fn has_identity(&self) -> bool {
        self.place.load().is_some()
    }

    /// The gate of one collection.
    pub fn collection(&self, ns: &Namespace) -> CollectionGate {
        let mut collections = self.collections.lock();
        match collections.get(ns) {
            Some(gate) => gate.clone(),
            None => {
                if collections.len() >= GATE_COUNT_MAX {
                    collections.retain(|_, gate| gate.is_in_use());
                }
                collections.entry(ns.clone()).or_default().clone()
            }
        }
    }

    /// Admits a request at once where everything it was routed with is known to hold; `None` where that takes waiting. A write comes
    /// with the term in which it is to happen.
    pub fn try_admit(
        &self,
        ns: Option<&Namespace>,
        db: &str,
        routing: &Routing,
        term: Option<i64>,
    ) -> Option<Admitted> {
        if term.is_some_and(|term| self.office.load(Ordering::Acquire) != term) {
            return None;
        }
        if let Some(received) = routing.database_version
            && self.databases.get(db) != Some(Some(received))
        {
            return None;
        }
        match (ns, routing.shard_version) {
            (Some(ns), Some(received)) => {
                let inside = self.collection(ns).try_enter()?;
                inside.as_ref().is_some_and(|owned| received.accepts(&owned.version)).then_some(Some(inside))
            }
            _ => Some(None),
        }
    }

    /// Admits a request, or says why its route is stale.
    ///
    /// # Errors
    /// `StaleConfig` (13388) or `StaleDbVersion` (249) as values; the config server's fault where it has to be asked and cannot.
    pub async fn admit(
        &self,
        ns: Option<&Namespace>,
        db: &str,
        routing: &Routing,
        term: Option<i64>,
    ) -> Result<Admitted, Fault> {
        if let Some(term) = term {
            self.in_office(term).await?;
        }
        if let Some(received) = routing.database_version {
            self.check_database(db, received).await?;
        }
        match (ns, routing.shard_version) {
            (Some(ns), Some(received)) => self.check_collection(ns, received).await.map(Some),
            _ => Ok(None),
        }
    }

    /// Ends when this member answers for the sections of its shard in that term.
    async fn in_office(&self, term: i64) -> Result<(), Fault> {
        let taken = async {
            loop {
                let changed = self.office_changed.notified();
                if self.office.load(Ordering::Acquire) == term {
                    return;
                }
                changed.await;
            }
        };
        tokio::time::timeout(CRITICAL_WAIT, taken).await.map_err(|_| {
            Fault::new(
                Code::NotWritablePrimary,
                format!("not primary: this member does not govern in term {term}"),
            )
        })
    }

    /// This member is primary in a new term: what it knew as a secondary may be older than what its routers know, and the sections that
    /// were open before are open still.
    ///
    /// # Errors
    /// As [`CriticalSections::enter`].
    pub async fn take_office(&self, term: i64, sections: &[Namespace]) -> Result<(), Fault> {
        self.critical.abandon();
        self.doubt_all().await;
        for ns in sections {
            self.critical.enter(ns, &self.collection(ns), 0, &self.tasks).await?;
        }
        self.office.store(term, Ordering::Release);
        self.office_changed.notify_waiters();
        Ok(())
    }

    /// This member is no primary any more.
    pub fn leave_office(&self) {
        self.office.store(NO_OFFICE, Ordering::Release);
        self.critical.abandon();
    }

    /// Forgets everything about collections and databases: the config server is asked anew. Waits for the writers inside.
    pub fn doubt_all(&self) -> impl Future<Output = ()> + Send + use<> {
        self.databases.forget_all();
        let gates: Vec<CollectionGate> = self.collections.lock().values().cloned().collect();
        async move {
            for gate in gates {
                gate.forget().await;
            }
        }
    }

    /// Whether a primary of the config server may still ask for anything.
    ///
    /// # Errors
    /// `StaleTerm` (135) once a later one was heard of.
    pub fn hear_config_term(&self, term: i64) -> Result<(), Fault> {
        let known = self.config_term.fetch_max(term, Ordering::AcqRel);
        if term < known {
            return Err(Fault::new(
                Code::StaleTerm,
                format!("the config server has had a primary in term {known} since term {term}"),
            ));
        }
        Ok(())
    }

    async fn check_database(&self, db: &str, received: DatabaseVersion) -> Result<(), Fault> {
        if self.databases.get(db) == Some(Some(received)) {
            return Ok(());
        }
        let place = self.place()?;
        let mark = self.databases.mark();
        let routing = self.fetch(&place, db, "").await?;
        let known = home_version(&routing, &place.identity.shard);
        self.databases.learn(mark, db, known);
        if known == Some(received) {
            return Ok(());
        }
        Err(Fault::stale(StaleRoute::Database { db: db.to_owned(), received, wanted: known }))
    }

    async fn check_collection(
        &self,
        ns: &Namespace,
        received: ShardVersion,
    ) -> Result<OwnedRwLockReadGuard<Known>, Fault> {
        let gate = self.collection(ns);
        let place = self.place()?;
        let stale = |wanted| {
            let shard = place.identity.shard.clone();
            Fault::stale(StaleRoute::Collection { ns: ns.clone(), received, wanted, shard })
        };
        // What is known may be older than what the router knows: the config server decides, once.
        for may_refresh in [true, false] {
            let inside = tokio::time::timeout(CRITICAL_WAIT, gate.enter()).await.map_err(|_| stale(None))?;
            match inside.as_ref().map(|owned| owned.version) {
                Some(owned) if received.accepts(&owned) => return Ok(inside),
                Some(owned) if !may_refresh || is_older(&received, &owned) => return Err(stale(Some(owned))),
                _ => {}
            }
            drop(inside);
            let mark = gate.mark();
            let routing = self.fetch(&place, ns.db(), ns.collection()).await?;
            gate.learn(mark, owned(routing, &place.identity.shard)).await;
        }
        Err(stale(None))
    }

    /// Asks the config server. Its primary may have been deposed without knowing it yet: then another one is to be asked.
    async fn fetch(&self, place: &Place, db: &str, collection: &str) -> Result<NamespaceRouting, Fault> {
        let request = cluster::RoutingRequest { db: db.to_owned(), collection: collection.to_owned() };
        let until = Instant::now() + REFRESH_TIMEOUT;
        loop {
            let reply = place
                .config
                .unary(REFRESH_TIMEOUT, |mut client| {
                    let request = request.clone();
                    async move { client.get_routing(request).await }
                })
                .await?;
            match self.hear_config_term(reply.term) {
                Ok(()) => return rpc::convert::routing_reply(&reply),
                Err(fault) if Instant::now() >= until => {
                    return Err(Fault::new(Code::ExceededTimeLimit, fault.message));
                }
                // It will notice, or the others will be asked.
                Err(_) => tokio::time::sleep(DEPOSED_PAUSE).await,
            }
        }
    }

    fn place(&self) -> Result<Arc<Place>, Fault> {
        self.place.load_full().ok_or_else(|| {
            Fault::new(
                Code::IllegalOperation,
                "this server is no shard of a cluster yet; add it with sh.addShard at a router",
            )
        })
    }

    /// Tells which documents of a collection this shard owns; `None` where it is not sharded, or nothing is known of it.
    pub fn filter(&self, ns: &Namespace) -> Option<OwnershipFilter> {
        let shard = self.place.load().as_deref()?.identity.shard.clone();
        let routing = self.collections.lock().get(ns)?.routing()?;
        Some(OwnershipFilter::new(shard, routing))
    }

    /// Opens a critical section on a collection.
    ///
    /// # Errors
    /// As [`CriticalSections::enter`].
    pub async fn enter_critical(&self, ns: &Namespace, config_term: i64) -> Result<(), Fault> {
        // What an earlier primary of the config server held back, it will not change any more.
        if self.critical.term_of(ns).is_some_and(|term| term < config_term) {
            self.critical.leave(ns).await;
        }
        self.critical.enter(ns, &self.collection(ns), config_term, &self.tasks).await
    }

    /// Ends a critical section; nothing is known of the collection afterwards.
    pub async fn leave_critical(&self, ns: &Namespace) {
        self.critical.leave(ns).await;
        self.databases.forget(ns.db());
    }

    /// Whether a critical section is open on the collection.
    pub fn is_critical(&self, ns: &Namespace) -> bool {
        self.critical.is_open(ns)
    }

    /// Forgets a database and all its collections.
    pub async fn forget_database(&self, db: &str) {
        self.databases.forget(db);
        let gates: Vec<CollectionGate> = self
            .collections
            .lock()
            .iter()
            .filter(|(ns, _)| ns.db() == db)
            .map(|(_, gate)| gate.clone())
            .collect();
        for gate in gates {
            gate.forget().await;
        }
    }
}

/// Whether `received` is certainly from before `owned`: then the router has to look again, not this shard.
fn is_older(received: &ShardVersion, owned: &ShardVersion) -> bool {
    match (received, owned) {
        (
            ShardVersion::Chunks { generation: a, major: x, .. },
            ShardVersion::Chunks { generation: b, major: y, .. },
        ) => a.timestamp < b.timestamp || (a == b && x < y),
        _ => false,
    }
}

/// The version of the database, if this shard is its home.
fn home_version(routing: &NamespaceRouting, shard: &ShardId) -> Option<DatabaseVersion> {
    routing.database.as_ref().filter(|database| database.primary == *shard).map(|database| database.version)
}

/// The collection on this shard: its version is the highest of its chunks, major 0 where it has none.
fn owned(routing: NamespaceRouting, shard: &ShardId) -> Owned {
    let routing = routing.collection.map(Arc::new);
    let version =
        routing.as_ref().map_or(ShardVersion::Unsharded, |collection| collection.shard_version(shard));
    Owned { version, routing }
}
