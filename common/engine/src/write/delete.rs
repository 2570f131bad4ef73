//! One statement of a delete: of the first match or of all.

use super::attempt::{Attempt, Failure, Patience};
use super::history::Recorded;
use super::job::Job;
use super::multi::{self, Change};
use super::target::Seek;
use command::DeleteStatement;
use std::time::Instant;
use types::{Fault, OpTime};

/// What one statement came to.
#[derive(Debug, Default)]
pub(crate) struct Deleted {
    pub(crate) n: u64,
    /// It had been executed before, and this is what it came to then.
    pub(crate) retried: bool,
}

/// Executes a statement.
///
/// # Errors
/// What concerns this statement alone.
pub(crate) async fn delete_statement(
    job: &mut Job<'_>,
    statement: &DeleteStatement,
    statement_id: i32,
) -> Result<Deleted, Fault> {
    job.ctx.check(Instant::now())?;
    job.collate(&statement.collation);
    let mut seek = Seek::parse(job, &statement.filter, None, statement.hint.as_ref())?;
    if statement.multi {
        job.refuse_retryable_multi()?;
        let counts = multi::run(job, &mut seek, &Change::Delete).await?;
        return Ok(Deleted { n: counts.changed, retried: false });
    }
    let mut patience = Patience::default();
    loop {
        match delete_one(job, &seek, statement_id).await {
            Ok((deleted, at)) => {
                job.committed(at);
                return Ok(deleted);
            }
            Err(failure) => patience.after(job.ctx, failure).await?,
        }
    }
}

async fn delete_one(
    job: &Job<'_>,
    seek: &Seek,
    statement_id: i32,
) -> Result<(Deleted, Option<OpTime>), Failure> {
    let mut attempt = Attempt::begin(job.engine, job.retry.as_ref())?;
    if let Some(recorded) = attempt.executed(statement_id)? {
        return Ok((Deleted { n: recorded.n, retried: true }, None));
    }
    let Some(collection) = job.collection() else { return Ok((Deleted::default(), None)) };
    let Some(hit) = seek.first(job, &attempt.snapshot, &collection).await? else {
        return Ok((Deleted::default(), None));
    };
    attempt.delete(&collection, &hit.key, &hit.doc)?;
    attempt.record(statement_id, Recorded::one)?;
    let at = attempt.commit()?;
    Ok((Deleted { n: 1, retried: false }, at))
}
