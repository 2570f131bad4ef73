//! `collMod`: on every shard that has the collection.

use super::everywhere::on_holders;
use crate::commands::spec;
use crate::node::Node;
use command::{Access, CollMod, Context, Reply, Request, Spec};
use std::sync::Arc;
use types::Fault;

pub(crate) const SPEC: Spec<Node> =
    spec("collMod", Access::Admin, "changes options of a collection", |node, ctx, request| {
        Box::pin(run(node, ctx, request))
    });

async fn run(node: Arc<Node>, ctx: Context, request: Request) -> Result<Reply, Fault> {
    let change = CollMod::parse(&request, &ctx.envelope)?;
    on_holders(&node, &ctx, &change.ns, &request).await
}
