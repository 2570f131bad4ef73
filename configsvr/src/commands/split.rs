//! `_configsvrSplit`: makes two chunks out of one.

use super::{client, spec, with_name};
use crate::metadata::HasMetadata;
use command::{Access, Context, Reply, Request, Spec, Split};
use std::sync::Arc;
use types::Fault;

pub(super) fn entry<S: HasMetadata>() -> Spec<S> {
    spec("_configsvrSplit", Access::Admin, "makes two chunks out of one", |server, ctx, request| {
        Box::pin(run(server, ctx, request))
    })
}

async fn run<S: HasMetadata>(server: Arc<S>, ctx: Context, request: Request) -> Result<Reply, Fault> {
    let command = Split::parse(&with_name(&request, "split")?, &ctx.envelope)?;
    server.metadata().split(command, client(&ctx)).await?;
    Ok(Reply::ok())
}
