//! `collStats`: sizes added up over the shards, with each shard's own beside them.

use super::sums::{fitting, number, sum};
use crate::commands::spec;
use crate::node::Node;
use crate::scatter::{fan_out, routed};
use crate::shards::Sending;
use bson::{Document, doc};
use command::{Access, CollStats, Context, Reply, Request, Spec};
use std::sync::Arc;
use types::Fault;

pub(crate) const SPEC: Spec<Node> = Spec {
    aliases: &["collstats"],
    ..spec("collStats", Access::Inspect, "sizes of a collection", |node, ctx, request| {
        Box::pin(run(node, ctx, request))
    })
};

async fn run(node: Arc<Node>, ctx: Context, request: Request) -> Result<Reply, Fault> {
    let stats = CollStats::parse(&request, &ctx.envelope)?;
    routed!(&node, &ctx, &stats.ns, |route| {
        let targets = route.everywhere();
        let mut shards = Document::new();
        for (shard, answer) in fan_out(&node, &ctx, &targets, Sending::Read, |_| Ok(request.clone())).await {
            let part = Document::try_from(answer?.doc.as_ref()).map_err(query::context::invalid_bson)?;
            shards.insert(shard.as_str(), part);
        }
        let parts: Vec<&Document> = shards.values().filter_map(bson::Bson::as_document).collect();
        let mut index_sizes = Document::new();
        for sizes in parts.iter().filter_map(|part| part.get_document("indexSizes").ok()) {
            for name in sizes.keys() {
                let so_far = number(&index_sizes, name);
                index_sizes.insert(name, fitting(so_far + number(sizes, name)));
            }
        }
        let (count, size) = (sum(parts.iter().copied(), "count"), sum(parts.iter().copied(), "size"));
        let mut whole = doc! {
            "sharded": route.collection().is_some(),
            "capped": parts.iter().any(|part| part.get_bool("capped").unwrap_or(false)),
            "ns": stats.ns.as_str(),
            "count": fitting(count),
            "size": fitting(size),
            "storageSize": fitting(sum(parts.iter().copied(), "storageSize")),
            "totalIndexSize": fitting(sum(parts.iter().copied(), "totalIndexSize")),
            "totalSize": fitting(sum(parts.iter().copied(), "totalSize")),
            "indexSizes": index_sizes,
            "nindexes": fitting(parts.iter().map(|part| number(part, "nindexes")).max().unwrap_or(0)),
            "scaleFactor": fitting(stats.scale),
        };
        // A capped collection is on one shard only.
        for name in ["max", "maxSize"] {
            if let Some(bound) = parts.iter().find_map(|part| part.get(name)) {
                whole.insert(name, bound.clone());
            }
        }
        if count > 0 {
            // Sizes are scaled, the average is in bytes.
            whole.insert("avgObjSize", fitting(size.saturating_mul(stats.scale) / count));
        }
        if let Some(collection) = route.collection() {
            whole.insert(
                "nchunks",
                fitting(i64::try_from(collection.chunks.chunks().len()).unwrap_or(i64::MAX)),
            );
        }
        whole.insert("shards", shards);
        Reply::try_from(whole)
    })
}
