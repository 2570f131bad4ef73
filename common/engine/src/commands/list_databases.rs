//! `listDatabases`.

use super::on_collection;
use crate::{HasEngine, ddl};
use command::{Access, ListDatabases, Spec};

pub(super) fn spec<S: HasEngine>() -> Spec<S> {
    let spec = on_collection(
        "listDatabases",
        Access::Inspect,
        "names and sizes of the databases",
        |host: std::sync::Arc<S>, ctx, request| {
            Box::pin(async move {
                ddl::list_databases(&*host, &ctx, &ListDatabases::parse(&request, &ctx.envelope)?)
            })
        },
    );
    Spec { names_collection: false, admin_only: true, ..spec }
}
