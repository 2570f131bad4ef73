//! `convertToCapped`: on the home shard; a sharded collection has no order of its own, and so no oldest document.

use super::everywhere::on_home;
use crate::commands::spec;
use crate::node::Node;
use crate::shards::Sending;
use command::{Access, Context, ConvertToCapped, Reply, Request, Spec};
use std::sync::Arc;
use types::{Code, Fault};

pub(crate) const SPEC: Spec<Node> =
    spec("convertToCapped", Access::Admin, "makes a collection capped", |node, ctx, request| {
        Box::pin(run(node, ctx, request))
    });

async fn run(node: Arc<Node>, ctx: Context, request: Request) -> Result<Reply, Fault> {
    let convert = ConvertToCapped::parse(&request, &ctx.envelope)?;
    if node.routing.route(&convert.ns).await?.collection().is_some() {
        return Err(Fault::new(Code::IllegalOperation, "you can't convertToCapped a sharded collection"));
    }
    match on_home(&node, &ctx, &convert.ns, &request, Sending::Write).await? {
        Some((_, heard)) => Ok(heard.reply),
        None => Err(Fault::new(
            Code::NamespaceNotFound,
            format!("source collection {} does not exist", convert.ns),
        )),
    }
}
