//! An updateOne, replaceOne, deleteOne or findAndModify whose filter does not name the shard key: its one document is found first,
//! then changed where it lies, by filter and `_id` together. If somebody else changed it in between, the search begins anew.

use crate::node::Node;
use crate::routing::{Route, Target};
use crate::scatter::{
    Statement, WriteBatch, WriteKind, fan_out, key_target, routed, run_writes, target_filter,
};
use bson::{RawBson, RawDocumentBuf};
use command::{Context, CursorBatch, Modification, Request, Upserted, WriteOptions, WriteOutcome};
use query::context::ParseContext;
use query::matcher::Matcher;
use query::update::{Update, UpdateSpec};
use std::sync::Arc;
use std::time::Instant;
use types::{Code, Fault, Namespace, ShardId};
use value::SharedDoc;

/// How often the document may be snatched away before the client hears of it.
const SEARCHES_MAX: usize = 100;

/// A statement on one document that may be on any of several shards.
pub(super) struct SingleWrite<'a> {
    pub(super) ns: &'a Namespace,
    pub(super) kind: WriteKind,
    pub(super) options: &'a WriteOptions,
    pub(super) index: usize,
    pub(super) filter: &'a SharedDoc,
    pub(super) sort: Option<&'a SharedDoc>,
    /// The statement as the client sent it; its filter is the field `q`.
    pub(super) raw: &'a SharedDoc,
    /// What to insert where nothing matches.
    pub(super) upsert: Option<(&'a Modification, &'a [SharedDoc])>,
}

/// Where a document was found.
pub(super) struct Found {
    pub(super) shard: ShardId,
    pub(super) id: RawBson,
}

/// Runs the statement.
///
/// # Errors
/// A shard's fault; `WriteConflict` (112) where the document was snatched away time and again.
pub(super) async fn run(
    node: &Arc<Node>,
    ctx: &Context,
    request: &Request,
    single: &SingleWrite<'_>,
    parse: &ParseContext,
) -> Result<WriteOutcome, Fault> {
    if let Some(done) = answered_before(node, ctx, request, single).await? {
        return Ok(done);
    }
    for _ in 0..SEARCHES_MAX {
        ctx.check(Instant::now())?;
        let Some(found) = find_one(node, ctx, single.ns, single.filter, single.sort, parse).await? else {
            return match single.upsert {
                Some((update, array_filters)) => {
                    upsert(node, ctx, request, single, update, array_filters, parse).await
                }
                None => Ok(WriteOutcome::default()),
            };
        };
        let pinned = pin(single.raw, "q", single.filter, &found.id)?;
        let on_shard = |route: &Route, _: &Statement| Ok(target_on(route, &found.shard));
        let statement = vec![Statement::new(single.index, pinned)];
        let outcome = run_writes(
            node,
            ctx,
            WriteBatch { ns: single.ns, request, kind: single.kind, options: single.options },
            statement,
            on_shard,
        )
        .await?;
        if outcome.n > 0 || !outcome.errors.is_empty() {
            return Ok(outcome);
        }
    }
    Err(Fault::new(
        Code::WriteConflict,
        "the matching document was changed by others each time it was found; try again",
    ))
}

/// Whether a shard has executed this statement before: then a repeated send must not choose another document.
async fn answered_before(
    node: &Arc<Node>,
    ctx: &Context,
    request: &Request,
    single: &SingleWrite<'_>,
) -> Result<Option<WriteOutcome>, Fault> {
    let Some(reply) =
        executed_statement(node, ctx, request, single.ns, single.options.statements.of(single.index)).await?
    else {
        return Ok(None);
    };
    let mut outcome = WriteOutcome::from_reply(&reply)?;
    for upserted in &mut outcome.upserted {
        upserted.index = single.index;
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
    _request: &Request,
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
    for (_, answer) in fan_out(node, ctx, &targets, true, |_| Ok(request.clone())).await {
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
    let request = Request::from_body(body);
    routed!(node, ctx, ns, |route| {
        let mut targets = target_filter(route, filter, parse)?.targets;
        for routing in targets.iter_mut().filter_map(|target| target.routing.as_mut()) {
            routing.with_sort_key = sort.is_some();
        }
        let mut best: Option<(Vec<u8>, Found)> = None;
        for (shard, answer) in fan_out(node, ctx, &targets, true, |_| Ok(request.clone())).await {
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

/// The statement with its filter narrowed to one `_id`.
///
/// # Errors
/// `InvalidBSON` (22) for a statement that cannot be walked.
pub(super) fn pin(
    raw: &SharedDoc,
    filter_field: &str,
    filter: &SharedDoc,
    id: &RawBson,
) -> Result<SharedDoc, Fault> {
    let mut pinned = RawDocumentBuf::new();
    for element in raw.iter() {
        let (name, value) = element.map_err(query::context::invalid_bson)?;
        if name.as_str() == filter_field {
            pinned
                .append(name, bson::rawdoc! { "$and": [filter.to_buf(), { "_id": { "$eq": id.clone() } }] });
        } else {
            pinned.append(name, value);
        }
    }
    Ok(pinned.into())
}

/// Inserts what the update makes of nothing, on the shard that owns it.
async fn upsert(
    node: &Arc<Node>,
    ctx: &Context,
    request: &Request,
    single: &SingleWrite<'_>,
    update: &Modification,
    array_filters: &[SharedDoc],
    parse: &ParseContext,
) -> Result<WriteOutcome, Fault> {
    let doc = upsert_document(single.filter, update, array_filters, parse)?;
    let id = doc.get("_id").ok().flatten().ok_or_else(|| Fault::internal("an upsert without _id"))?;
    let id = RawBson::from(id);
    // The owner runs the statement itself, as an upsert with the whole document as the answer to "which one".
    let target_of = |route: &Route, _: &Statement| key_target(route, &doc);
    let statement = bson::rawdoc! { "q": { "_id": id.clone() }, "u": { "$setOnInsert": without_id(&doc)? }, "upsert": true };
    let statements = vec![Statement::new(single.index, statement.into())];
    let mut outcome = run_writes(
        node,
        ctx,
        WriteBatch { ns: single.ns, request, kind: WriteKind::Update, options: single.options },
        statements,
        target_of,
    )
    .await?;
    if outcome.errors.is_empty() && outcome.upserted.is_empty() {
        outcome.upserted.push(Upserted { index: single.index, id });
    }
    Ok(outcome)
}

/// What an upsert inserts: the filter's equalities, then the update.
///
/// # Errors
/// What is wrong with filter or update.
pub(super) fn upsert_document(
    filter: &SharedDoc,
    update: &Modification,
    array_filters: &[SharedDoc],
    parse: &ParseContext,
) -> Result<RawDocumentBuf, Fault> {
    let matcher = Matcher::parse(filter, parse)?;
    let update = Update::parse(UpdateSpec::new(update, array_filters), parse)?;
    update.upsert(&matcher)
}

fn without_id(doc: &RawDocumentBuf) -> Result<RawDocumentBuf, Fault> {
    let mut rest = RawDocumentBuf::new();
    for element in doc.iter() {
        let (name, value) = element.map_err(query::context::invalid_bson)?;
        if name.as_str() != "_id" {
            rest.append(name, value);
        }
    }
    Ok(rest)
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
