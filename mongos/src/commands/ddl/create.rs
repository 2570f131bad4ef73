//! `create`: makes a collection on the home shard of its database.

use super::everywhere::on_home;
use crate::commands::spec;
use crate::node::Node;
use crate::shards::Sending;
use command::{Access, Context, Create, Reply, Request, Spec};
use std::sync::Arc;
use types::{Code, Fault};

pub(crate) const SPEC: Spec<Node> =
    spec("create", Access::Admin, "makes a collection", |node, ctx, request| {
        Box::pin(run(node, ctx, request))
    });

async fn run(node: Arc<Node>, ctx: Context, request: Request) -> Result<Reply, Fault> {
    let create = Create::parse(&request, &ctx.envelope)?;
    node.routing.route_or_create(&create.ns).await?;
    match on_home(&node, &ctx, &create.ns, &request, Sending::Write).await? {
        Some((_, heard)) => Ok(heard.reply),
        None => Err(Fault::new(
            Code::NamespaceNotFound,
            format!("database {} was dropped meanwhile", create.ns.db()),
        )),
    }
}
