//! `createIndexes`.

use super::on_collection;
use crate::{HasEngine, ddl};
use command::{Access, CreateIndexes, Spec};

pub(super) fn spec<S: HasEngine>() -> Spec<S> {
    on_collection("createIndexes", Access::Admin, "makes indexes of a collection", |host, ctx, request| {
        Box::pin(async move {
            ddl::create_indexes(&*host, &ctx, &CreateIndexes::parse(&request, &ctx.envelope)?).await
        })
    })
}
