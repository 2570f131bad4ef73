//! `insert`.

use super::on_collection;
use crate::HasEngine;
use crate::write::{Job, insert_documents};
use command::{Access, Insert, Spec};

pub(super) fn spec<S: HasEngine>() -> Spec<S> {
    on_collection("insert", Access::Write, "new documents for a collection", |host, ctx, request| {
        Box::pin(async move {
            let insert = Insert::parse(&request, &ctx.envelope)?;
            let mut job = Job::new(&*host, &ctx, &insert.ns, None)?;
            let options = &insert.options;
            let inserted =
                insert_documents(&mut job, &insert.documents, &options.statements, options.ordered).await;
            let mut outcome = inserted.map_err(|fault| job.ended_by(fault))?;
            outcome.write_concern_error = job.acknowledge().await?;
            Ok(outcome.to_reply())
        })
    })
}
