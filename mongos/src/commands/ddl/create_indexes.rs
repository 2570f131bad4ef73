//! `createIndexes`: on every shard that has the collection, which is made on its home shard where it is missing.

use super::everywhere::on_holders;
use crate::commands::spec;
use crate::node::Node;
use command::{Access, Context, CreateIndexes, Reply, Request, Spec};
use std::sync::Arc;
use types::Fault;
use value::Collation;

pub(crate) const SPEC: Spec<Node> =
    spec("createIndexes", Access::Admin, "builds indexes", |node, ctx, request| {
        Box::pin(run(node, ctx, request))
    });

async fn run(node: Arc<Node>, ctx: Context, request: Request) -> Result<Reply, Fault> {
    let create = CreateIndexes::parse(&request, &ctx.envelope)?;
    let route = node.routing.route_or_create(&create.ns).await?;
    if let Some(collection) = route.collection() {
        let inherited = route.collation(&Collation::Inherited)?;
        for index in &create.indexes {
            if index.unique && index.collation.over(inherited.as_ref()).is_some() {
                // Values that are equal under it may lie on different shards.
                return Err(Fault::new(
                    types::Code::CannotCreateIndex,
                    "a unique index of a sharded collection must have the collation {locale: 'simple'}",
                ));
            }
            if index.unique && !begins_with_key(&index.key, &collection.key) {
                return Err(Fault::new(
                    types::Code::CannotCreateIndex,
                    format!(
                        "cannot create unique index over {} with shard key pattern {}: a unique index of a sharded collection must begin with the shard key",
                        bson::Document::try_from(&*index.key).map_err(query::context::invalid_bson)?,
                        collection.key.pattern()
                    ),
                ));
            }
        }
    }
    on_holders(&node, &ctx, &create.ns, &request).await
}

/// Whether the index can keep values unique over all shards: the shard key's fields come first, none of them hashed.
fn begins_with_key(index: &bson::RawDocument, key: &sharding::ShardKey) -> bool {
    let mut fields = index.iter();
    key.fields().iter().all(|field| {
        !field.hashed && matches!(fields.next(), Some(Ok((name, _))) if name.as_str() == &*field.path)
    })
}
