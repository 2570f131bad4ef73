//! `count`: the sum of the shards' counts.

use crate::commands::spec;
use crate::node::Node;
use crate::scatter::{fan_out, routed, target_filter};
use crate::shards::Sending;
use command::{Access, Context, Count, Reply, Request, Spec};
use std::sync::Arc;
use types::Fault;

pub(crate) const SPEC: Spec<Node> =
    spec("count", Access::Read, "counts documents", |node, ctx, request| Box::pin(run(node, ctx, request)));

async fn run(node: Arc<Node>, ctx: Context, request: Request) -> Result<Reply, Fault> {
    let count = Count::parse(&request, &ctx.envelope)?;
    routed!(&node, &ctx, &count.ns, |route| {
        let parse = node.parse_context(None, route.collation(&count.collation)?)?;
        let targeted = target_filter(route, &count.filter, &parse)?;
        match targeted.targets.as_slice() {
            [] => Ok(bson::rawdoc! { "n": 0 }.into()),
            [target] => node.ask(&ctx, target, &request, Sending::Read).await,
            targets => {
                let shard_request = count.for_each_shard(&request)?;
                let mut sum = 0_i64;
                for (_, answer) in
                    fan_out(&node, &ctx, targets, Sending::Read, |_| Ok(shard_request.clone())).await
                {
                    sum += number(&answer?)?;
                }
                let skip = i64::try_from(count.skip).unwrap_or(i64::MAX);
                let limit =
                    count.limit.map_or(i64::MAX, |limit| i64::try_from(limit.get()).unwrap_or(i64::MAX));
                let n = (sum - skip).clamp(0, limit);
                Ok(match i32::try_from(n) {
                    Ok(n) => bson::rawdoc! { "n": n }.into(),
                    Err(_) => bson::rawdoc! { "n": n }.into(),
                })
            }
        }
    })
}

fn number(reply: &Reply) -> Result<i64, Fault> {
    match reply.doc.get("n") {
        Ok(Some(bson::RawBsonRef::Int32(n))) => Ok(i64::from(n)),
        Ok(Some(bson::RawBsonRef::Int64(n))) => Ok(n),
        _ => Err(Fault::internal("a shard's count has no n")),
    }
}
