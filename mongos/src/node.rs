//! The composition root of a router: builds the parts bottom-up, and is the state that commands run against.

use crate::config::Config;
use crate::defaults::Defaults;
use crate::routing::{RoutingCache, Target, watch};
use crate::scatter::MergedCursor;
use crate::shards::{Heard, Sending, Shards, label_write};
use bson::{Bson, Document, RawBsonRef, doc};
use command::{BoxFuture, Context, Reply, Request, RwDefaults};
use frontend::parameters::Parameter;
use frontend::{Front, FrontOptions, Frontend, Gossip, Hello, Host, Registry, Role};
use query::context::ParseContext;
use rpc::{Pool, SetAddress};
use runtime::Tasks;
use runtime::clock::HybridClock;
use runtime::metrics::Metrics;
use runtime::metrics::prometheus_client::metrics::counter::Counter;
use runtime::telemetry::Recent;
use session::reaper::{REAP_INTERVAL, Reaper};
use session::{Cursors, Sessions};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch as watch_channel;
use types::{Fault, SessionId, ShardId, Timestamp};
use value::{Collator, SharedDoc};

/// How long tasks may take to end.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a router does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("--configdb: {0}")]
    ConfigDb(Fault),
    #[error(transparent)]
    Listen(#[from] frontend::listener::Error),
    #[error("metrics endpoint: {0}")]
    Metrics(std::io::Error),
    #[error("table of commands: {0}")]
    Commands(#[from] frontend::DuplicateName),
}

/// A router.
pub struct Node {
    front: Arc<Front>,
    pub shards: Arc<Shards>,
    pub routing: RoutingCache,
    pub cursors: Arc<Cursors<MergedCursor>>,
    pub sessions: Arc<Sessions>,
    pub clock: Arc<HybridClock>,
    /// `host:port`, as `config.mongos` lists this router.
    pub name: String,
    pub tasks: Tasks,
    /// Requests that a shard refused as stale.
    pub stale_routes: Counter,
    topology: watch_channel::Sender<u64>,
    /// The concerns of clients that name none.
    pub defaults: Defaults,
}

impl Node {
    /// Starts a router; clients are served when this returns.
    ///
    /// # Errors
    /// A bad `--configdb`, an address that cannot be listened on.
    pub async fn start(config: &Config, recent: Recent) -> Result<Arc<Node>, Error> {
        let tasks = Tasks::new();
        let clock = Arc::new(HybridClock::default());
        let pool = Pool::new(&tasks);
        let address = SetAddress::parse(&config.configdb, 27019).map_err(Error::ConfigDb)?;
        let shards = Arc::new(Shards::new(address, pool, clock.clone()).map_err(Error::ConfigDb)?);
        let name = config.name();
        let metrics = Metrics::default();
        let stale_routes = Counter::default();
        metrics.register(|registry| {
            registry.register(
                "shoal_stale_routes",
                "Requests that a shard refused as stale",
                stale_routes.clone(),
            );
        });
        let front = Front::new(FrontOptions {
            process: "mongos",
            host: name.clone(),
            argv: std::env::args().collect(),
            parsed: config.parsed(),
            recent,
            startup_warnings: config.common.startup_warnings(),
        });
        front.register_metrics(&metrics);
        front.parameters.register(selection_timeout(shards.pool().clone()));
        let node = Arc::new(Node {
            front,
            routing: RoutingCache::new(shards.clone()),
            shards,
            cursors: Arc::new(Cursors::default()),
            sessions: Arc::new(Sessions::default()),
            clock,
            name,
            tasks: tasks.clone(),
            stale_routes,
            topology: watch_channel::channel(0).0,
            defaults: Defaults::default(),
        });
        let registry = Arc::new(Registry::new(crate::commands::table())?);
        let listening = Frontend::start(node.clone(), registry, config.listen(), &tasks).await?;
        if let Some(address) = config.common.metrics_address {
            metrics.serve(address, &tasks).await.map_err(Error::Metrics)?;
        }
        tasks.spawn("metadata-watch", watch(node.clone()));
        tasks.spawn("rw-defaults", crate::defaults::follow(node.clone()));
        tasks.spawn("reaper", reap(node.clone()));
        // A router answers no operations of peers.
        drop(listening.grpc_incoming);
        tracing::info!(addresses = ?listening.addresses, configdb = config.configdb, "router is ready");
        Ok(node)
    }

    /// Ends everything, each part within its time.
    pub async fn stop(&self) {
        if !self.tasks.stop(STOP_TIMEOUT).await {
            tracing::warn!(seconds = STOP_TIMEOUT.as_secs(), "some tasks did not end in time");
        }
    }

    /// Runs a command on a shard.
    ///
    /// # Errors
    /// The shard's fault, with the label for retryable writes where it fits.
    pub async fn ask(
        &self,
        ctx: &Context,
        target: &Target,
        request: &Request,
        sending: Sending,
    ) -> Result<Reply, Fault> {
        Ok(self.hear(ctx, target, request, sending).await?.reply)
    }

    /// As [`Node::ask`], with the member that answered.
    ///
    /// # Errors
    /// As [`Node::ask`].
    pub async fn hear(
        &self,
        ctx: &Context,
        target: &Target,
        request: &Request,
        sending: Sending,
    ) -> Result<Heard, Fault> {
        let shard = self.shards.get(&target.shard).await.map_err(|fault| label_write(fault, ctx))?;
        self.shards
            .ask(&shard, ctx, request, target.routing.as_ref(), sending)
            .await
            .map_err(|fault| label_write(fault, ctx))
    }

    /// Runs a command on the member of a shard that holds a cursor.
    ///
    /// # Errors
    /// The member's fault.
    pub async fn ask_member(
        &self,
        ctx: &Context,
        shard: &ShardId,
        host: &str,
        request: &Request,
    ) -> Result<Reply, Fault> {
        let shard = self.shards.get(shard).await?;
        self.shards.ask_member(&shard, host, ctx, request).await
    }

    /// What filters and pipelines of one command are parsed with, towards one route: the collation is the command's, or else that
    /// of the collection. A collection that is not sharded lies on one shard, which knows its collation itself.
    ///
    /// # Errors
    /// What is wrong with the command's `let`.
    pub fn parse_context(
        &self,
        let_vars: Option<&SharedDoc>,
        collation: Option<Collator>,
    ) -> Result<ParseContext, Fault> {
        let context = ParseContext::at(runtime::clock::now_millis())
            .with_cluster_time(Some(self.clock.latest()))
            .with_collation(collation);
        match let_vars {
            Some(vars) => {
                let values = query::expr::evaluate_let(vars, &context)?;
                Ok(context.with_let(Some(values)))
            }
            None => Ok(context),
        }
    }
}

/// `serverSelectionTimeoutMS`: how long an operation waits for a primary of a shard, or for another member that it may go to.
fn selection_timeout(pool: Pool) -> Parameter {
    let (reader, name) = (pool.clone(), "serverSelectionTimeoutMS");
    Parameter {
        name,
        get: Arc::new(move || {
            Bson::Int64(i64::try_from(reader.selection_timeout().as_millis()).unwrap_or(i64::MAX))
        }),
        set: Some(Arc::new(move |value| {
            let millis = match value {
                RawBsonRef::Int32(millis) => u64::try_from(millis).ok(),
                RawBsonRef::Int64(millis) => u64::try_from(millis).ok(),
                RawBsonRef::Double(millis) if millis.fract() == 0.0 && millis >= 0.0 => Some(millis as u64),
                _ => None,
            };
            let millis =
                millis.ok_or_else(|| Fault::bad_value(format!("Invalid value for parameter {name}")))?;
            pool.set_selection_timeout(Duration::from_millis(millis));
            Ok(())
        })),
    }
}

/// Closes what clients left open.
async fn reap(node: Arc<Node>) {
    let stop = node.tasks.token();
    let reaper = Reaper::new(node.sessions.clone(), node.cursors.clone());
    loop {
        tokio::select! {
            () = tokio::time::sleep(REAP_INTERVAL) => {}
            () = stop.cancelled() => return,
        }
        for cursor in reaper.step(Instant::now()).cursors {
            crate::commands::kill_open(&node, cursor).await;
        }
    }
}

async fn close_cursors_of(node: &Arc<Node>, sessions: &[SessionId]) {
    for cursor in node.cursors.kill_sessions(sessions) {
        crate::commands::kill_open(node, cursor).await;
    }
}

impl Host for Node {
    fn front(&self) -> &Arc<Front> {
        &self.front
    }

    fn hello(&self) -> Hello {
        Hello { role: Role::Router, read_only: false }
    }

    fn topology(&self) -> watch_channel::Receiver<u64> {
        self.topology.subscribe()
    }

    fn gossip(&self) -> Option<Gossip> {
        let cluster_time = self.clock.latest();
        (cluster_time != Timestamp::ZERO)
            .then(|| Gossip { cluster_time, operation_time: self.shards.operation_time() })
    }

    fn snapshot_time(&self) -> Option<Timestamp> {
        Some(self.clock.latest()).filter(|latest| *latest != Timestamp::ZERO)
    }

    fn defaults(&self) -> Option<Arc<RwDefaults>> {
        self.defaults.get()
    }

    fn observe(&self, cluster_time: Timestamp) -> Result<(), Fault> {
        runtime::clock::check_ahead(cluster_time)?;
        self.clock.observe(cluster_time);
        Ok(())
    }

    fn server_status(&self, status: &mut Document) {
        frontend::commands::server_status::add_cursors(status, &self.cursors);
        status.insert(
            "sharding",
            doc! { "configsvrConnectionString": self.shards.config().address.to_string() },
        );
        status.insert(
            "shardingStatistics",
            doc! {
                "countStaleConfigErrors": i64::try_from(self.stale_routes.get()).unwrap_or(i64::MAX),
                "catalogCache": { "numCollectionEntries": i64::try_from(self.routing.route_count()).unwrap_or(i64::MAX) },
            },
        );
    }

    fn refresh_sessions(self: &Arc<Self>, sessions: Vec<SessionId>) -> BoxFuture<Result<(), Fault>> {
        let outcome = self.sessions.refresh(&sessions, Instant::now());
        Box::pin(std::future::ready(outcome))
    }

    fn end_sessions(self: &Arc<Self>, sessions: Vec<SessionId>) -> BoxFuture<Result<(), Fault>> {
        let node = self.clone();
        Box::pin(async move {
            node.sessions.end(&sessions);
            close_cursors_of(&node, &sessions).await;
            Ok(())
        })
    }

    fn end_all_sessions(self: &Arc<Self>) -> BoxFuture<Result<(), Fault>> {
        let sessions = self.sessions.end_all();
        self.end_sessions(sessions)
    }
}
