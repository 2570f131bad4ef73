//! The composition root of a shard's member, and the state that commands run against.

use crate::config::Config;
use crate::ownership::{Identity, VersionGate};
use bson::{Document, RawBsonRef, RawDocumentBuf};
use command::{BoxFuture, Context, Request, Spec};
use engine::{DocumentFilter, Engine, HasEngine, Surroundings};
use frontend::{Admitted, Front, Frontend, Gossip, Hello, Host, Registry};
use member::{Error, HasMember, Member, Peers, Player};
use repl::{HasReplication, Replication};
use runtime::telemetry::Recent;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use types::{Code, Fault, Namespace, SessionId, Timestamp, WriteConcern};

/// How long a step that the config server asks for waits for a majority.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(15);

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
        node.load_identity().map_err(Error::Start)?;
        let registry = Arc::new(Registry::new(crate::commands::table())?);
        let tasks = &node.member.tasks;
        let listening =
            Frontend::start(node.clone(), registry.clone(), config.member.listen(config.port), tasks).await?;
        let service = node.member.replication.add_service(rpc::Routes::default());
        rpc::serve(
            Arc::new(Peers::new(node.clone(), registry)),
            Some(service),
            listening.grpc_incoming,
            tasks,
        );
        let stop = tasks.token();
        let expiry = engine::TtlMonitor::run(node.clone(), async move { stop.cancelled().await });
        tasks.spawn("ttl-monitor", expiry);
        tasks.spawn("part", member::follow(node.clone()));
        tasks.spawn("rw-defaults", member::follow_defaults(node.clone(), tasks.token()));
        if let Some(address) = config.member.common.metrics_address {
            node.member.metrics.serve(address, tasks).await.map_err(Error::Metrics)?;
        }
        tracing::info!(addresses = ?listening.addresses, dir = %config.member.dbpath.display(), "shard is ready");
        Ok(node)
    }

    /// Takes over the identity that is stored, if there is one: from a start before, or by replication.
    ///
    /// # Errors
    /// A failure of storage, or an identity that does not read.
    fn load_identity(&self) -> Result<(), Fault> {
        match self.stored_identity()? {
            Some(identity) => self.gate.set_identity(identity),
            None => Ok(()),
        }
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

    /// Takes an identity for good: a majority has it first.
    ///
    /// # Errors
    /// `IllegalOperation` (20) where this shard has another one.
    pub async fn join(&self, identity: &Identity) -> Result<(), Fault> {
        if let Some(known) = self.gate.identity() {
            known.check_same(identity).map_err(|error| error.fault())?;
        }
        let doc = RawDocumentBuf::try_from(&identity.to_document())
            .map_err(|error| Fault::internal(error.to_string()))?;
        tokio::task::block_in_place(|| self.put("admin.system.version", &doc))?;
        self.settle().await?;
        self.gate.set_identity(identity.clone())
    }

    /// Writes a document in the place of the one with its `_id`. Blocks.
    pub(crate) fn put(&self, ns: &str, doc: &RawDocumentBuf) -> Result<(), Fault> {
        let store = &self.member.store;
        let ns = Namespace::parse(ns)?;
        if store.catalog().get(&ns).is_none() {
            match store.create_collection(&ns, None, RawDocumentBuf::new().as_ref()) {
                Ok(_) | Err(storage::Error::NamespaceExists { .. }) => {}
                Err(error) => return Err(error.fault()),
            }
        }
        let id = doc.get("_id").ok().flatten().ok_or_else(|| Fault::internal("document without _id"))?;
        loop {
            let catalog = store.catalog();
            let collection = catalog.get(&ns).ok_or_else(|| Fault::internal(format!("{ns} was not made")))?;
            let key = collection.record_key(id);
            let mut batch = store.batch(store.snapshot());
            match batch.get(collection, &key)? {
                Some(old) => batch.update(collection, &key, &old, doc)?,
                None => drop(batch.insert(collection, doc)?),
            }
            match batch.commit(storage::CommitMeta::default()) {
                Ok(_) => return Ok(()),
                Err(storage::Error::WriteConflict | storage::Error::DuplicateKey(_)) => {}
                Err(error) => return Err(error.fault()),
            }
        }
    }

    /// Ends when a majority has everything that was written here until now.
    ///
    /// # Errors
    /// The reason why no majority can be had in time.
    pub(crate) async fn settle(&self) -> Result<(), Fault> {
        let deadline = Some(Instant::now() + SETTLE_TIMEOUT);
        let written = self.member.store.last_op_time();
        match self.member.acknowledge(written, &WriteConcern::default(), deadline).await? {
            None => Ok(()),
            Some(error) => Err(Fault::new(error.code, error.message)
                .context("a majority of the shard's members did not take it in time")),
        }
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

    fn gossip_settled(&self) -> Option<Gossip> {
        member::gossip_settled(&self.member)
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
        if let Err(fault) = self.check_config_term(spec, request) {
            return Some(Box::pin(std::future::ready(Err(fault))));
        }
        let admitted = member::admit(&self.member, spec, ctx);
        let routed = self.admit_routed(spec, ctx, request);
        match (admitted, routed) {
            (None, routed) => routed,
            (Some(admitted), None) => Some(Box::pin(async move { admitted.await.map(|()| None) })),
            (Some(admitted), Some(routed)) => Some(Box::pin(async move {
                admitted.await?;
                routed.await
            })),
        }
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

impl Node {
    /// Refuses what an earlier primary of the config server still asks for, once a later one was heard of.
    fn check_config_term(&self, spec: &Spec<Node>, request: &Request) -> Result<(), Fault> {
        if !spec.internal_only || !spec.name.starts_with("_shardsvr") {
            return Ok(());
        }
        match request.body.get("configTerm") {
            Ok(Some(RawBsonRef::Int64(term))) => self.gate.hear_config_term(term),
            _ => Ok(()),
        }
    }

    /// The gate of versions, for requests of routers.
    fn admit_routed(
        self: &Arc<Self>,
        spec: &Spec<Node>,
        ctx: &Context,
        request: &Request,
    ) -> Option<BoxFuture<Result<Admitted, Fault>>> {
        let routing = ctx.routing.clone()?;
        if routing.shard_version.is_none() && routing.database_version.is_none() {
            return None;
        }
        if !self.gate.has_identity()
            && let Err(fault) = self.load_identity()
        {
            return Some(Box::pin(std::future::ready(Err(fault))));
        }
        let ns = match routed_namespace(spec, ctx, request) {
            Ok(ns) => ns,
            Err(fault) => return Some(Box::pin(std::future::ready(Err(fault)))),
        };
        // Only writers hold their place: a critical section need not wait for readers, who read at their own time.
        let holds = spec.access.is_change();
        let term = holds.then(|| self.member.replication.view().term);
        let keep = move |inside: crate::ownership::Admitted| -> Admitted {
            inside.filter(|_| holds).map(|inside| Box::new(inside) as Box<dyn std::any::Any + Send>)
        };
        if let Some(inside) = self.gate.try_admit(ns.as_ref(), &ctx.envelope.db, &routing, term) {
            return match keep(inside) {
                None => None,
                kept => Some(Box::pin(std::future::ready(Ok(kept)))),
            };
        }
        let node = self.clone();
        let db = ctx.envelope.db.clone();
        Some(Box::pin(async move { node.gate.admit(ns.as_ref(), &db, &routing, term).await.map(keep) }))
    }
}

impl HasEngine for Node {
    fn engine(&self) -> &Arc<Engine> {
        &self.member.engine
    }

    fn surroundings(&self) -> &dyn Surroundings {
        &self.member
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

    fn check_keeps_defaults(&self, command: &str) -> Result<(), Fault> {
        match self.gate.identity() {
            None => Ok(()),
            Some(_) => Err(Fault::new(
                Code::Location(51301),
                format!("'{command}' is not supported on shard nodes; run it on a router"),
            )),
        }
    }
}

impl HasMember for Node {
    fn member(&self) -> &Member {
        &self.member
    }
}

impl Player for Node {
    fn became_primary(self: Arc<Self>, term: i64) -> BoxFuture<Result<(), Fault>> {
        Box::pin(async move {
            self.load_identity()?;
            let sections = self.stored_sections()?;
            self.gate.take_office(term, &sections).await?;
            sections.into_iter().for_each(|(ns, _)| self.clean_later(ns));
            Ok(())
        })
    }

    fn stepped_down(&self) {
        self.gate.leave_office();
    }

    fn rolled_back(&self) {
        // Who this shard is was certain before anybody heard of it, but what is known of collections may be of a lost time.
        self.gate.leave_office();
        self.member.tasks.spawn("doubt", self.gate.doubt_all());
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
