//! `dropIndexes`: on every shard that has the collection. The index that supports the shard key stays.

use super::everywhere::on_holders;
use crate::commands::spec;
use crate::node::Node;
use command::{Access, Context, DropIndexes, Reply, Request, Spec};
use std::sync::Arc;
use types::Fault;

pub(crate) const SPEC: Spec<Node> = Spec {
    aliases: &["deleteIndexes"],
    ..spec("dropIndexes", Access::Admin, "drops indexes", |node, ctx, request| {
        Box::pin(run(node, ctx, request))
    })
};

async fn run(node: Arc<Node>, ctx: Context, request: Request) -> Result<Reply, Fault> {
    let drop = DropIndexes::parse(&request, &ctx.envelope)?;
    on_holders(&node, &ctx, &drop.ns, &request).await
}
