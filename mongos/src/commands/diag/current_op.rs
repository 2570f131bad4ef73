//! `$currentOp` on a router: the operations of the shards, named as [`super::kill_op`] takes them, or with `localOps` the router's own.

use crate::node::Node;
use crate::routing::Target;
use crate::scatter::fan_out;
use crate::shards::Sending;
use bson::{RawBsonRef, RawDocument, RawDocumentBuf, cstr, rawdoc};
use command::{Aggregate, Context, CursorBatch, Request};
use frontend::commands::current_op;
use query::context::invalid_bson;
use std::sync::Arc;
use types::{Code, Fault, ShardId};
use value::SharedDoc;

/// More operations than any shard runs.
const BATCH: i64 = 1_000_000;

/// The documents of the stage.
///
/// # Errors
/// Those of its options; `InvalidNamespace` (73) on another database than `admin`; a shard's fault.
pub(crate) async fn current_operations(
    node: &Arc<Node>,
    ctx: &Context,
    aggregate: &Aggregate,
    stage: &RawDocument,
) -> Result<Vec<RawDocumentBuf>, Fault> {
    if aggregate.ns.db() != "admin" {
        return Err(Fault::new(
            Code::InvalidNamespace,
            "$currentOp must be run against the 'admin' database with {aggregate: 1}",
        ));
    }
    let options = current_op::StageOptions::parse(stage)?;
    if options.local {
        return current_op::raw_documents(frontend::Host::front(&**node), options.idle);
    }
    let ask = Request::from_body(rawdoc! {
        "aggregate": 1,
        "pipeline": [{ "$currentOp": stage.to_owned() }],
        "cursor": { "batchSize": BATCH },
        "$db": "admin",
    });
    let shards = node.shards.all().await?;
    let targets: Vec<Target> =
        shards.keys().map(|shard| Target { shard: shard.clone(), routing: None }).collect();
    let mut all = Vec::new();
    for (shard, answer) in fan_out(node, ctx, &targets, Sending::Read, |_| Ok(ask.clone())).await {
        for operation in &CursorBatch::parse(&SharedDoc::from(answer?.doc))?.documents {
            all.push(of_shard(&shard, operation)?);
        }
    }
    Ok(all)
}

/// As a client of the router sees it: with the shard, and an `opid` that says where it runs.
fn of_shard(shard: &ShardId, operation: &RawDocument) -> Result<RawDocumentBuf, Fault> {
    let mut out = rawdoc! { "shard": shard.as_str() };
    for field in operation.iter() {
        let (name, value) = field.map_err(invalid_bson)?;
        match (name.as_str(), value) {
            ("opid", RawBsonRef::Int32(id)) => out.append(name, format!("{shard}:{id}")),
            ("opid", RawBsonRef::Int64(id)) => out.append(name, format!("{shard}:{id}")),
            // The shard's client is this router.
            ("client", value) => out.append(cstr!("client_s"), value),
            (_, value) => out.append(name, value),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_of_a_shard_says_where_it_runs() {
        let shard = ShardId::new("s1");
        let told = of_shard(&shard, &rawdoc! { "opid": 7, "client": "h:1", "op": "query" }).unwrap();
        assert_eq!(told, rawdoc! { "shard": "s1", "opid": "s1:7", "client_s": "h:1", "op": "query" });
        assert_eq!(super::super::kill_op::parse("s1:7").unwrap(), (shard, 7));
    }
}
