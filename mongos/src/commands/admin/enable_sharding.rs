//! `enableSharding`: makes a database known, with a home shard.

use crate::commands::{admin_spec, config_server};
use crate::node::Node;
use command::{Context, EnableSharding, Reply, Request, Spec};
use std::sync::Arc;
use types::Fault;

pub(crate) const SPEC: Spec<Node> =
    admin_spec("enableSharding", "makes a database known, with a home shard", |node, ctx, request| {
        Box::pin(run(node, ctx, request))
    });

async fn run(node: Arc<Node>, ctx: Context, request: Request) -> Result<Reply, Fault> {
    let enable = EnableSharding::parse(&request, &ctx.envelope)?;
    let reply = config_server::forward_as(&node, &ctx, "_configsvrEnableSharding", &request).await;
    node.routing.forget_database(&enable.db);
    reply
}
