//! `distinct`: the shards' values together, each once, in order.

use crate::commands::spec;
use crate::node::Node;
use crate::scatter::{fan_out, routed, target_filter};
use crate::shards::Sending;
use bson::RawArrayBuf;
use command::{Access, Context, Distinct, Reply, Request, Spec};
use std::collections::BTreeMap;
use std::sync::Arc;
use types::{Code, Fault, limits};

pub(crate) const SPEC: Spec<Node> =
    spec("distinct", Access::Read, "the different values of a field", |node, ctx, request| {
        Box::pin(run(node, ctx, request))
    });

async fn run(node: Arc<Node>, ctx: Context, request: Request) -> Result<Reply, Fault> {
    let distinct = Distinct::parse(&request, &ctx.envelope)?;
    routed!(&node, &ctx, &distinct.ns, |route| {
        let parse = node.parse_context(None, route.collation(&distinct.collation)?)?;
        let targeted = target_filter(route, &distinct.filter, &parse)?;
        match targeted.targets.as_slice() {
            [] => Ok(bson::rawdoc! { "values": [] }.into()),
            [target] => node.ask(&ctx, target, &request, Sending::Read).await,
            targets => {
                let mut values: BTreeMap<Vec<u8>, bson::RawBson> = BTreeMap::new();
                for (_, answer) in fan_out(&node, &ctx, targets, Sending::Read, |_| Ok(request.clone())).await
                {
                    let reply = answer?;
                    let found = reply
                        .doc
                        .get_array("values")
                        .map_err(|_| Fault::internal("a shard's distinct has no values"))?;
                    for value in found {
                        let value = value.map_err(query::context::invalid_bson)?;
                        let mut key = Vec::new();
                        value::key::encode_under(&mut key, value, false, parse.collation.as_ref());
                        values.entry(key).or_insert_with(|| value.into());
                    }
                }
                let mut array = RawArrayBuf::new();
                for value in values.into_values() {
                    array.push(value);
                    if array.as_bytes().len() > limits::DOCUMENT_BYTES_MAX {
                        return Err(Fault::new(Code::Location(17217), "distinct too big, 16mb cap"));
                    }
                }
                Ok(bson::rawdoc! { "values": array }.into())
            }
        }
    })
}
