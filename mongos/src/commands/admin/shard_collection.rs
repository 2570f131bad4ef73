//! `shardCollection`: deals a collection over the shards.

use crate::commands::{admin_spec, config_server};
use crate::node::Node;
use command::{Context, Reply, Request, ShardCollection, Spec};
use std::sync::Arc;
use types::Fault;

pub(crate) const SPEC: Spec<Node> =
    admin_spec("shardCollection", "deals a collection over the shards", |node, ctx, request| {
        Box::pin(run(node, ctx, request))
    });

async fn run(node: Arc<Node>, ctx: Context, request: Request) -> Result<Reply, Fault> {
    let shard = ShardCollection::parse(&request, &ctx.envelope)?;
    let reply = config_server::forward_as(&node, &ctx, "_configsvrShardCollection", &request).await;
    node.routing.forget(&shard.ns);
    reply
}
