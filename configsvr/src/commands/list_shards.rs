//! `_configsvrListShards`: lists the shards.

use super::{spec, with_name};
use crate::metadata::HasMetadata;
use bson::{RawDocumentBuf, doc};
use command::{Access, Context, ListShards, Reply, Request, Spec};
use query::context::ParseContext;
use query::matcher::Matcher;
use runtime::clock::now_millis;
use std::sync::Arc;
use types::Fault;

pub(super) fn entry<S: HasMetadata>() -> Spec<S> {
    spec("_configsvrListShards", Access::Inspect, "lists the shards", |server, ctx, request| {
        Box::pin(run(server, ctx, request))
    })
}

async fn run<S: HasMetadata>(server: Arc<S>, ctx: Context, request: Request) -> Result<Reply, Fault> {
    let command = ListShards::parse(&with_name(&request, "listShards")?, &ctx.envelope)?;
    let filter = Matcher::parse(&command.filter, &ParseContext::at(now_millis()))?;
    let mut shards = Vec::new();
    for shard in server.metadata().view()?.shard_documents()? {
        let raw = RawDocumentBuf::try_from(&shard).map_err(|error| Fault::internal(error.to_string()))?;
        if filter.matches(&raw)? {
            shards.push(shard);
        }
    }
    Reply::try_from(doc! { "shards": shards })
}
