//! `dbStats`: sizes added up over all shards, with each shard's own under `raw`.

use super::sums::{fitting, number, sum};
use crate::commands::spec;
use crate::node::Node;
use crate::routing::Target;
use crate::scatter::fan_out;
use crate::shards::Sending;
use bson::{Document, doc};
use command::{Access, Context, DbStats, Reply, Request, Spec};
use std::sync::Arc;
use types::Fault;

pub(crate) const SPEC: Spec<Node> = Spec {
    aliases: &["dbstats"],
    names_collection: false,
    ..spec("dbStats", Access::Inspect, "sizes of a database", |node, ctx, request| {
        Box::pin(run(node, ctx, request))
    })
};

async fn run(node: Arc<Node>, ctx: Context, request: Request) -> Result<Reply, Fault> {
    let stats = DbStats::parse(&request, &ctx.envelope)?;
    let targets: Vec<Target> = match stats.db.as_str() {
        "admin" | "config" => vec![crate::commands::config_server::target()],
        _ => {
            let shards = node.shards.all().await?;
            shards.values().map(|shard| Target { shard: shard.id.clone(), routing: None }).collect()
        }
    };
    let mut raw = Document::new();
    for (shard, answer) in fan_out(&node, &ctx, &targets, Sending::Read, |_| Ok(request.clone())).await {
        let part = Document::try_from(answer?.doc.as_ref()).map_err(query::context::invalid_bson)?;
        raw.insert(node.shards.get(&shard).await?.address.to_string(), part);
    }
    let parts: Vec<Document> = raw.values().filter_map(bson::Bson::as_document).cloned().collect();
    let objects = sum(&parts, "objects");
    let data = sum(&parts, "dataSize");
    let average = if objects > 0 { (data * stats.scale) as f64 / objects as f64 } else { 0.0 };
    let mut whole = doc! {
        "raw": raw,
        "db": &stats.db,
        // A sharded collection is on several shards; the home has all.
        "collections": fitting(parts.iter().map(|part| number(part, "collections")).max().unwrap_or(0)),
        "views": fitting(sum(&parts, "views")),
        "objects": fitting(objects),
        "avgObjSize": average,
    };
    for name in [
        "dataSize",
        "storageSize",
        "totalFreeStorageSize",
        "indexes",
        "indexSize",
        "totalSize",
        "fsUsedSize",
        "fsTotalSize",
    ] {
        whole.insert(name, fitting(sum(&parts, name)));
    }
    whole.insert("scaleFactor", fitting(stats.scale));
    Reply::try_from(whole)
}
