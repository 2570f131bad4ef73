//! `collStats`.

use super::on_collection;
use crate::{HasEngine, stats};
use bson::{RawDocumentBuf, cstr};
use command::{Access, CollStats, Reply, Spec};

pub(super) fn spec<S: HasEngine>() -> Spec<S> {
    let spec = on_collection(
        "collStats",
        Access::Inspect,
        "sizes of a collection",
        |host: std::sync::Arc<S>, ctx, request| {
            Box::pin(async move {
                let request = CollStats::parse(&request, &ctx.envelope)?;
                let engine = host.engine();
                let collection = engine.store().catalog().get(&request.ns).cloned();
                let mut reply = RawDocumentBuf::new();
                reply.append(cstr!("ns"), request.ns.as_str());
                for element in
                    stats::collection(engine, collection.as_deref(), request.scale).iter().flatten()
                {
                    reply.append(element.0, element.1);
                }
                Ok(Reply::from(reply))
            })
        },
    );
    Spec { aliases: &["collstats"], ..spec }
}
