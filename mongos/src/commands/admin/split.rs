//! `split`: makes two chunks out of one.

use crate::commands::{admin_spec, config_server};
use crate::node::Node;
use command::{Context, Reply, Request, Spec, Split};
use std::sync::Arc;
use types::Fault;

pub(crate) const SPEC: Spec<Node> =
    admin_spec("split", "makes two chunks out of one", |node, ctx, request| {
        Box::pin(run(node, ctx, request))
    });

async fn run(node: Arc<Node>, ctx: Context, request: Request) -> Result<Reply, Fault> {
    let split = Split::parse(&request, &ctx.envelope)?;
    let reply = config_server::forward_as(&node, &ctx, "_configsvrSplit", &request).await;
    node.routing.forget(&split.ns);
    reply
}
