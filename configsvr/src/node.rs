//! The composition root of a config server, and the state that commands run against.

use crate::config::Config;
use crate::metadata::{HasMetadata, Metadata};
use crate::replica;
use bson::Document;
use command::{BoxFuture, Context, Request, Spec};
use engine::{Engine, HasEngine, Surroundings};
use frontend::{Admitted, Front, Frontend, Gossip, Hello, Host, Registry};
use member::{Error, HasMember, Member, Peers, Player};
use repl::{HasReplication, Replication};
use runtime::telemetry::Recent;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::watch;
use types::{Fault, SessionId, Timestamp};

/// A config server.
pub struct Node {
    pub member: Member,
    metadata: Arc<Metadata>,
}

impl Node {
    /// Starts a config server; clients and peers are served when this returns.
    ///
    /// # Errors
    /// A directory that cannot be used, an address that cannot be listened on.
    pub async fn start(config: &Config, recent: Recent) -> Result<Arc<Node>, Error> {
        let member = Member::open(&config.member, config.port, "configsvr", "configsvr", recent)?;
        let replication = member.replication.clone();
        let replica = replica::Member { replication: replication.clone(), waits: member.waits() };
        let address = move || member::own_address(&replication);
        let metadata = Metadata::new(
            member.store.clone(),
            Arc::new(replica),
            member.pool.clone(),
            address,
            &member.tasks,
        );
        let node = Arc::new(Node { member, metadata });
        let mut table = frontend::commands::<Node>();
        table.extend(engine::commands::<Node>());
        table.extend(repl::commands::<Node>());
        table.extend(member::commands::<Node>());
        table.extend(command::missing(member::MISSING));
        table.extend(crate::commands::commands::<Node>());
        let registry = Arc::new(Registry::new(table)?);
        let tasks = &node.member.tasks;
        let listening =
            Frontend::start(node.clone(), registry.clone(), config.member.listen(config.port), tasks).await?;
        let service = node.member.replication.add_service(node.metadata.clone().routes());
        rpc::serve(
            Arc::new(Peers::new(node.clone(), registry)),
            Some(service),
            listening.grpc_incoming,
            tasks,
        );
        let primary = node.clone();
        let is_primary = move || primary.member.replication.check_writable().is_ok();
        let (metadata, pool) = (node.metadata.clone(), node.member.pool.clone());
        tasks.spawn("shard-hosts", crate::shard_hosts::follow(metadata, pool, is_primary));
        let stop = tasks.token();
        let expiry = engine::TtlMonitor::run(node.clone(), async move { stop.cancelled().await });
        tasks.spawn("ttl-monitor", expiry);
        tasks.spawn("part", member::follow(node.clone()));
        tasks.spawn("rw-defaults", member::follow_defaults(node.clone(), tasks.token()));
        if let Some(address) = config.member.common.metrics_address {
            node.member.metrics.serve(address, tasks).await.map_err(Error::Metrics)?;
        }
        tracing::info!(addresses = ?listening.addresses, dir = %config.member.dbpath.display(), "config server is ready");
        Ok(node)
    }
}

impl HasMetadata for Node {
    fn metadata(&self) -> &Arc<Metadata> {
        &self.metadata
    }
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

    fn admit(
        self: &Arc<Self>,
        spec: &Spec<Self>,
        ctx: &Context,
        _request: &Request,
    ) -> Option<BoxFuture<Result<Admitted, Fault>>> {
        let admitted = member::admit(&self.member, spec, ctx);
        let waits = spec.name.starts_with("_configsvr") && !self.metadata.is_ready();
        if admitted.is_none() && !waits {
            return None;
        }
        let metadata = self.metadata.clone();
        Some(Box::pin(async move {
            if let Some(admitted) = admitted {
                admitted.await?;
            }
            if waits {
                metadata.ready().await;
            }
            Ok(None)
        }))
    }

    fn observe(&self, cluster_time: Timestamp) -> Result<(), Fault> {
        runtime::clock::check_ahead(cluster_time)?;
        self.member.clock.observe(cluster_time);
        Ok(())
    }

    fn server_status(&self, status: &mut Document) {
        member::server_status(&self.member, status);
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

    fn surroundings(&self) -> &dyn Surroundings {
        &self.member
    }

    fn identity(&self) -> engine::Identity {
        engine::Identity {
            host: self.member.replication.identity().host.clone(),
            shard: Some("config".to_owned()),
        }
    }

    fn defaults_changed(&self) {
        self.metadata.tell_defaults();
    }
}

impl HasMember for Node {
    fn member(&self) -> &Member {
        &self.member
    }
}

impl Player for Node {
    fn became_primary(self: Arc<Self>, _term: i64) -> BoxFuture<Result<(), Fault>> {
        Box::pin(async move { self.metadata.initialise().await })
    }

    fn stepped_down(&self) {
        self.metadata.resign();
    }

    fn rolled_back(&self) {
        self.metadata.resign();
    }
}

impl HasReplication for Node {
    fn replication(&self) -> &Arc<Replication> {
        &self.member.replication
    }
}
