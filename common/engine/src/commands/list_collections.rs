//! `listCollections`.

use super::on_collection;
use crate::{HasEngine, ddl};
use command::{Access, ListCollections, Spec};

pub(super) fn spec<S: HasEngine>() -> Spec<S> {
    let spec = on_collection(
        "listCollections",
        Access::Inspect,
        "the collections of a database",
        |host: std::sync::Arc<S>, ctx, request| {
            Box::pin(async move {
                ddl::list_collections(&*host, &ctx, &ListCollections::parse(&request, &ctx.envelope)?).await
            })
        },
    );
    Spec { names_collection: false, ..spec }
}
