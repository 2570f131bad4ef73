//! `_configsvrShardCollection`: deals a collection over the shards by a key.

use super::{client, spec, with_name};
use crate::metadata::HasMetadata;
use bson::doc;
use command::{Access, Context, Reply, Request, ShardCollection, Spec};
use std::sync::Arc;
use types::Fault;

pub(super) fn entry<S: HasMetadata>() -> Spec<S> {
    spec(
        "_configsvrShardCollection",
        Access::Admin,
        "deals a collection over the shards by a key",
        |server, ctx, request| Box::pin(run(server, ctx, request)),
    )
}

async fn run<S: HasMetadata>(server: Arc<S>, ctx: Context, request: Request) -> Result<Reply, Fault> {
    let command = ShardCollection::parse(&with_name(&request, "shardCollection")?, &ctx.envelope)?;
    let sharded = server.metadata().shard_collection(command, client(&ctx)).await?;
    Reply::try_from(
        doc! { "collectionsharded": sharded.ns.as_str(), "collectionUUID": sharded.uuid.to_bson() },
    )
}
