//! `_configsvrAddShard`: joins a replica set to the cluster.

use super::{client, spec, with_name};
use crate::metadata::HasMetadata;
use bson::doc;
use command::{Access, AddShard, Context, Reply, Request, Spec};
use std::sync::Arc;
use types::Fault;

pub(super) fn entry<S: HasMetadata>() -> Spec<S> {
    spec("_configsvrAddShard", Access::Admin, "joins a replica set to the cluster", |server, ctx, request| {
        Box::pin(run(server, ctx, request))
    })
}

async fn run<S: HasMetadata>(server: Arc<S>, ctx: Context, request: Request) -> Result<Reply, Fault> {
    let command = AddShard::parse(&with_name(&request, "addShard")?, &ctx.envelope)?;
    let added = server.metadata().add_shard(command, client(&ctx)).await?;
    Reply::try_from(doc! { "shardAdded": added.as_str() })
}
