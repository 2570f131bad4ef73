//! Routing tables by namespace, each an immutable snapshot swapped whole. A table is read from the config server when it is first
//! needed and after it was found stale; concurrent callers share one read.

use super::route::{Place, Route};
use crate::shards::Shards;
use bson::RawDocumentBuf;
use papaya::HashMap;
use query::bounds::KeyPattern;
use rpc::cluster;
use std::sync::Arc;
use std::time::Duration;
use types::{Fault, Namespace};

/// How long the config server may take to answer.
const REFRESH_TIMEOUT: Duration = Duration::from_secs(5);

/// Routes that are kept. Collections that do not exist have routes too, so clients could make any number of them.
const ROUTE_COUNT_MAX: usize = 100_000;

/// The routing tables of one router. Nothing in it is needed by another router.
#[derive(Debug)]
pub struct RoutingCache {
    /// By namespace.
    routes: HashMap<Namespace, Route>,
    /// One read at a time for each namespace.
    reading: parking_lot::Mutex<std::collections::HashMap<Namespace, Arc<tokio::sync::Mutex<()>>>>,
    /// Rises with every invalidation: a read that began before one is not kept.
    invalidations: std::sync::atomic::AtomicU64,
    shards: Arc<Shards>,
}

impl RoutingCache {
    /// An empty cache.
    pub fn new(shards: Arc<Shards>) -> RoutingCache {
        RoutingCache {
            routes: HashMap::new(),
            reading: parking_lot::Mutex::default(),
            invalidations: 0.into(),
            shards,
        }
    }

    /// The route of a namespace.
    ///
    /// # Errors
    /// The config server's fault where the route is unknown and it cannot be asked.
    pub async fn route(&self, ns: &Namespace) -> Result<Route, Fault> {
        if matches!(ns.db(), "admin" | "config") {
            return Ok(Route { place: Place::Config });
        }
        if ns.is_local() {
            return Err(Fault::new(
                types::Code::IllegalOperation,
                "the local database is not reached through a router; connect to the member itself",
            ));
        }
        if let Some(route) = self.routes.pin().get(ns) {
            return Ok(route.clone());
        }
        let reading = self.reading.lock().entry(ns.clone()).or_default().clone();
        let _reading = reading.lock().await;
        let route = match self.routes.pin().get(ns) {
            Some(route) => return Ok(route.clone()),
            None => self.read(ns),
        };
        let route = route.await;
        // Whoever waits has the lock itself; the next one to come makes a new one.
        self.reading.lock().remove(ns);
        route
    }

    async fn read(&self, ns: &Namespace) -> Result<Route, Fault> {
        let mark = self.mark();
        // Commands on a whole database have a name in the collection's place that no collection can have.
        let collection = if ns.collection().starts_with("$cmd") { "" } else { ns.collection() };
        let request = cluster::RoutingRequest { db: ns.db().to_owned(), collection: collection.to_owned() };
        let reply = self
            .shards
            .config()
            .client
            .unary(REFRESH_TIMEOUT, |mut client| {
                let request = request.clone();
                async move { client.get_routing(request).await }
            })
            .await
            .map_err(|fault| fault.context(format!("reading the route of {ns} from the config server")))?;
        self.keep(ns, mark, &reply)
    }

    /// The route of a namespace whose database is made where it is missing.
    ///
    /// # Errors
    /// The config server's fault; `ShardNotFound` (70) where the cluster has no shard yet.
    pub async fn route_or_create(&self, ns: &Namespace) -> Result<Route, Fault> {
        let route = self.route(ns).await?;
        if !matches!(route.place, Place::Nowhere) {
            return Ok(route);
        }
        let request = cluster::CreateDatabaseRequest { db: ns.db().to_owned(), primary_shard: String::new() };
        let reply = self
            .shards
            .config()
            .client
            .unary(REFRESH_TIMEOUT, |mut client| {
                let request = request.clone();
                async move { client.create_database(request).await }
            })
            .await?;
        self.forget_database(ns.db());
        if reply.database.is_empty() {
            return Err(Fault::internal(format!("the config server did not make database {}", ns.db())));
        }
        self.route(ns).await
    }

    fn mark(&self) -> u64 {
        self.invalidations.load(std::sync::atomic::Ordering::Acquire)
    }

    fn keep(&self, ns: &Namespace, mark: u64, reply: &cluster::RoutingReply) -> Result<Route, Fault> {
        let route = Route { place: place(reply)? };
        // A database that does not exist is not kept: it may come to be through another router at any time.
        if !matches!(route.place, Place::Nowhere) {
            if self.routes.len() >= ROUTE_COUNT_MAX {
                self.routes.pin().clear();
            }
            self.routes.pin().insert(ns.clone(), route.clone());
            if self.mark() != mark {
                self.routes.pin().remove(ns);
            }
        }
        Ok(route)
    }

    /// Throws one route away.
    pub fn forget(&self, ns: &Namespace) {
        self.invalidations.fetch_add(1, std::sync::atomic::Ordering::AcqRel);
        self.routes.pin().remove(ns);
    }

    /// Throws all routes of a database away.
    pub fn forget_database(&self, db: &str) {
        self.invalidations.fetch_add(1, std::sync::atomic::Ordering::AcqRel);
        self.routes.pin().retain(|ns, _| ns.db() != db);
    }

    /// Throws everything away.
    pub fn forget_all(&self) {
        self.invalidations.fetch_add(1, std::sync::atomic::Ordering::AcqRel);
        self.routes.pin().clear();
    }

    /// How many routes are kept, for serverStatus.
    pub fn route_count(&self) -> usize {
        self.routes.len()
    }
}

fn place(reply: &cluster::RoutingReply) -> Result<Place, Fault> {
    let routing = rpc::convert::routing_reply(reply)?;
    let Some(database) = routing.database.map(Arc::new) else { return Ok(Place::Nowhere) };
    match routing.collection {
        Some(collection) => {
            let pattern = RawDocumentBuf::try_from(collection.key.pattern())
                .map_err(|error| Fault::internal(error.to_string()))?;
            let pattern = KeyPattern::parse(&pattern)?;
            Ok(Place::Sharded { database, collection: Arc::new(collection), pattern: Arc::new(pattern) })
        }
        None => Ok(Place::Home(database)),
    }
}
