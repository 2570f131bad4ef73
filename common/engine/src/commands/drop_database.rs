//! `dropDatabase`.

use super::on_collection;
use crate::{HasEngine, ddl};
use command::{Access, DropDatabase, Spec};

pub(super) fn spec<S: HasEngine>() -> Spec<S> {
    let spec = on_collection(
        "dropDatabase",
        Access::Admin,
        "removes a database",
        |host: std::sync::Arc<S>, ctx, request| {
            Box::pin(async move {
                ddl::drop_database(&*host, &ctx, &DropDatabase::parse(&request, &ctx.envelope)?).await
            })
        },
    );
    Spec { names_collection: false, ..spec }
}
