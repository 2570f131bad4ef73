//! `update`.

use super::on_collection;
use crate::HasEngine;
use crate::write::{Job, concerns_command, update_statement};
use command::{Access, Spec, Update, Upserted, WriteError, WriteOutcome};

pub(super) fn spec<S: HasEngine>() -> Spec<S> {
    on_collection("update", Access::Write, "changes documents of a collection", |host, ctx, request| {
        Box::pin(async move {
            let update = Update::parse(&request, &ctx.envelope)?;
            let options = &update.options;
            let mut job = Job::new(&*host, &ctx, &update.ns, options.let_vars.as_ref())?;
            let mut outcome = WriteOutcome { n_modified: Some(0), ..WriteOutcome::default() };
            for (index, statement) in update.updates.iter().enumerate() {
                let id = options.statements.of(index);
                match update_statement(&mut job, statement, id).await {
                    Ok(updated) => {
                        outcome.n += updated.n;
                        outcome.n_modified = outcome.n_modified.map(|n| n + updated.n_modified);
                        outcome.upserted.extend(updated.upserted.map(|id| Upserted { index, id }));
                        if updated.retried {
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
