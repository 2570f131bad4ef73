//! Updates and deletes of all matches: found in portions, each portion committed by itself, in memory that does not grow with the
//! number of matches.
//!
//! Records never change their key, so a scan in record order meets each document once even though every portion has a snapshot
//! of its own. So does a scan of an index that deletes what it meets. An update may move a document forward in an index, where a
//! later snapshot would show it again: there one snapshot is kept, the record keys of many portions are gathered from it, and the
//! documents checked again by key.

use super::attempt::{Attempt, Failure, Patience};
use super::job::Job;
use super::target::Seek;
use super::update::Modify;
use crate::exec::{Flow, Hit, Pace, Scan, drive};
use crate::plan::{Access, Plan};
use query::matcher::Matcher;
use std::sync::Arc;
use storage::{Collection, RecordKey, Snapshot};
use types::{Fault, OpTime};
use value::SharedDoc;

/// Documents of one portion.
const PORTION_COUNT_MAX: usize = 500;
/// Bytes of one portion, but for the last document.
const PORTION_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Bytes of the record keys that an update by an index gathers at a time.
const GATHER_BYTES_MAX: usize = 16 * 1024 * 1024;

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
    let Some(collection) = job.collection() else { return Ok(Counts::default()) };
    let snapshot = job.engine.store().snapshot();
    let plan = Arc::new(seek.plan(&collection, snapshot.timestamp())?);
    let by_index = matches!(plan.access, Access::Index(_));
    let scan = Scan::new(plan, job.owner.clone()).by_first_entry();
    match change {
        Change::Update(_) if by_index => {
            gathered(job, Gathering { seek, collection, snapshot, scan }, change).await
        }
        _ => {
            drop(snapshot);
            in_portions(job, Walk { scan, filter: seek.whole_filter() }, change).await
        }
    }
}

/// A scan over several portions.
struct Walk {
    scan: Scan,
    /// The whole filter, for a document that is read again: the scan knows nothing of what the bounds of its index say already.
    filter: Option<Arc<Matcher>>,
}

impl Walk {
    fn wants(&self, doc: &SharedDoc) -> Result<bool, Fault> {
        if !self.scan.wants(doc)? {
            return Ok(false);
        }
        match &self.filter {
            Some(filter) => filter.matches(doc),
            None => Ok(true),
        }
    }
}

async fn in_portions(job: &mut Job<'_>, mut walk: Walk, change: &Change<'_>) -> Result<Counts, Fault> {
    let mut counts = Counts::default();
    loop {
        let (portion, pace) = portion(job, &mut walk.scan).await?;
        counts.add(commit(job, &walk, portion, change).await?);
        if pace == Pace::Finished {
            return Ok(counts);
        }
    }
}

/// An index scan that knows nothing of what is changed meanwhile.
struct Gathering<'a> {
    seek: &'a Seek,
    collection: Arc<Collection>,
    snapshot: Snapshot,
    scan: Scan,
}

/// Changes what an index scan finds, as many as can be named at a time, by record key and with the whole filter checked again.
async fn gathered(job: &mut Job<'_>, gathering: Gathering<'_>, change: &Change<'_>) -> Result<Counts, Fault> {
    let mut counts = Counts::default();
    let mut gathering = Some(gathering);
    while let Some(mut from) = gathering.take() {
        let mut keys: Vec<RecordKey> = Vec::new();
        let mut bytes = 0;
        let Gathering { snapshot, collection, scan, .. } = &mut from;
        let pace = drive(job.engine, job.ctx, scan, snapshot, collection, &mut |hit| {
            bytes += hit.key.len() + size_of::<RecordKey>();
            // Not a part of the document that it may be cut from.
            keys.push(RecordKey::copy_from_slice(&hit.key));
            Ok(if bytes >= GATHER_BYTES_MAX { Flow::Stop } else { Flow::Continue })
        })
        .await?;
        keys.sort_unstable();
        let filter = from.seek.whole_filter();
        // Most statements need the snapshot no longer.
        gathering = (pace != Pace::Finished).then_some(from);
        // A scan by key checks all of it each time.
        let scan = Scan::new(Arc::new(Plan::points(keys, filter)), job.owner.clone());
        counts.add(in_portions(job, Walk { scan, filter: None }, change).await?);
    }
    Ok(counts)
}

struct Portion {
    collection: Option<Arc<Collection>>,
    attempt: Attempt,
    hits: Vec<Hit>,
}

async fn portion(job: &Job<'_>, scan: &mut Scan) -> Result<(Portion, Pace), Fault> {
    let collection = job.collection();
    let attempt = Attempt::begin(job.engine, None).map_err(fault)?;
    if let Some(collection) = &collection
        && let Some(now) = job.engine.store().catalog().by_uuid(collection.uuid)
    {
        scan.check_index(now)?;
    }
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
    walk: &Walk,
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
        Err(_) => one_by_one(job, walk, &hits, change).await,
    }
}

async fn one_by_one(
    job: &mut Job<'_>,
    walk: &Walk,
    hits: &[Hit],
    change: &Change<'_>,
) -> Result<Counts, Fault> {
    let mut counts = Counts::default();
    for hit in hits {
        let mut patience = Patience::default();
        loop {
            match again(job, walk, &hit.key, change) {
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
    walk: &Walk,
    key: &RecordKey,
    change: &Change<'_>,
) -> Result<(Counts, Option<OpTime>), Failure> {
    let mut counts = Counts::default();
    let Some(collection) = job.collection() else { return Ok((counts, None)) };
    let mut attempt = Attempt::begin(job.engine, None)?;
    let Some(doc) = attempt.snapshot.get(&collection, key)? else { return Ok((counts, None)) };
    if !walk.wants(&doc)? {
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
