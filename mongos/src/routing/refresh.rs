//! Hearing of metadata changes as they happen, so that a stale route is seldom met. Only a help: correctness comes from versions.
//! Routes outlive the config server: what was missed while it was not heard is found out when a shard refuses it.

use crate::node::Node;
use rpc::cluster::{self, change};
use std::sync::Arc;
use std::time::Duration;
use types::Namespace;

/// Wait between tries to reach the config server.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Follows the config server's changes until the process stops.
pub async fn watch(node: Arc<Node>) {
    let stop = node.tasks.token();
    let mut was_open = true;
    while !stop.is_cancelled() {
        let outcome = tokio::select! {
            outcome = follow(&node) => outcome,
            () = stop.cancelled() => return,
        };
        // Changes will be missed; a shard that refuses a route says so.
        if was_open && let Err(status) = &outcome {
            tracing::info!(%status, "config server is not heard; routes are kept until a shard refuses them");
        }
        was_open = outcome.is_ok();
        tokio::select! {
            () = tokio::time::sleep(RETRY_INTERVAL) => {}
            () = stop.cancelled() => return,
        }
    }
}

async fn follow(node: &Node) -> Result<(), tonic::Status> {
    let config = &node.shards.config().client;
    let mut elections = config.changes();
    let peer = config.primary(None).await.map_err(|fault| tonic::Status::unavailable(fault.message))?;
    let request = cluster::WatchRequest { name: node.name.clone(), router: true };
    let mut changes = peer.config().watch(request).await?.into_inner();
    tracing::debug!(host = %peer.host(), "following the config server's changes");
    loop {
        let change = tokio::select! {
            change = changes.message() => change?,
            // Only the primary tells of changes.
            _ = elections.changed() => match *config.preferred_host() == **peer.host() {
                true => continue,
                false => return Ok(()),
            },
        };
        let Some(change) = change else { return Ok(()) };
        match change.what {
            Some(change::What::Collection(ns)) => match Namespace::parse(&ns) {
                Ok(ns) => node.routing.forget(&ns),
                Err(_) => node.routing.forget_all(),
            },
            Some(change::What::Database(db)) => node.routing.forget_database(&db),
            Some(change::What::Shards(_)) => {
                if let Err(fault) = node.shards.refresh().await {
                    tracing::warn!(%fault, "shards could not be read");
                }
            }
            Some(change::What::Defaults(_)) => node.defaults.changed(),
            None => {}
        }
    }
}
