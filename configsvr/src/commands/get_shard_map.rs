//! `_configsvrGetShardMap`: lists the connection strings of the cluster.

use super::{spec, with_name};
use crate::metadata::HasMetadata;
use bson::{Document, doc};
use command::{Access, Context, GetShardMap, Reply, Request, Spec};
use std::sync::Arc;
use types::Fault;

pub(super) fn entry<S: HasMetadata>() -> Spec<S> {
    spec(
        "_configsvrGetShardMap",
        Access::Inspect,
        "lists the connection strings of the cluster",
        |server, ctx, request| Box::pin(run(server, ctx, request)),
    )
}

async fn run<S: HasMetadata>(server: Arc<S>, ctx: Context, request: Request) -> Result<Reply, Fault> {
    let command = GetShardMap::parse(&with_name(&request, "getShardMap")?, &ctx.envelope)?;
    let GetShardMap = command;
    let metadata = server.metadata();
    let config = metadata.own_address()?.to_string();
    let listed = metadata.view()?.shards()?;
    let sets = listed
        .iter()
        .map(|shard| (shard.id.as_str(), shard.host.as_str()))
        .chain([("config", config.as_str())]);
    let (mut map, mut hosts, mut strings) = (Document::new(), Document::new(), Document::new());
    for (name, connection) in sets {
        map.insert(name, connection);
        strings.insert(connection, name);
        for host in connection.rsplit('/').next().unwrap_or_default().split(',') {
            hosts.insert(host, name);
        }
    }
    Reply::try_from(doc! { "map": map, "hosts": hosts, "connStrings": strings })
}
