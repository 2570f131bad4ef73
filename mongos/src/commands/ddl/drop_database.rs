//! `dropDatabase`: the config server drops it on every shard and forgets it.

use crate::commands::{config_server, spec};
use crate::node::Node;
use command::{Access, Context, DropDatabase, Reply, Request, Spec};
use std::sync::Arc;
use types::{Code, Fault};

pub(crate) const SPEC: Spec<Node> = Spec {
    names_collection: false,
    ..spec("dropDatabase", Access::Admin, "drops a database", |node, ctx, request| {
        Box::pin(run(node, ctx, request))
    })
};

async fn run(node: Arc<Node>, ctx: Context, request: Request) -> Result<Reply, Fault> {
    let drop = DropDatabase::parse(&request, &ctx.envelope)?;
    if matches!(drop.db.as_str(), "admin" | "config") {
        return Err(Fault::new(
            Code::IllegalOperation,
            format!("Dropping the '{}' database is prohibited.", drop.db),
        ));
    }
    let reply = config_server::forward_as(&node, &ctx, "_configsvrDropDatabase", &request).await;
    node.routing.forget_database(&drop.db);
    reply
}
