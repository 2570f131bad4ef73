//! `drop`.

use super::on_collection;
use crate::{HasEngine, ddl};
use command::{Access, Drop, Spec};

pub(super) fn spec<S: HasEngine>() -> Spec<S> {
    on_collection("drop", Access::Admin, "removes a collection", |host, ctx, request| {
        Box::pin(async move { ddl::drop(&*host, &ctx, &Drop::parse(&request, &ctx.envelope)?).await })
    })
}
