//! findAndModify: one document is found, changed or removed, and shown as it was before or after.
//! A repeated statement gets the recorded reply, image included.

use super::attempt::{Attempt, Failure, Patience};
use super::history::Recorded;
use super::job::Job;
use super::target::Seek;
use super::update::{Modify, insert_upsert};
use crate::exec::Hit;
use bson::{RawBson, RawDocument, RawDocumentBuf, cstr};
use command::{FindAndModify, FindAndModifyAction};
use query::projection::Projection;
use types::{Fault, OpTime};
use value::SharedDoc;

/// Executes the command; the reply is without a write concern error.
///
/// # Errors
/// Those of its parts.
pub(crate) async fn find_and_modify(
    job: &mut Job<'_>,
    request: &FindAndModify,
) -> Result<RawDocumentBuf, Fault> {
    job.collate(&request.collation);
    let mut seek = Seek::parse(job, &request.filter, request.sort.as_ref(), request.hint.as_ref())?;
    let modify = match &request.action {
        FindAndModifyAction::Remove => None,
        FindAndModifyAction::Update { update, array_filters, .. } => {
            Some(Modify::parse(job, &mut seek, update, array_filters, None)?)
        }
    };
    let shown = Shown::parse(job, &mut seek, request.fields.as_ref())?;
    let mut patience = Patience::default();
    loop {
        match run(job, request, &mut seek, modify.as_ref(), &shown).await {
            Ok((reply, at)) => {
                job.committed(at);
                return Ok(reply);
            }
            Err(failure) => patience.after(job.ctx, failure).await?,
        }
    }
}

async fn run(
    job: &Job<'_>,
    request: &FindAndModify,
    seek: &mut Seek,
    modify: Option<&Modify>,
    shown: &Shown,
) -> Result<(RawDocumentBuf, Option<OpTime>), Failure> {
    let (upsert, return_new) = match &request.action {
        FindAndModifyAction::Remove => (false, false),
        FindAndModifyAction::Update { upsert, return_new, .. } => (*upsert, *return_new),
    };
    let collection = match upsert {
        true => Some(job.collection_or_create()?),
        false => job.collection(),
    };
    let mut attempt = Attempt::begin(job.engine, job.retry.as_ref())?;
    if let Some(recorded) = attempt.executed(request.statement_id)? {
        let mut reply = recorded.reply.clone().unwrap_or_default();
        reply.append(cstr!("retriedStmtId"), request.statement_id);
        return Ok((reply, None));
    }
    let none = || reply(0, modify.is_some().then_some(false), None, None);
    let Some(collection) = collection else { return Ok((none(), None)) };
    let hit = seek.first(job, &attempt.snapshot, &collection).await?;
    let mut wrote = true;
    let answer = match (hit, modify) {
        (Some(Hit { key, doc }), None) => {
            attempt.delete(&collection, &key, &doc)?;
            reply(1, None, None, Some(shown.project(&doc)?))
        }
        (Some(Hit { key, doc }), Some(modify)) => {
            let new = modify.apply(job, &doc)?;
            match &new {
                Some(new) => attempt.update(&collection, &key, &doc, new)?,
                None => wrote = false,
            }
            let image = match (&new, return_new) {
                (Some(new), true) => shown.project(new)?,
                _ => shown.project(&doc)?,
            };
            reply(1, Some(true), None, Some(image))
        }
        (None, Some(modify)) if upsert => {
            let (updated, doc) = insert_upsert(job, &mut attempt, &collection, seek, modify)?;
            let image = if return_new { Some(shown.project(&doc)?) } else { None };
            reply(1, Some(false), updated.upserted, image)
        }
        (None, _) => return Ok((none(), None)),
    };
    attempt.record(request.statement_id, || Recorded {
        reply: Some(answer.clone()),
        wrote,
        ..Recorded::one()
    })?;
    let at = attempt.commit()?;
    Ok((answer, at))
}

/// `{lastErrorObject: {n, updatedExisting?, upserted?}, value}`.
fn reply(
    n: i32,
    updated_existing: Option<bool>,
    upserted: Option<RawBson>,
    value: Option<RawDocumentBuf>,
) -> RawDocumentBuf {
    let mut last = RawDocumentBuf::new();
    last.append(cstr!("n"), n);
    if let Some(existing) = updated_existing {
        last.append(cstr!("updatedExisting"), existing);
    }
    if let Some(id) = upserted {
        last.append(cstr!("upserted"), id);
    }
    let mut reply = RawDocumentBuf::new();
    reply.append(cstr!("lastErrorObject"), last);
    match value {
        Some(doc) => reply.append(cstr!("value"), doc),
        None => reply.append(cstr!("value"), RawBson::Null),
    }
    reply
}

/// The projection of the answer.
struct Shown {
    projection: Option<Projection>,
    positional: Option<std::sync::Arc<query::matcher::Matcher>>,
}

impl Shown {
    fn parse(job: &Job<'_>, seek: &mut Seek, fields: Option<&SharedDoc>) -> Result<Shown, Fault> {
        let Some(fields) = fields.filter(|fields| !fields.is_empty()) else {
            return Ok(Shown { projection: None, positional: None });
        };
        let matcher = seek.matcher(job)?;
        let projection = Projection::parse(fields, &job.parse, Some(&matcher))?;
        let positional = projection.needs_position().then_some(matcher);
        Ok(Shown { projection: Some(projection), positional })
    }

    fn project(&self, doc: &RawDocument) -> Result<RawDocumentBuf, Fault> {
        let Some(projection) = &self.projection else { return Ok(doc.to_owned()) };
        let position = match &self.positional {
            Some(matcher) => matcher.matches_with_position(doc)?,
            None => None,
        };
        projection.apply(doc, position)
    }
}
