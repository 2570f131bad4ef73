//! `listDatabases`: the shards' lists together with the config server's, sizes added up.

use crate::commands::{config_server, spec};
use crate::node::Node;
use crate::routing::Target;
use crate::scatter::fan_out;
use crate::shards::Sending;
use bson::{Document, doc};
use command::{Access, Context, ListDatabases, Reply, Request, Rewrite, Spec};
use query::matcher::Matcher;
use std::collections::BTreeMap;
use std::sync::Arc;
use types::Fault;

pub(crate) const SPEC: Spec<Node> = Spec {
    admin_only: true,
    names_collection: false,
    ..spec("listDatabases", Access::Inspect, "lists databases", |node, ctx, request| {
        Box::pin(run(node, ctx, request))
    })
};

async fn run(node: Arc<Node>, ctx: Context, request: Request) -> Result<Reply, Fault> {
    let list = ListDatabases::parse(&request, &ctx.envelope)?;
    // Sizes are known only together, so filters and short forms apply here.
    let shard_request = Rewrite::of(&request).remove("filter").set("nameOnly", false).finish()?;
    let mut targets: Vec<Target> =
        node.shards.all().await?.keys().map(|shard| Target { shard: shard.clone(), routing: None }).collect();
    targets.push(config_server::target());
    let mut sizes: BTreeMap<String, (i64, Document)> = BTreeMap::new();
    for (shard, answer) in fan_out(&node, &ctx, &targets, Sending::Read, |_| Ok(shard_request.clone())).await
    {
        let reply = Document::try_from(answer?.doc.as_ref()).map_err(query::context::invalid_bson)?;
        for database in reply.get_array("databases").map(|list| list.as_slice()).unwrap_or_default() {
            let Some(database) = database.as_document() else { continue };
            let name = database.get_str("name").unwrap_or_default();
            // Each member's own; and what a shard keeps in admin and config is its own business.
            if name == "local" || (matches!(name, "admin" | "config") && shard != types::ShardId::config()) {
                continue;
            }
            let size = match database.get("sizeOnDisk") {
                Some(bson::Bson::Int64(size)) => *size,
                Some(bson::Bson::Int32(size)) => i64::from(*size),
                Some(bson::Bson::Double(size)) => *size as i64,
                _ => 0,
            };
            let entry = sizes.entry(name.to_owned()).or_default();
            entry.0 += size;
            entry.1.insert(shard.as_str(), size);
        }
    }
    let filter = Matcher::parse(&list.filter, &node.parse_context(None, None)?)?;
    let mut databases = Vec::new();
    let mut total = 0;
    for (name, (size, by_shard)) in sizes {
        let whole = doc! { "name": &name, "sizeOnDisk": size, "empty": false, "shards": by_shard };
        if !filter.is_match_all() {
            let raw =
                bson::RawDocumentBuf::try_from(&whole).map_err(|error| Fault::internal(error.to_string()))?;
            if !filter.matches(&raw)? {
                continue;
            }
        }
        total += size;
        databases.push(if list.name_only {
            doc! { "name": name }
        } else {
            whole
        });
    }
    let mut reply = doc! { "databases": databases };
    if !list.name_only {
        reply.insert("totalSize", total);
        reply.insert("totalSizeMb", total / (1024 * 1024));
    }
    Reply::try_from(reply)
}
