//! One statement of an update: of the first match, of all, or an insert where nothing matches and that was asked for.

use super::attempt::{Attempt, Failure, Patience};
use super::history::Recorded;
use super::job::Job;
use super::multi::{self, Change};
use super::prepare;
use super::target::Seek;
use crate::exec::Hit;
use bson::{RawBson, RawDocument, RawDocumentBuf};
use command::{Modification, UpdateStatement};
use query::matcher::Matcher;
use query::update::{self, Update, UpdateSpec};
use std::sync::Arc;
use std::time::Instant;
use storage::Collection;
use types::{Code, Fault, OpTime};
use value::SharedDoc;

/// What one statement came to.
#[derive(Debug, Default)]
pub(crate) struct Updated {
    pub(crate) n: u64,
    pub(crate) n_modified: u64,
    pub(crate) upserted: Option<RawBson>,
    /// It had been executed before, and this is what it came to then.
    pub(crate) retried: bool,
}

impl From<&Recorded> for Updated {
    fn from(recorded: &Recorded) -> Updated {
        Updated {
            n: recorded.n,
            n_modified: recorded.n_modified,
            upserted: recorded.upserted.clone(),
            retried: true,
        }
    }
}

/// A parsed update with what its application needs of the filter.
pub(crate) struct Modify {
    pub(crate) update: Update,
    /// Set where the update names the matched array element with `$`.
    positional: Option<Arc<Matcher>>,
}

impl Modify {
    /// Parses a modification.
    ///
    /// # Errors
    /// Those of the update language.
    pub(crate) fn parse(
        job: &Job<'_>,
        seek: &mut Seek,
        modification: &Modification,
        array_filters: &[SharedDoc],
        constants: Option<&SharedDoc>,
    ) -> Result<Modify, Fault> {
        let ctx = match constants {
            None => job.parse.clone(),
            Some(constants) => crate::let_vars::with_constants(&job.parse, constants)?,
        };
        let modification = match modification {
            Modification::Document(doc) => update::Modification::Document(doc.clone()),
            Modification::Pipeline(stages) => update::Modification::Pipeline(stages.clone()),
        };
        let update = Update::parse(UpdateSpec::new(&modification, array_filters), &ctx)?;
        let positional = if update.needs_position() { Some(seek.matcher(job)?) } else { None };
        Ok(Modify { update, positional })
    }

    /// The document after the update; `None` where nothing changes.
    ///
    /// # Errors
    /// Those of the update; size and depth; a move to another shard.
    pub(crate) fn apply(&self, job: &Job<'_>, doc: &RawDocument) -> Result<Option<RawDocumentBuf>, Fault> {
        let position = match &self.positional {
            Some(matcher) => matcher.matches_with_position(doc)?,
            None => None,
        };
        let outcome = self.update.apply(doc, position, false)?;
        if !outcome.modified {
            return Ok(None);
        }
        prepare::check_updated(&outcome.doc)?;
        job.check_owned(&outcome.doc)?;
        Ok(Some(outcome.doc))
    }

    /// The document that an upsert inserts.
    pub(crate) fn upsert(&self, job: &Job<'_>, seek: &mut Seek) -> Result<SharedDoc, Fault> {
        let matcher = seek.matcher(job)?;
        let doc = self.update.upsert(&matcher)?;
        let doc = prepare::insertable(&doc.into(), || job.engine.tick())?;
        job.check_owned(&doc)?;
        Ok(doc)
    }
}

/// Executes a statement.
///
/// # Errors
/// What concerns this statement alone: its filter, its update, a duplicate key.
pub(crate) async fn update_statement(
    job: &mut Job<'_>,
    statement: &UpdateStatement,
    statement_id: i32,
) -> Result<Updated, Fault> {
    job.ctx.check(Instant::now())?;
    job.collate(&statement.collation);
    let mut seek = Seek::parse(job, &statement.filter, statement.sort.as_ref(), statement.hint.as_ref())?;
    let constants = statement.constants.as_ref();
    let modify = Modify::parse(job, &mut seek, &statement.update, &statement.array_filters, constants)?;
    if statement.multi {
        return update_many(job, statement, seek, &modify).await;
    }
    let mut patience = Patience::default();
    loop {
        match update_one(job, statement, &mut seek, &modify, statement_id).await {
            Ok((updated, at)) => {
                job.committed(at);
                return Ok(updated);
            }
            Err(failure) => patience.after(job.ctx, failure).await?,
        }
    }
}

async fn update_one(
    job: &Job<'_>,
    statement: &UpdateStatement,
    seek: &mut Seek,
    modify: &Modify,
    statement_id: i32,
) -> Result<(Updated, Option<OpTime>), Failure> {
    let collection = match statement.upsert {
        true => Some(job.collection_or_create()?),
        false => job.collection(),
    };
    let mut attempt = Attempt::begin(job.engine, job.retry.as_ref())?;
    if let Some(recorded) = attempt.executed(statement_id)? {
        return Ok((Updated::from(recorded), None));
    }
    let Some(collection) = collection else { return Ok((Updated::default(), None)) };
    let hit = seek.first(job, &attempt.snapshot, &collection).await?;
    let mut updated = Updated::default();
    match hit {
        Some(Hit { key, doc }) => {
            updated.n = 1;
            if let Some(new) = modify.apply(job, &doc)? {
                attempt.update(&collection, &key, &doc, &new)?;
                updated.n_modified = 1;
            }
        }
        None if statement.upsert => {
            updated = insert_upsert(job, &mut attempt, &collection, seek, modify)?.0;
        }
        None => return Ok((updated, None)),
    }
    attempt.record(statement_id, || Recorded {
        n: updated.n,
        n_modified: updated.n_modified,
        upserted: updated.upserted.clone(),
        reply: None,
        wrote: updated.n_modified > 0 || updated.upserted.is_some(),
    })?;
    let at = attempt.commit()?;
    Ok((updated, at))
}

/// Puts the document of an upsert into the attempt.
pub(crate) fn insert_upsert(
    job: &Job<'_>,
    attempt: &mut Attempt,
    collection: &Arc<Collection>,
    seek: &mut Seek,
    modify: &Modify,
) -> Result<(Updated, SharedDoc), Failure> {
    let doc = modify.upsert(job, seek)?;
    let id = RawBson::from(prepare::id_of(&doc)?);
    attempt.insert(collection, &doc)?;
    Ok((Updated { n: 1, n_modified: 0, upserted: Some(id), retried: false }, doc))
}

async fn update_many(
    job: &mut Job<'_>,
    statement: &UpdateStatement,
    mut seek: Seek,
    modify: &Modify,
) -> Result<Updated, Fault> {
    job.refuse_retryable_multi()?;
    if modify.update.is_replacement() {
        return Err(Fault::new(
            Code::FailedToParse,
            "multi update is not supported for replacement-style update",
        ));
    }
    let change = Change::Update(modify);
    let counts = multi::run(job, &mut seek, &change).await?;
    if counts.matched > 0 || !statement.upsert {
        return Ok(Updated { n: counts.matched, n_modified: counts.changed, upserted: None, retried: false });
    }
    let mut patience = Patience::default();
    loop {
        match upsert_many(job, &mut seek, modify).await {
            Ok((Some(updated), at)) => {
                job.committed(at);
                return Ok(updated);
            }
            // Somebody made a match meanwhile.
            Ok((None, _)) => {
                let counts = multi::run(job, &mut seek, &change).await?;
                if counts.matched > 0 {
                    return Ok(Updated {
                        n: counts.matched,
                        n_modified: counts.changed,
                        upserted: None,
                        retried: false,
                    });
                }
            }
            Err(failure) => patience.after(job.ctx, failure).await?,
        }
    }
}

async fn upsert_many(
    job: &Job<'_>,
    seek: &mut Seek,
    modify: &Modify,
) -> Result<(Option<Updated>, Option<OpTime>), Failure> {
    let collection = job.collection_or_create()?;
    let mut attempt = Attempt::begin(job.engine, None)?;
    if seek.first(job, &attempt.snapshot, &collection).await?.is_some() {
        return Ok((None, None));
    }
    let (updated, _) = insert_upsert(job, &mut attempt, &collection, seek, modify)?;
    let at = attempt.commit()?;
    Ok((Some(updated), at))
}
