//! `setDefaultRWConcern` and `getDefaultRWConcern`: kept by the config server, for the whole cluster.

use crate::commands::{admin_spec, config_server};
use crate::defaults;
use crate::node::Node;
use command::{Access, Context, GetDefaultRwConcern, Reply, Request, SetDefaultRwConcern, Spec};
use std::sync::Arc;
use types::{Fault, WriteConcern};

pub(crate) const SET: Spec<Node> =
    admin_spec("setDefaultRWConcern", "the concerns of clients that name none", |node, ctx, request| {
        Box::pin(set(node, ctx, request))
    });

pub(crate) const GET: Spec<Node> = Spec {
    access: Access::Inspect,
    ..admin_spec("getDefaultRWConcern", "the concerns of clients that name none", |node, ctx, request| {
        Box::pin(get(node, ctx, request))
    })
};

async fn set(node: Arc<Node>, ctx: Context, request: Request) -> Result<Reply, Fault> {
    SetDefaultRwConcern::parse(&request, &ctx.envelope)?;
    let reply = config_server::forward_as(&node, &ctx, "setDefaultRWConcern", &request).await?;
    defaults::reload(&node).await?;
    Ok(reply)
}

async fn get(node: Arc<Node>, ctx: Context, request: Request) -> Result<Reply, Fault> {
    if !GetDefaultRwConcern::parse(&request, &ctx.envelope)?.in_memory {
        return config_server::forward_as(&node, &ctx, "getDefaultRWConcern", &request).await;
    }
    let known = node.defaults.get().map(|set| (*set).clone()).unwrap_or_default();
    let mut reply = known.to_reply(&WriteConcern::default(), node.defaults.loaded_millis());
    reply.insert("inMemory", true);
    Reply::try_from(reply)
}
