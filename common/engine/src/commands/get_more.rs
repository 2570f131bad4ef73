//! `getMore`.

use crate::{HasEngine, cursor};
use command::{Access, GetMore, Spec};

pub(super) fn spec<S: HasEngine>() -> Spec<S> {
    let run = |host: std::sync::Arc<S>,
               ctx: command::Context,
               request: command::Request|
     -> command::BoxFuture<_> {
        Box::pin(async move {
            let request = GetMore::parse(&request, &ctx.envelope)?;
            cursor::more(&*host, &ctx, &request).await
        })
    };
    Spec {
        name: "getMore",
        aliases: &[],
        access: Access::Read,
        admin_only: false,
        internal_only: false,
        names_collection: false,
        help: "the next batch of a cursor",
        run,
    }
}
