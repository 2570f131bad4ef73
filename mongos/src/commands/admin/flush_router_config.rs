//! `flushRouterConfig`: throws routes away; they are read anew as they are needed.

use crate::commands::admin_spec;
use crate::node::Node;
use command::{Context, FlushRouterConfig, Reply, Request, Spec};
use std::sync::Arc;
use types::{Fault, Namespace};

pub(crate) const SPEC: Spec<Node> =
    admin_spec("flushRouterConfig", "throws cached routes away", |node, ctx, request| {
        Box::pin(run(node, ctx, request))
    });

async fn run(node: Arc<Node>, ctx: Context, request: Request) -> Result<Reply, Fault> {
    match FlushRouterConfig::parse(&request, &ctx.envelope)? {
        FlushRouterConfig::All => node.routing.forget_all(),
        FlushRouterConfig::Database(db) => node.routing.forget_database(&db),
        FlushRouterConfig::Collection(ns) => {
            let ns: Namespace = ns;
            node.routing.forget(&ns);
        }
    }
    Ok(bson::rawdoc! { "flushed": true }.into())
}
