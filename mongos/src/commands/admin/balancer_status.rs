//! `balancerStatus`: whether the balancer runs.

use crate::commands::{admin_spec, config_server};
use crate::node::Node;
use command::{BalancerStatus, Context, Reply, Request, Spec};
use std::sync::Arc;
use types::Fault;

pub(crate) const SPEC: Spec<Node> =
    admin_spec("balancerStatus", "whether the balancer runs", |node, ctx, request| {
        Box::pin(run(node, ctx, request))
    });

async fn run(node: Arc<Node>, ctx: Context, request: Request) -> Result<Reply, Fault> {
    BalancerStatus::parse(&request, &ctx.envelope)?;
    config_server::forward_as(&node, &ctx, "_configsvrBalancerStatus", &request).await
}
