//! `_configsvrEnableSharding`: makes a database known to the cluster.

use super::{client, spec, with_name};
use crate::metadata::HasMetadata;
use command::{Access, Context, EnableSharding, Reply, Request, Spec};
use std::sync::Arc;
use types::Fault;

pub(super) fn entry<S: HasMetadata>() -> Spec<S> {
    spec(
        "_configsvrEnableSharding",
        Access::Admin,
        "makes a database known to the cluster",
        |server, ctx, request| Box::pin(run(server, ctx, request)),
    )
}

async fn run<S: HasMetadata>(server: Arc<S>, ctx: Context, request: Request) -> Result<Reply, Fault> {
    let command = EnableSharding::parse(&with_name(&request, "enableSharding")?, &ctx.envelope)?;
    server.metadata().create_database(&command.db, command.primary.as_ref(), &client(&ctx)).await?;
    Ok(Reply::ok())
}
