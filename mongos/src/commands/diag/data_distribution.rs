//! `$shardedDataDistribution`: how many documents and bytes of each sharded collection lie on each shard.

use super::sums::number;
use crate::node::Node;
use crate::scatter::fan_out;
use crate::shards::Sending;
use bson::{Document, RawDocumentBuf, doc};
use command::{Context, CursorBatch, Request};
use std::sync::Arc;
use types::{Fault, Namespace};
use value::SharedDoc;

/// One document for each sharded collection.
///
/// # Errors
/// A shard's fault.
pub(crate) async fn data_distribution(node: &Arc<Node>, ctx: &Context) -> Result<Vec<RawDocumentBuf>, Fault> {
    let list = Request::from_body(bson::rawdoc! {
        "find": "collections",
        "filter": { "unsplittable": { "$ne": true } },
        "projection": { "_id": 1 },
        "sort": { "_id": 1 },
        "batchSize": 1_000_000_i64,
        "$db": "config",
    });
    let config = crate::commands::config_server::target();
    let listed =
        CursorBatch::parse(&SharedDoc::from(node.ask(ctx, &config, &list, Sending::Read).await?.doc))?;
    let mut found = Vec::new();
    for collection in &listed.documents {
        let ns =
            Namespace::parse(collection.get_str("_id").map_err(|error| Fault::internal(error.to_string()))?)?;
        let route = node.routing.route(&ns).await?;
        let targets = route.everywhere();
        let stats = Request::from_body(bson::rawdoc! { "collStats": ns.collection(), "$db": ns.db() });
        let mut shards = Vec::new();
        for (shard, answer) in fan_out(node, ctx, &targets, Sending::Read, |_| Ok(stats.clone())).await {
            let part = Document::try_from(answer?.doc.as_ref()).map_err(query::context::invalid_bson)?;
            let orphans = number(&part, "numOrphanDocs");
            let average = number(&part, "avgObjSize");
            shards.push(doc! {
                "shardName": shard.as_str(),
                "numOrphanedDocs": orphans,
                "numOwnedDocuments": number(&part, "count") - orphans,
                "ownedSizeBytes": number(&part, "size") - orphans * average,
                "orphanedSizeBytes": orphans * average,
            });
        }
        let doc = doc! { "ns": ns.as_str(), "shards": shards };
        found.push(RawDocumentBuf::try_from(&doc).map_err(|error| Fault::internal(error.to_string()))?);
    }
    Ok(found)
}
