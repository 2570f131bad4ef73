//! `_configsvrDropCollection`: drops a collection on all shards.

use super::{client, spec, with_name};
use crate::metadata::HasMetadata;
use bson::doc;
use command::{Access, Context, Drop, Reply, Request, Spec};
use std::sync::Arc;
use types::Fault;

pub(super) fn entry<S: HasMetadata>() -> Spec<S> {
    spec(
        "_configsvrDropCollection",
        Access::Admin,
        "drops a collection on all shards",
        |server, ctx, request| Box::pin(run(server, ctx, request)),
    )
}

async fn run<S: HasMetadata>(server: Arc<S>, ctx: Context, request: Request) -> Result<Reply, Fault> {
    let command = Drop::parse(&with_name(&request, "drop")?, &ctx.envelope)?;
    let dropped = server.metadata().drop_collection(command.ns.clone(), command.uuid, client(&ctx)).await?;
    match dropped {
        Some(dropped) => {
            Reply::try_from(doc! { "nIndexesWas": dropped.index_count, "ns": command.ns.as_str() })
        }
        None => Ok(Reply::ok()),
    }
}
