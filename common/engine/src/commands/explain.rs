//! `explain`.

use super::on_collection;
use crate::op_context::refuse_transaction;
use crate::{HasEngine, explain};
use command::{Access, Explain, Spec};

pub(super) fn spec<S: HasEngine>() -> Spec<S> {
    let spec = on_collection(
        "explain",
        Access::Inspect,
        "how another command would run",
        |host: std::sync::Arc<S>, ctx, request| {
            Box::pin(async move {
                let request = Explain::parse(&request, &ctx.envelope)?;
                refuse_transaction(&ctx)?;
                explain::explain(&*host, &ctx, &request).await
            })
        },
    );
    Spec { names_collection: false, ..spec }
}
