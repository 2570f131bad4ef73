//! `findAndModify`.

use super::on_collection;
use crate::HasEngine;
use crate::write::{Job, find_and_modify};
use bson::cstr;
use command::{Access, FindAndModify, Reply, Spec};

pub(super) fn spec<S: HasEngine>() -> Spec<S> {
    let spec = on_collection(
        "findAndModify",
        Access::Write,
        "changes or removes one document and answers with it",
        |host: std::sync::Arc<S>, ctx, request| {
            Box::pin(async move {
                let request = FindAndModify::parse(&request, &ctx.envelope)?;
                let mut job = Job::new(&*host, &ctx, &request.ns, request.let_vars.as_ref())?;
                let mut reply = find_and_modify(&mut job, &request).await?;
                if let Some(error) = job.acknowledge().await? {
                    reply.append(cstr!("writeConcernError"), error.to_doc());
                }
                Ok(Reply::from(reply))
            })
        },
    );
    Spec { aliases: &["findandmodify"], ..spec }
}
