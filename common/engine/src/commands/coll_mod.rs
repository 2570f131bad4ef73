//! `collMod`.

use super::on_collection;
use crate::{HasEngine, ddl};
use command::{Access, CollMod, Spec};

pub(super) fn spec<S: HasEngine>() -> Spec<S> {
    on_collection("collMod", Access::Admin, "changes an index of a collection", |host, ctx, request| {
        Box::pin(async move { ddl::coll_mod(&*host, &ctx, &CollMod::parse(&request, &ctx.envelope)?).await })
    })
}
