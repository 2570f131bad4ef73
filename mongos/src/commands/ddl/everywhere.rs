//! Changing a collection on every shard that has it.

use crate::node::Node;
use crate::routing::{Route, Target};
use crate::scatter::{fan_out, routed};
use crate::shards::{Heard, Sending};
use bson::{Document, RawDocumentBuf};
use command::{Context, Reply, Request};
use std::collections::BTreeMap;
use std::sync::Arc;
use types::{Fault, Namespace, ShardId};

/// The shards that have the collection: its home, and each that owns chunks.
fn holders(route: &Route) -> Vec<Target> {
    let mut targets: BTreeMap<ShardId, Target> =
        route.home().into_iter().map(|target| (target.shard.clone(), target)).collect();
    if route.collection().is_some() {
        for target in route.everywhere() {
            targets.insert(target.shard.clone(), target);
        }
    }
    targets.into_values().collect()
}

/// Runs the command on all of them. Where one fails the fault names it; the others may have done it: sending the command again is
/// harmless for commands that say "already so".
///
/// # Errors
/// The first shard's fault; `NamespaceNotFound` (26) where there is no such database.
pub(super) async fn on_holders(
    node: &Arc<Node>,
    ctx: &Context,
    ns: &Namespace,
    request: &Request,
) -> Result<Reply, Fault> {
    routed!(node, ctx, ns, |route| {
        let targets = holders(route);
        let mut raw = Document::new();
        let mut first: Option<RawDocumentBuf> = None;
        for (shard, answer) in fan_out(node, ctx, &targets, Sending::Write, |_| Ok(request.clone())).await {
            match answer {
                Ok(reply) => {
                    raw.insert(
                        shard.as_str(),
                        Document::try_from(reply.doc.as_ref()).map_err(query::context::invalid_bson)?,
                    );
                    first.get_or_insert(reply.doc);
                }
                Err(fault) if fault.code.is_stale_route() || targets.len() == 1 => return Err(fault),
                Err(fault) => return Err(fault.context(format!("on shard {shard}"))),
            }
        }
        let Some(mut doc) = first else {
            return Err(Fault::new(types::Code::NamespaceNotFound, format!("ns does not exist: {ns}")));
        };
        if targets.len() > 1 {
            let raw = RawDocumentBuf::try_from(&raw).map_err(|error| Fault::internal(error.to_string()))?;
            doc.append(bson::raw::cstr!("raw"), raw);
        }
        Ok(doc.into())
    })
}

/// Runs the command on the home shard of the database.
///
/// # Errors
/// The shard's fault. `None` where there is no such database.
pub(super) async fn on_home(
    node: &Arc<Node>,
    ctx: &Context,
    ns: &Namespace,
    request: &Request,
    sending: Sending,
) -> Result<Option<(ShardId, Heard)>, Fault> {
    routed!(node, ctx, ns, |route| {
        let Some(target) = route.home() else { return Ok(None) };
        let heard = node.hear(ctx, &target, request, sending).await?;
        Ok(Some((target.shard, heard)))
    })
}
