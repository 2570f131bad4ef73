//! `killOp` on a router: its own operations by number, those of shards as `$currentOp` names them (`"shard:opid"`).

use crate::node::Node;
use crate::routing::Target;
use crate::shards::Sending;
use bson::{RawBsonRef, doc};
use command::{Context, Reply, Request, Spec};
use frontend::commands::kill_op;
use std::sync::Arc;
use types::{Code, Fault, ShardId};

pub(crate) const SPEC: Spec<Node> =
    Spec::admin("killOp", "asks a running operation to stop", |node, ctx, request| {
        Box::pin(run(node, ctx, request))
    });

async fn run(node: Arc<Node>, ctx: Context, request: Request) -> Result<Reply, Fault> {
    let Ok(Some(RawBsonRef::String(op))) = request.body.get("op") else {
        return kill_op::run(&*node, &ctx, &request);
    };
    let (shard, id) = parse(op)?;
    if !node.shards.all().await?.contains_key(&shard) {
        return Err(Fault::new(Code::ShardNotFound, format!("Shard '{shard}' not found")));
    }
    let ask = Request::from_body(bson::rawdoc! { "killOp": 1, "op": id, "$db": "admin" });
    let target = Target { shard: shard.clone(), routing: None };
    node.ask(&ctx, &target, &ask, Sending::Idempotent).await?;
    Reply::try_from(doc! { "info": "attempting to kill op", "shard": shard.as_str(), "shardid": id })
}

/// Shard and number.
///
/// # Errors
/// 28625 where it is not `shard:number`.
pub(super) fn parse(op: &str) -> Result<(ShardId, i64), Fault> {
    let parts = op.rsplit_once(':').filter(|(shard, _)| !shard.is_empty());
    let parsed = parts.and_then(|(shard, id)| Some((ShardId::new(shard), id.parse().ok()?)));
    parsed.ok_or_else(|| {
        Fault::new(
            Code::Location(28625),
            format!("The op argument to killOp must be of the format shardid:opid but found \"{op}\""),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_is_named_by_shard_and_number() {
        assert_eq!(parse("rs:with:colons:12").unwrap(), (ShardId::new("rs:with:colons"), 12));
        for bad in ["", "12", ":12", "s1:", "s1:x", "s1:1.5"] {
            assert_eq!(parse(bad).unwrap_err().code.number(), 28625, "{bad}");
        }
    }
}
