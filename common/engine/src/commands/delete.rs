//! `delete`.

use super::on_collection;
use crate::HasEngine;
use crate::write::{Job, concerns_command, delete_statement};
use command::{Access, Delete, Spec, WriteError, WriteOutcome};

pub(super) fn spec<S: HasEngine>() -> Spec<S> {
    on_collection("delete", Access::Write, "removes documents of a collection", |host, ctx, request| {
        Box::pin(async move {
            let delete = Delete::parse(&request, &ctx.envelope)?;
            let options = &delete.options;
            let mut job = Job::new(&*host, &ctx, &delete.ns, options.let_vars.as_ref())?;
            let mut outcome = WriteOutcome::default();
            for (index, statement) in delete.deletes.iter().enumerate() {
                let id = options.statements.of(index);
                match delete_statement(&mut job, statement, id).await {
                    Ok(deleted) => {
                        outcome.n += deleted.n;
                        if deleted.retried {
                            outcome.retried_statements.push(id);
                        }
                    }
                    Err(fault) if concerns_command(&fault) => return Err(job.ended_by(fault)),
                    Err(fault) => {
                        outcome.errors.push(WriteError { index, fault });
                        if options.ordered {
                            break;
                        }
                    }
                }
            }
            outcome.write_concern_error = job.acknowledge().await?;
            Ok(outcome.to_reply())
        })
    })
}
