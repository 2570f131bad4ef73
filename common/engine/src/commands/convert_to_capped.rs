//! `convertToCapped`.

use super::on_collection;
use crate::{HasEngine, ddl};
use command::{Access, ConvertToCapped, Spec};

pub(super) fn spec<S: HasEngine>() -> Spec<S> {
    on_collection("convertToCapped", Access::Admin, "makes a collection capped", |host, ctx, request| {
        Box::pin(async move {
            ddl::convert_to_capped(&*host, &ctx, &ConvertToCapped::parse(&request, &ctx.envelope)?).await
        })
    })
}
