//! `drop`: the config server drops the collection on every shard and forgets its chunks, in one order for all.

use crate::commands::{config_server, spec};
use crate::node::Node;
use crate::shards::Sending;
use command::{Access, Context, Drop, Reply, Request, Spec};
use std::sync::Arc;
use types::Fault;

pub(crate) const SPEC: Spec<Node> =
    spec("drop", Access::Admin, "drops a collection", |node, ctx, request| Box::pin(run(node, ctx, request)));

async fn run(node: Arc<Node>, ctx: Context, request: Request) -> Result<Reply, Fault> {
    let drop = Drop::parse(&request, &ctx.envelope)?;
    if matches!(drop.ns.db(), "admin" | "config") {
        return node.ask(&ctx, &config_server::target(), &request, Sending::Write).await;
    }
    let reply = config_server::forward_as(&node, &ctx, "_configsvrDropCollection", &request).await;
    node.routing.forget(&drop.ns);
    reply
}
