//! `create`.

use super::on_collection;
use crate::{HasEngine, ddl};
use command::{Access, Create, Spec};

pub(super) fn spec<S: HasEngine>() -> Spec<S> {
    on_collection("create", Access::Admin, "makes a collection", |host, ctx, request| {
        Box::pin(async move { ddl::create(&*host, &ctx, &Create::parse(&request, &ctx.envelope)?).await })
    })
}
