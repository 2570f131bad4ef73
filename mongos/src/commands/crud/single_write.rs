//! An updateOne, replaceOne, deleteOne or findAndModify whose filter does not name the shard key: its one document is found first,
//! then changed where it lies, by filter and `_id` together. If somebody else changed it in between, the search begins anew.

use super::changes::Change;
use crate::node::Node;
use crate::routing::{Route, Target};
use crate::scatter::{Statement, WriteBatch, fan_out, key_target, routed, run_writes, target_filter};
use crate::shards::Sending;
use bson::{RawBson, RawDocument, RawDocumentBuf};
use command::{Context, CursorBatch, Modification, Request, WriteOutcome};
use query::context::ParseContext;
use query::matcher::Matcher;
use query::update::{Update, UpdateSpec};
use std::sync::Arc;
use std::time::Instant;
use types::{Code, Fault, Namespace, ShardId};
use value::{Collation, SharedDoc};

/// How often the document may be snatched away before the client hears of it.
pub(super) const SEARCHES_MAX: usize = 100;

/// Where a document was found.
pub(super) struct Found {
    pub(super) shard: ShardId,
    pub(super) id: RawBson,
}

/// Runs a statement on one document that may be on any of several shards.
///
/// # Errors
/// A shard's fault; `WriteConflict` (112) where the document was snatched away time and again.
pub(super) async fn run(
    node: &Arc<Node>,
    ctx: &Context,
    batch: WriteBatch<'_>,
    index: usize,
    change: &Change<'_>,
    parse: &ParseContext,
) -> Result<WriteOutcome, Fault> {
    if let Some(done) = answered_before(node, ctx, batch, index).await? {
        return Ok(done);
    }
    for _ in 0..SEARCHES_MAX {
        ctx.check(Instant::now())?;
        let Some(found) =
            find_one(node, ctx, batch.ns, change.filter, change.sort, change.collation, parse).await?
        else {
            return match change.upsert {
                Some(what) => upsert(node, ctx, batch, index, change, what, parse).await,
                None => Ok(WriteOutcome::default()),
            };
        };
        let pinned = Statement::new(index, pin(change.raw, change.filter, &found.id)?);
        let on_shard = |route: &Route, _: &Statement| Ok(target_on(route, &found.shard));
        let outcome = run_writes(node, ctx, batch, vec![pinned], on_shard).await?;
        if outcome.n > 0 || !outcome.errors.is_empty() {
            return Ok(outcome);
        }
    }
    Err(snatched_away())
}

/// The error where a document that was found is changed by others again and again.
pub(super) fn snatched_away() -> Fault {
    Fault::new(
        Code::WriteConflict,
        "the matching document was changed by others each time it was found; try again",
    )
}

/// Whether a shard has executed this statement before: then a repeated send must not choose another document.
async fn answered_before(
    node: &Arc<Node>,
    ctx: &Context,
    batch: WriteBatch<'_>,
    index: usize,
) -> Result<Option<WriteOutcome>, Fault> {
    let Some(reply) = executed_statement(node, ctx, batch.ns, batch.options.statements.of(index)).await?
    else {
        return Ok(None);
    };
    let mut outcome = WriteOutcome::from_reply(&reply)?;
    for upserted in &mut outcome.upserted {
        upserted.index = index;
    }
    Ok(Some(outcome))
}

/// Asks all shards for the recorded outcome of a numbered statement.
///
/// # Errors
/// A shard's fault: without all answers nothing can be told.
pub(super) async fn executed_statement(
    node: &Arc<Node>,
    ctx: &Context,
    ns: &Namespace,
    statement: i32,
) -> Result<Option<RawDocumentBuf>, Fault> {
    let (Some(session), Some(txn_number)) = (ctx.envelope.session, ctx.envelope.txn_number) else {
        return Ok(None);
    };
    let body = bson::rawdoc! {
        "_shardsvrStatementOutcome": ns.as_str(),
        "lsid": { "id": session.0.to_bson() },
        "txnNumber": txn_number,
        "statement": statement,
        "$db": "admin",
    };
    let request = Request::from_body(body);
    let targets: Vec<Target> =
        node.shards.all().await?.keys().map(|shard| Target { shard: shard.clone(), routing: None }).collect();
    for (_, answer) in fan_out(node, ctx, &targets, Sending::Idempotent, |_| Ok(request.clone())).await {
        if let Ok(Some(outcome)) =
            answer?.doc.get("outcome").map(|found| found.and_then(|value| value.as_document()))
        {
            return Ok(Some(outcome.to_owned()));
        }
    }
    Ok(None)
}

/// The first document that matches, on whichever shard: the least by `sort` where there is one.
///
/// # Errors
/// A shard's fault.
pub(super) async fn find_one(
    node: &Arc<Node>,
    ctx: &Context,
    ns: &Namespace,
    filter: &SharedDoc,
    sort: Option<&SharedDoc>,
    collation: &Collation,
    parse: &ParseContext,
) -> Result<Option<Found>, Fault> {
    let mut body = bson::rawdoc! {
        "find": ns.collection(),
        "filter": filter.to_buf(),
        "projection": { "_id": 1 },
        "limit": 1_i64,
        "singleBatch": true,
        "$db": ns.db(),
    };
    if let Some(sort) = sort {
        body.append(bson::raw::cstr!("sort"), sort.to_buf());
    }
    if let Some(collation) = collation.to_document() {
        body.append(bson::raw::cstr!("collation"), collation);
    }
    let request = Request::from_body(body);
    routed!(node, ctx, ns, |route| {
        let targets = target_filter(route, filter, parse)?.targets.into_iter();
        let targets: Vec<Target> = targets.map(|target| target.with_sort_key(sort.is_some())).collect();
        let mut best: Option<(Vec<u8>, Found)> = None;
        for (shard, answer) in
            fan_out(node, ctx, &targets, Sending::Idempotent, |_| Ok(request.clone())).await
        {
            let batch = CursorBatch::parse(&SharedDoc::from(answer?.doc))?;
            let Some(doc) = batch.documents.first() else { continue };
            let key = match doc.get("$sortKey") {
                Ok(Some(bson::RawBsonRef::Binary(key))) => key.bytes.to_vec(),
                _ => Vec::new(),
            };
            let id =
                doc.get("_id").ok().flatten().ok_or_else(|| Fault::internal("a document without _id"))?;
            if best.as_ref().is_none_or(|(least, _)| key < *least) {
                best = Some((key, Found { shard, id: RawBson::from(id) }));
            }
        }
        Ok(best.map(|(_, found)| found))
    })
}

/// The target on one shard, as the route marks it now.
pub(super) fn target_on(route: &Route, shard: &ShardId) -> Vec<Target> {
    match route.collection() {
        Some(collection) => vec![Route::on_shard(collection, shard)],
        None => route.home().into_iter().collect(),
    }
}

/// The statement with its filter, the field `q`, narrowed to one `_id`.
///
/// # Errors
/// `InvalidBSON` (22) for a statement that cannot be walked.
fn pin(raw: &SharedDoc, filter: &SharedDoc, id: &RawBson) -> Result<SharedDoc, Fault> {
    let mut pinned = RawDocumentBuf::new();
    for element in raw.iter() {
        let (name, value) = element.map_err(query::context::invalid_bson)?;
        match name.as_str() {
            "q" => pinned.append(name, narrowed(filter, id)),
            _ => pinned.append(name, value),
        }
    }
    Ok(pinned.into())
}

/// A filter and an `_id` together.
pub(super) fn narrowed(filter: &SharedDoc, id: &RawBson) -> RawDocumentBuf {
    bson::rawdoc! { "$and": [filter.to_buf(), { "_id": { "$eq": id.clone() } }] }
}

/// Runs an upsert on the shard that owns what it would insert.
async fn upsert(
    node: &Arc<Node>,
    ctx: &Context,
    batch: WriteBatch<'_>,
    index: usize,
    change: &Change<'_>,
    (update, array_filters): (&Modification, &[SharedDoc]),
    parse: &ParseContext,
) -> Result<WriteOutcome, Fault> {
    let upsert = Upsert::of(change.filter, update, array_filters, parse)?;
    let target_of = |route: &Route, _: &Statement| key_target(route, &upsert.doc);
    let pinned = match &upsert.pinned {
        Some(id) => pin(change.raw, change.filter, id)?,
        None => change.raw.clone(),
    };
    run_writes(node, ctx, batch, vec![Statement::new(index, pinned)], target_of).await
}

/// What an upsert would insert.
pub(super) struct Upsert {
    pub(super) doc: SharedDoc,
    /// The `_id` to narrow the filter by, so that the owner inserts the very document that decided about the owner. `None` where the
    /// filter names the `_id` itself.
    pub(super) pinned: Option<RawBson>,
}

impl Upsert {
    /// The filter's equalities, then the update.
    ///
    /// # Errors
    /// What is wrong with filter or update.
    pub(super) fn of(
        filter: &SharedDoc,
        update: &Modification,
        array_filters: &[SharedDoc],
        parse: &ParseContext,
    ) -> Result<Upsert, Fault> {
        let matcher = Matcher::parse(filter, parse)?;
        let update = Update::parse(UpdateSpec::new(update, array_filters), parse)?;
        let doc = super::insert::with_id(&update.upsert(&matcher)?.into())?;
        let names_id = matcher.equalities().iter().any(|(path, _)| path == "_id" || path.starts_with("_id."));
        let pinned = if names_id { None } else { Some(id_of(&doc)?) };
        Ok(Upsert { doc, pinned })
    }
}

/// The `_id` of a document that has one.
fn id_of(doc: &RawDocument) -> Result<RawBson, Fault> {
    doc.get("_id").ok().flatten().map(RawBson::from).ok_or_else(|| Fault::internal("a document without _id"))
}

/// Adds one statement's outcome to the batch's.
pub(super) fn add(outcome: &mut WriteOutcome, part: WriteOutcome) {
    outcome.n += part.n;
    if let Some(sum) = &mut outcome.n_modified {
        *sum += part.n_modified.unwrap_or(0);
    }
    outcome.upserted.extend(part.upserted);
    outcome.errors.extend(part.errors);
    outcome.retried_statements.extend(part.retried_statements);
    if outcome.write_concern_error.is_none() {
        outcome.write_concern_error = part.write_concern_error;
    }
}
