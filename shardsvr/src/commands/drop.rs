//! `_shardsvrDropCollection`, `_shardsvrDropDatabase`, `_shardsvrForgetDatabase`: this shard's part of a drop.

use super::{fields, internal};
use crate::node::Node;
use command::{Reply, Spec};
use types::{Code, Fault, Namespace};

pub(super) const COLLECTION: Spec<Node> =
    internal("_shardsvrDropCollection", "drops this shard's part of a collection", |node, _, request| {
        Box::pin(async move {
            let ns = fields::namespace(&request)?;
            if !node.gate.is_critical(&ns) {
                return Err(Fault::new(Code::IllegalOperation, format!("{ns} is not in a critical section")));
            }
            let dropped = tokio::task::block_in_place(|| drop_collection(&node, &ns))?;
            node.settle().await?;
            drop(node.member.engine.cursors().kill_namespace(&ns));
            Ok(bson::rawdoc! { "existed": dropped }.into())
        })
    });

pub(super) const DATABASE: Spec<Node> =
    internal("_shardsvrDropDatabase", "drops this shard's part of a database", |node, _, request| {
        Box::pin(async move {
            let db = fields::text(&request)?;
            tokio::task::block_in_place(|| node.member.store.drop_database(db))?;
            node.settle().await?;
            node.gate.forget_database(db).await;
            Ok(Reply::ok())
        })
    });

pub(super) const FORGET: Spec<Node> = internal(
    "_shardsvrForgetDatabase",
    "asks the config server anew about a database",
    |node, _, request| {
        Box::pin(async move {
            node.gate.forget_database(fields::text(&request)?).await;
            Ok(Reply::ok())
        })
    },
);

fn drop_collection(node: &Node, ns: &Namespace) -> Result<bool, Fault> {
    let store = &node.member.store;
    if store.catalog().get(ns).is_none() {
        return Ok(false);
    }
    store.drop_collection(ns).map_err(|error| error.fault())?;
    Ok(true)
}
