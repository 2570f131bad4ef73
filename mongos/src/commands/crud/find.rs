//! `find`: one shard's answer passed on, or several shards' cursors merged.

use super::open_cursor;
use crate::commands::spec;
use crate::node::Node;
use crate::routing::{Route, Target};
use crate::scatter::{MergedCursor, fan_out_heard, routed, target_filter};
use crate::shards::Sending;
use command::{Access, Context, CursorReply, Find, Reply, Request, Spec};
use std::sync::Arc;
use types::Fault;

pub(crate) const SPEC: Spec<Node> =
    spec("find", Access::Read, "finds documents of a collection", |node, ctx, request| {
        Box::pin(run(node, ctx, request))
    });

async fn run(node: Arc<Node>, ctx: Context, request: Request) -> Result<Reply, Fault> {
    let find = Find::parse(&request, &ctx.envelope)?;
    routed!(&node, &ctx, &find.ns, |route| on_route(&node, &ctx, &request, &find, route).await)
}

async fn on_route(
    node: &Arc<Node>,
    ctx: &Context,
    request: &Request,
    find: &Find,
    route: &Route,
) -> Result<Reply, Fault> {
    let parse = node.parse_context(find.let_vars.as_ref(), route.collation(&find.collation)?)?;
    let targeted = target_filter(route, &find.filter, &parse)?;
    match targeted.targets.as_slice() {
        [] => CursorReply::first(&find.ns).finish(0),
        [target] => {
            let heard = node.hear(ctx, target, request, Sending::Read).await?;
            open_cursor::pass_on_tail(node, ctx, &find.ns, &target.shard, heard, find.tailable)
        }
        _ if find.tailable => Err(Fault::bad_value(format!(
            "error processing query: ns={} :: caused by :: tailable cursor requested on non capped collection",
            find.ns
        ))),
        targets => {
            let is_sorted = find.sort.is_some();
            let shard_request = find.for_each_shard(request)?;
            let targets: Vec<Target> =
                targets.iter().map(|target| target.clone().with_sort_key(is_sorted)).collect();
            let answers =
                fan_out_heard(node, ctx, &targets, Sending::Read, |_| Ok(shard_request.clone())).await;
            let remotes = open_cursor::remotes(node, ctx, &find.ns, answers).await?;
            let cursor = MergedCursor::new(find.ns.clone(), ctx.envelope.session, remotes)
                .sorted(is_sorted)
                .window(find.skip, find.limit.map(std::num::NonZero::get));
            open_cursor::first_batch(node, ctx, cursor, find.batch_size, find.single_batch).await
        }
    }
}
