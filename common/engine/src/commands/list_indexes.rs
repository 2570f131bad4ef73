//! `listIndexes`.

use super::on_collection;
use crate::{HasEngine, ddl};
use command::{Access, ListIndexes, Spec};

pub(super) fn spec<S: HasEngine>() -> Spec<S> {
    on_collection("listIndexes", Access::Inspect, "the indexes of a collection", |host, ctx, request| {
        Box::pin(async move {
            ddl::list_indexes(&*host, &ctx, &ListIndexes::parse(&request, &ctx.envelope)?).await
        })
    })
}
