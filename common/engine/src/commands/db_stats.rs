//! `dbStats`.

use super::on_collection;
use crate::{HasEngine, stats};
use bson::{RawDocumentBuf, cstr};
use command::{Access, DbStats, Reply, Spec};

pub(super) fn spec<S: HasEngine>() -> Spec<S> {
    let spec = on_collection(
        "dbStats",
        Access::Inspect,
        "sizes of a database",
        |host: std::sync::Arc<S>, ctx, request| {
            Box::pin(async move {
                let request = DbStats::parse(&request, &ctx.envelope)?;
                let mut reply = RawDocumentBuf::new();
                reply.append(cstr!("db"), request.db.as_str());
                stats::database(host.engine(), &request.db, request.scale, &mut reply);
                if let Some(disk) = host.surroundings().disk() {
                    reply.append(cstr!("fsUsedSize"), disk.used as f64 / request.scale as f64);
                    reply.append(cstr!("fsTotalSize"), disk.total as f64 / request.scale as f64);
                }
                Ok(Reply::from(reply))
            })
        },
    );
    Spec { aliases: &["dbstats"], names_collection: false, ..spec }
}
