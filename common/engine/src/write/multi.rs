//! Updates and deletes of all matches: found in portions, each portion committed by itself.
//!
//! Records never change their key, so a scan in record order meets each document once even though every portion has a snapshot
//! of its own. A scan of an index would meet a document again that an update moves forward in it: there the record keys are
//! gathered first, and the documents checked again by key.

use super::attempt::{Attempt, Failure, Patience};
use super::job::Job;
use super::target::Seek;
use super::update::Modify;
use crate::exec::{Flow, Hit, Pace, Scan, drive};
use crate::plan::{Access, Plan};
use std::sync::Arc;
use storage::{Collection, RecordKey};
use types::{Code, Fault, OpTime, limits};

/// Documents of one portion.
const PORTION_COUNT_MAX: usize = 500;
/// Bytes of one portion, but for the last document.
const PORTION_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Portions up to this size are committed on the task that serves the request.
const INLINE_COUNT_MAX: usize = 32;

/// What happens to each match.
pub(crate) enum Change<'a> {
    Update(&'a Modify),
    Delete,
}

/// How many documents matched and changed.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Counts {
    pub(crate) matched: u64,
    pub(crate) changed: u64,
}

impl Counts {
    fn add(&mut self, other: Counts) {
        self.matched += other.matched;
        self.changed += other.changed;
    }
}

/// Changes every match.
///
/// # Errors
/// Those of the scan and of the change. Portions that were committed before stay.
pub(crate) async fn run(job: &mut Job<'_>, seek: &mut Seek, change: &Change<'_>) -> Result<Counts, Fault> {
    let mut counts = Counts::default();
    let Some(collection) = job.collection() else { return Ok(counts) };
    let snapshot = job.engine.store().snapshot();
    let plan = seek.plan(&collection, snapshot.timestamp())?;
    let plan = match plan.access {
        Access::Index(_) => gather(job, seek, &collection, plan).await?,
        _ => plan,
    };
    drop(snapshot);
    let mut scan = Scan::new(Arc::new(plan), job.owner.clone());
    loop {
        let (portion, pace) = portion(job, &mut scan).await?;
        counts.add(commit(job, &scan, portion, change).await?);
        if pace == Pace::Finished {
            return Ok(counts);
        }
    }
}

/// The record keys that an index scan finds, as a plan by key that checks the whole filter again.
async fn gather(job: &Job<'_>, seek: &Seek, collection: &Arc<Collection>, plan: Plan) -> Result<Plan, Fault> {
    let mut keys: Vec<RecordKey> = Vec::new();
    let mut bytes = 0;
    let snapshot = job.engine.store().snapshot();
    let mut scan = Scan::new(Arc::new(plan), job.owner.clone());
    drive(job.engine, job.ctx, &mut scan, &snapshot, collection, &mut |hit| {
        bytes += hit.key.len() + size_of::<RecordKey>();
        if bytes > limits::BLOCKING_STAGE_BYTES_MAX {
            return Err(Fault::new(
                Code::ExceededMemoryLimit,
                "the statement matches more documents than its memory limit can name",
            ));
        }
        keys.push(hit.key.clone());
        Ok(Flow::Continue)
    })
    .await?;
    keys.sort_unstable();
    Ok(Plan::points(keys, seek.whole_filter()))
}

struct Portion {
    collection: Option<Arc<Collection>>,
    attempt: Attempt,
    hits: Vec<Hit>,
}

async fn portion(job: &Job<'_>, scan: &mut Scan) -> Result<(Portion, Pace), Fault> {
    let collection = job.collection();
    let attempt = Attempt::begin(job.engine, None).map_err(fault)?;
    let mut hits = Vec::new();
    let mut bytes = 0;
    let pace = match &collection {
        None => Pace::Finished,
        Some(collection) => {
            drive(job.engine, job.ctx, scan, &attempt.snapshot, collection, &mut |hit| {
                bytes += hit.doc.as_bytes().len();
                hits.push(hit.clone());
                let full = hits.len() >= PORTION_COUNT_MAX || bytes >= PORTION_BYTES_MAX;
                Ok(if full { Flow::Stop } else { Flow::Continue })
            })
            .await?
        }
    };
    Ok((Portion { collection, attempt, hits }, pace))
}

async fn commit(
    job: &mut Job<'_>,
    scan: &Scan,
    portion: Portion,
    change: &Change<'_>,
) -> Result<Counts, Fault> {
    let Portion { collection, mut attempt, hits } = portion;
    let Some(collection) = collection else { return Ok(Counts::default()) };
    let all = || -> Result<(Counts, Option<OpTime>), Failure> {
        let mut counts = Counts::default();
        for hit in &hits {
            stage(job, &mut attempt, &collection, hit, change, &mut counts)?;
        }
        Ok((counts, attempt.commit()?))
    };
    let tried = if hits.len() > INLINE_COUNT_MAX { job.engine.long_work(all).await } else { all() };
    match tried {
        Ok((counts, at)) => {
            job.committed(at);
            Ok(counts)
        }
        // One by one: a conflict costs only its own document, and a fault stops exactly there.
        Err(_) => one_by_one(job, scan, &hits, change).await,
    }
}

async fn one_by_one(
    job: &mut Job<'_>,
    scan: &Scan,
    hits: &[Hit],
    change: &Change<'_>,
) -> Result<Counts, Fault> {
    let mut counts = Counts::default();
    for hit in hits {
        let mut patience = Patience::default();
        loop {
            match again(job, scan, &hit.key, change) {
                Ok((part, at)) => {
                    job.committed(at);
                    counts.add(part);
                    break;
                }
                Err(failure) => patience.after(job.ctx, failure).await?,
            }
        }
    }
    Ok(counts)
}

/// Reads one document again and changes it if it still matches.
fn again(
    job: &Job<'_>,
    scan: &Scan,
    key: &RecordKey,
    change: &Change<'_>,
) -> Result<(Counts, Option<OpTime>), Failure> {
    let mut counts = Counts::default();
    let Some(collection) = job.collection() else { return Ok((counts, None)) };
    let mut attempt = Attempt::begin(job.engine, None)?;
    let Some(doc) = attempt.snapshot.get(&collection, key)? else { return Ok((counts, None)) };
    if !scan.wants(&doc)? {
        return Ok((counts, None));
    }
    let hit = Hit { key: key.clone(), doc };
    stage(job, &mut attempt, &collection, &hit, change, &mut counts)?;
    let at = attempt.commit()?;
    Ok((counts, at))
}

fn stage(
    job: &Job<'_>,
    attempt: &mut Attempt,
    collection: &Arc<Collection>,
    hit: &Hit,
    change: &Change<'_>,
    counts: &mut Counts,
) -> Result<(), Failure> {
    counts.matched += 1;
    match change {
        Change::Delete => attempt.delete(collection, &hit.key, &hit.doc)?,
        Change::Update(modify) => {
            let Some(new) = modify.apply(job, &hit.doc)? else { return Ok(()) };
            attempt.update(collection, &hit.key, &hit.doc, &new)?;
        }
    }
    counts.changed += 1;
    Ok(())
}

fn fault(failure: Failure) -> Fault {
    match failure {
        Failure::Conflict => storage::Error::WriteConflict.fault(),
        Failure::Fault(fault) => fault,
    }
}
