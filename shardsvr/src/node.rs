//! The composition root of a shard's member, and the state that commands run against.

use crate::config::Config;
use crate::ownership::{Identity, VersionGate};
use bson::{Document, RawBsonRef};
use command::{Access, BoxFuture, Context, Request, Spec};
use engine::{DocumentFilter, Engine, HasEngine};
use frontend::{Admitted, Front, Frontend, Gossip, Hello, Host, Registry};
use member::{Error, Member, Peers};
use repl::{HasReplication, Replication};
use runtime::telemetry::Recent;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::watch;
use types::{Code, Fault, Namespace, SessionId, Timestamp};

/// A shard's member.
pub struct Node {
    pub member: Member,
    pub gate: VersionGate,
}

impl Node {
    /// Starts a member; clients and peers are served when this returns.
    ///
    /// # Errors
    /// A directory that cannot be used, an address that cannot be listened on.
    pub async fn start(config: &Config, recent: Recent) -> Result<Arc<Node>, Error> {
        let member = Member::open(&config.member, config.port, "shardsvr", "shardsvr", recent)?;
        let gate = VersionGate::new(member.pool.clone(), &member.tasks);
        let node = Arc::new(Node { gate, member });
        if let Some(identity) = node.stored_identity().map_err(Error::Start)? {
            node.gate.set_identity(identity).map_err(Error::Start)?;
        }
        let registry = Arc::new(Registry::new(crate::commands::table())?);
        let tasks = &node.member.tasks;
        let listening =
            Frontend::start(node.clone(), registry.clone(), config.member.listen(config.port), tasks).await?;
        rpc::serve(Arc::new(Peers::new(node.clone(), registry)), None, listening.grpc_incoming, tasks);
        let stop = tasks.token();
        let expiry = engine::TtlMonitor::run(node.clone(), async move { stop.cancelled().await });
        tasks.spawn("ttl-monitor", expiry);
        if let Some(address) = config.member.common.metrics_address {
            node.member.metrics.serve(address, tasks).await.map_err(Error::Metrics)?;
        }
        tracing::info!(addresses = ?listening.addresses, dir = %config.member.dbpath.display(), "shard is ready");
        Ok(node)
    }

    /// The identity in `admin.system.version`, if the shard joined a cluster before.
    fn stored_identity(&self) -> Result<Option<Identity>, Fault> {
        let store = &self.member.store;
        let catalog = store.catalog();
        let Some(collection) = catalog.get(&Namespace::parse("admin.system.version")?) else {
            return Ok(None);
        };
        let key = collection.record_key(RawBsonRef::String("shardIdentity"));
        match store.snapshot().get(collection, &key).map_err(|error| error.fault())? {
            Some(doc) => Identity::parse(&doc).map(Some),
            None => Ok(None),
        }
    }

    /// Takes an identity for good: on disk first.
    ///
    /// # Errors
    /// `IllegalOperation` (20) where this shard has another one.
    pub fn join(&self, identity: &Identity) -> Result<(), Fault> {
        let fault = |error: storage::Error| error.fault();
        if let Some(known) = self.gate.identity() {
            known.check_same(identity).map_err(|error| error.fault())?;
        }
        let store = &self.member.store;
        let ns = Namespace::parse("admin.system.version")?;
        if store.catalog().get(&ns).is_none() {
            store.create_collection(&ns, None, bson::RawDocumentBuf::new().as_ref()).map_err(fault)?;
        }
        let catalog = store.catalog();
        let collection =
            catalog.get(&ns).ok_or_else(|| Fault::internal("admin.system.version was not made"))?;
        let doc = bson::RawDocumentBuf::try_from(&identity.to_document())
            .map_err(|error| Fault::internal(error.to_string()))?;
        let key = collection.record_key(RawBsonRef::String("shardIdentity"));
        let mut batch = store.batch(store.snapshot());
        match batch.get(collection, &key).map_err(fault)? {
            Some(old) => batch.update(collection, &key, &old, &doc).map_err(fault)?,
            None => drop(batch.insert(collection, &doc).map_err(fault)?),
        }
        batch.commit(storage::CommitMeta::default()).map_err(fault)?;
        store.sync().map_err(fault)?;
        self.gate.set_identity(identity.clone())
    }
}

/// The collection that a routed request concerns: its first value, or what `getMore`-like commands name otherwise.
fn routed_namespace(spec: &Spec<Node>, ctx: &Context, request: &Request) -> Result<Option<Namespace>, Fault> {
    let first = match request.body.iter().next() {
        Some(Ok((_, RawBsonRef::String(collection)))) if spec.names_collection => Some(collection.to_owned()),
        // `explain` carries the explained command as its first value.
        Some(Ok((_, RawBsonRef::Document(inner)))) if spec.name == "explain" => match inner.iter().next() {
            Some(Ok((_, RawBsonRef::String(collection)))) => Some(collection.to_owned()),
            _ => None,
        },
        _ => None,
    };
    first.map(|collection| Namespace::new(&ctx.envelope.db, &collection)).transpose()
}

impl Host for Node {
    fn front(&self) -> &Arc<Front> {
        &self.member.front
    }

    fn hello(&self) -> Hello {
        member::hello(&self.member)
    }

    fn topology(&self) -> watch::Receiver<u64> {
        self.member.replication.topology()
    }

    fn gossip(&self) -> Option<Gossip> {
        member::gossip(&self.member)
    }

    fn observe(&self, cluster_time: Timestamp) -> Result<(), Fault> {
        runtime::clock::check_ahead(cluster_time)?;
        self.member.clock.observe(cluster_time);
        Ok(())
    }

    fn admit(
        self: &Arc<Self>,
        spec: &Spec<Self>,
        ctx: &Context,
        request: &Request,
    ) -> Option<BoxFuture<Result<Admitted, Fault>>> {
        let routing = ctx.routing.clone()?;
        if routing.shard_version.is_none() && routing.database_version.is_none() {
            return None;
        }
        let ns = match routed_namespace(spec, ctx, request) {
            Ok(ns) => ns,
            Err(fault) => return Some(Box::pin(std::future::ready(Err(fault)))),
        };
        // Only writers hold their place: a critical section need not wait for readers, who read at their own time.
        let holds = matches!(spec.access, Access::Write | Access::Admin);
        let keep = move |inside: crate::ownership::Admitted| -> Admitted {
            inside.filter(|_| holds).map(|inside| Box::new(inside) as Box<dyn std::any::Any + Send>)
        };
        if let Some(inside) = self.gate.try_admit(ns.as_ref(), &ctx.envelope.db, &routing) {
            return match keep(inside) {
                None => None,
                kept => Some(Box::pin(std::future::ready(Ok(kept)))),
            };
        }
        let node = self.clone();
        let db = ctx.envelope.db.clone();
        Some(Box::pin(async move { node.gate.admit(ns.as_ref(), &db, &routing).await.map(keep) }))
    }

    fn server_status(&self, status: &mut Document) {
        member::server_status(&self.member, status);
        if let Some(identity) = self.gate.identity() {
            status
                .insert("sharding", bson::doc! { "configsvrConnectionString": identity.config.to_string() });
        }
    }

    fn refresh_sessions(self: &Arc<Self>, sessions: Vec<SessionId>) -> BoxFuture<Result<(), Fault>> {
        Box::pin(std::future::ready(self.member.sessions.refresh(&sessions, Instant::now())))
    }

    fn end_sessions(self: &Arc<Self>, sessions: Vec<SessionId>) -> BoxFuture<Result<(), Fault>> {
        self.member.end_sessions(&sessions);
        Box::pin(std::future::ready(Ok(())))
    }

    fn end_all_sessions(self: &Arc<Self>) -> BoxFuture<Result<(), Fault>> {
        let sessions = self.member.sessions.end_all();
        self.end_sessions(sessions)
    }
}

impl HasEngine for Node {
    fn engine(&self) -> &Arc<Engine> {
        &self.member.engine
    }

    fn identity(&self) -> engine::Identity {
        engine::Identity {
            host: self.member.replication.identity().host.clone(),
            shard: self.gate.identity().map(|identity| identity.shard.to_string()),
        }
    }

    fn ownership(&self, ns: &Namespace) -> Option<Arc<dyn DocumentFilter>> {
        self.gate.filter(ns).map(|filter| Arc::new(filter) as Arc<dyn DocumentFilter>)
    }

    fn disk(&self) -> Option<engine::Disk> {
        member::disk(&self.member.dir)
    }

    fn check_writable(&self, _ns: &Namespace) -> Result<(), Fault> {
        self.member.replication.check_writable()
    }
}

impl HasReplication for Node {
    fn replication(&self) -> &Arc<Replication> {
        &self.member.replication
    }
}

impl Node {
    /// Refuses what makes sense only on a shard that has joined a cluster.
    ///
    /// # Errors
    /// `IllegalOperation` (20).
    pub fn require_identity(&self) -> Result<Identity, Fault> {
        self.gate
            .identity()
            .ok_or_else(|| Fault::new(Code::IllegalOperation, "this server is no shard of a cluster yet"))
    }
}
