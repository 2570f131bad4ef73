//! `_configsvrDropDatabase`: drops a database on all shards.

use super::{client, spec, with_name};
use crate::metadata::HasMetadata;
use bson::doc;
use command::{Access, Context, DropDatabase, Reply, Request, Spec};
use std::sync::Arc;
use types::Fault;

pub(super) fn entry<S: HasMetadata>() -> Spec<S> {
    spec("_configsvrDropDatabase", Access::Admin, "drops a database on all shards", |server, ctx, request| {
        Box::pin(run(server, ctx, request))
    })
}

async fn run<S: HasMetadata>(server: Arc<S>, ctx: Context, request: Request) -> Result<Reply, Fault> {
    let command = DropDatabase::parse(&with_name(&request, "dropDatabase")?, &ctx.envelope)?;
    match server.metadata().drop_database(command.db.clone(), client(&ctx)).await? {
        true => Reply::try_from(doc! { "dropped": command.db }),
        false => Ok(Reply::ok()),
    }
}
