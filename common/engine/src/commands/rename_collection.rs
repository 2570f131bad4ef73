//! `renameCollection`.

use super::on_collection;
use crate::{HasEngine, ddl};
use command::{Access, RenameCollection, Spec};

pub(super) fn spec<S: HasEngine>() -> Spec<S> {
    let spec = on_collection(
        "renameCollection",
        Access::Admin,
        "another name for a collection",
        |host: std::sync::Arc<S>, ctx, request| {
            Box::pin(async move {
                ddl::rename(&*host, &ctx, &RenameCollection::parse(&request, &ctx.envelope)?).await
            })
        },
    );
    Spec { names_collection: false, admin_only: true, ..spec }
}
