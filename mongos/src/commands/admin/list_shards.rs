//! `listShards`: lists the shards.

use crate::commands::{admin_spec, config_server};
use crate::node::Node;
use command::{Context, ListShards, Reply, Request, Spec};
use std::sync::Arc;
use types::Fault;

pub(crate) const SPEC: Spec<Node> =
    admin_spec("listShards", "lists the shards", |node, ctx, request| Box::pin(run(node, ctx, request)));

async fn run(node: Arc<Node>, ctx: Context, request: Request) -> Result<Reply, Fault> {
    ListShards::parse(&request, &ctx.envelope)?;
    config_server::forward_as(&node, &ctx, "_configsvrListShards", &request).await
}
