//! Inserts: many documents in one commit, one by one where they get in each other's way.

use super::attempt::{Attempt, Failure, Patience};
use super::history::Recorded;
use super::job::{Job, failed};
use super::prepare;
use command::{StatementIds, WriteOutcome};
use std::time::Instant;
use types::{Fault, OpTime};
use value::SharedDoc;

/// Documents of one commit.
const COMMIT_COUNT_MAX: usize = 500;
/// Bytes of one commit, but for the last document.
const COMMIT_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Groups up to this size are committed on the task that serves the request.
const INLINE_BYTES_MAX: usize = 64 * 1024;

/// Documents of a command with their positions in it.
type Prepared = Vec<(usize, SharedDoc)>;

/// Inserts the documents.
///
/// # Errors
/// What concerns the whole command; errors of single documents are in the outcome.
pub(crate) async fn insert_documents(
    job: &mut Job<'_>,
    documents: &[SharedDoc],
    statements: &StatementIds,
    ordered: bool,
) -> Result<WriteOutcome, Fault> {
    let mut outcome = WriteOutcome::default();
    let mut group: Prepared = Vec::new();
    let mut group_bytes = 0;
    for (index, document) in documents.iter().enumerate() {
        match prepare::insertable(document, || job.engine.tick()) {
            Ok(document) => {
                group_bytes += document.as_bytes().len();
                group.push((index, document));
            }
            Err(fault) => {
                if ordered && !commit(job, &mut group, statements, ordered, &mut outcome).await? {
                    return Ok(outcome);
                }
                if failed(&mut outcome, index, fault, ordered) {
                    return Ok(outcome);
                }
            }
        }
        if group.len() >= COMMIT_COUNT_MAX || group_bytes >= COMMIT_BYTES_MAX {
            group_bytes = 0;
            if !commit(job, &mut group, statements, ordered, &mut outcome).await? {
                return Ok(outcome);
            }
        }
    }
    commit(job, &mut group, statements, ordered, &mut outcome).await?;
    outcome.errors.sort_by_key(|error| error.index);
    Ok(outcome)
}

/// Commits a group and empties it; whether the command goes on.
async fn commit(
    job: &mut Job<'_>,
    group: &mut Prepared,
    statements: &StatementIds,
    ordered: bool,
    outcome: &mut WriteOutcome,
) -> Result<bool, Fault> {
    let mut patience = Patience::default();
    let group = std::mem::take(group);
    if group.is_empty() {
        return Ok(true);
    }
    job.ctx.check(Instant::now())?;
    let long = group.iter().map(|(_, document)| document.as_bytes().len()).sum::<usize>() > INLINE_BYTES_MAX;
    loop {
        let tried = if long {
            // Preparing takes time, and a commit waits where storage slows its writers.
            job.engine.long_work(|| attempt(job, &group, statements, ordered)).await
        } else {
            attempt(job, &group, statements, ordered)
        };
        match tried {
            Ok((part, at)) => {
                job.committed(at);
                outcome.n += part.n;
                outcome.retried_statements.extend(part.retried_statements);
                let stop = ordered && !part.errors.is_empty();
                outcome.errors.extend(part.errors);
                return Ok(!stop);
            }
            Err(failure) => patience.after(job.ctx, failure).await?,
        }
    }
}

fn attempt(
    job: &Job<'_>,
    group: &Prepared,
    statements: &StatementIds,
    ordered: bool,
) -> Result<(WriteOutcome, Option<OpTime>), Failure> {
    let collection = job.collection_or_create()?;
    let mut attempt = Attempt::begin(job.engine, job.retry.as_ref())?;
    let mut part = WriteOutcome::default();
    for (index, document) in group {
        let statement = statements.of(*index);
        if attempt.executed(statement)?.is_some() {
            part.n += 1;
            part.retried_statements.push(statement);
            continue;
        }
        match attempt.insert(&collection, document) {
            Ok(()) => {
                attempt.record(statement, Recorded::one)?;
                part.n += 1;
            }
            Err(Failure::Conflict) => return Err(Failure::Conflict),
            Err(Failure::Fault(fault)) => {
                if failed(&mut part, *index, fault, ordered) {
                    break;
                }
            }
        }
    }
    let at = attempt.commit()?;
    Ok((part, at))
}
