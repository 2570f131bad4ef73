//! `listCollections`: what the home shard of the database says.

use super::everywhere::on_home;
use crate::commands::crud::open_cursor;
use crate::commands::spec;
use crate::node::Node;
use crate::shards::Sending;
use command::{Access, Context, CursorReply, ListCollections, Reply, Request, Spec};
use std::sync::Arc;
use types::{Fault, Namespace};

pub(crate) const SPEC: Spec<Node> = Spec {
    names_collection: false,
    ..spec("listCollections", Access::Inspect, "lists collections", |node, ctx, request| {
        Box::pin(run(node, ctx, request))
    })
};

async fn run(node: Arc<Node>, ctx: Context, request: Request) -> Result<Reply, Fault> {
    let list = ListCollections::parse(&request, &ctx.envelope)?;
    let ns = Namespace::command_cursor(&list.db, "listCollections")?;
    match on_home(&node, &ctx, &ns, &request, Sending::Read).await? {
        Some((shard, heard)) => open_cursor::pass_on(&node, &ctx, &ns, &shard, heard),
        None => CursorReply::first(&ns).finish(0),
    }
}
