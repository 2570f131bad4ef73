//! `listIndexes`: what the home shard says; all shards of a collection have the same.

use super::everywhere::on_home;
use crate::commands::crud::open_cursor;
use crate::commands::spec;
use crate::node::Node;
use crate::shards::Sending;
use command::{Access, Context, ListIndexes, Reply, Request, Spec};
use std::sync::Arc;
use types::{Code, Fault};

pub(crate) const SPEC: Spec<Node> =
    spec("listIndexes", Access::Inspect, "lists indexes", |node, ctx, request| {
        Box::pin(run(node, ctx, request))
    });

async fn run(node: Arc<Node>, ctx: Context, request: Request) -> Result<Reply, Fault> {
    let list = ListIndexes::parse(&request, &ctx.envelope)?;
    match on_home(&node, &ctx, &list.ns, &request, Sending::Read).await? {
        Some((shard, heard)) => open_cursor::pass_on(&node, &ctx, &list.ns, &shard, heard),
        None => Err(Fault::new(Code::NamespaceNotFound, format!("ns does not exist: {}", list.ns))),
    }
}
