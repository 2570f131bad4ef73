//! `validate`: every shard checks its part.

use crate::commands::spec;
use crate::node::Node;
use crate::scatter::{fan_out, routed};
use crate::shards::Sending;
use bson::{Document, doc};
use command::{Access, Context, Reply, Request, Spec, Validate};
use std::sync::Arc;
use types::{Code, Fault};

pub(crate) const SPEC: Spec<Node> =
    spec("validate", Access::Inspect, "checks a collection", |node, ctx, request| {
        Box::pin(run(node, ctx, request))
    });

async fn run(node: Arc<Node>, ctx: Context, request: Request) -> Result<Reply, Fault> {
    let validate = Validate::parse(&request, &ctx.envelope)?;
    routed!(&node, &ctx, &validate.ns, |route| {
        let targets = route.everywhere();
        if targets.is_empty() {
            return Err(Fault::new(
                Code::NamespaceNotFound,
                format!("Collection '{}' does not exist to validate.", validate.ns),
            ));
        }
        if let [target] = targets.as_slice() {
            return node.ask(&ctx, target, &request, Sending::Read).await;
        }
        let mut raw = Document::new();
        let mut valid = true;
        for (shard, answer) in fan_out(&node, &ctx, &targets, Sending::Read, |_| Ok(request.clone())).await {
            let part = Document::try_from(answer?.doc.as_ref()).map_err(query::context::invalid_bson)?;
            valid &= part.get_bool("valid").unwrap_or(false);
            raw.insert(shard.as_str(), part);
        }
        Reply::try_from(doc! { "ns": validate.ns.as_str(), "valid": valid, "raw": raw })
    })
}
