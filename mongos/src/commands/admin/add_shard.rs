//! `addShard`: joins a replica set to the cluster.

use crate::commands::{admin_spec, config_server};
use crate::node::Node;
use command::{AddShard, Context, Reply, Request, Spec};
use std::sync::Arc;
use types::Fault;

pub(crate) const SPEC: Spec<Node> =
    admin_spec("addShard", "joins a replica set to the cluster", |node, ctx, request| {
        Box::pin(run(node, ctx, request))
    });

async fn run(node: Arc<Node>, ctx: Context, request: Request) -> Result<Reply, Fault> {
    AddShard::parse(&request, &ctx.envelope)?;
    let reply = config_server::forward_as(&node, &ctx, "_configsvrAddShard", &request).await?;
    node.shards.refresh().await?;
    Ok(reply)
}
