//! `dropIndexes`.

use super::on_collection;
use crate::{HasEngine, ddl};
use command::{Access, DropIndexes, Spec};

pub(super) fn spec<S: HasEngine>() -> Spec<S> {
    let spec = on_collection(
        "dropIndexes",
        Access::Admin,
        "removes indexes of a collection",
        |host: std::sync::Arc<S>, ctx, request| {
            Box::pin(async move {
                ddl::drop_indexes(&*host, &ctx, &DropIndexes::parse(&request, &ctx.envelope)?).await
            })
        },
    );
    Spec { aliases: &["deleteIndexes"], ..spec }
}
