//! `count`: from the counters where there is no filter, from index keys alone where the filter's bounds are exact.

use super::on_collection;
use crate::HasEngine;
use crate::exec::{Flow, Scan, drive};
use crate::op_context::{Interrupt, parse_context, refuse_transaction};
use crate::plan::{self, Plan, Query};
use crate::view::View;
use bson::{RawDocumentBuf, cstr};
use command::{Access, Context, Count, Reply, Request, Spec};
use query::matcher::Matcher;
use std::num::NonZeroU64;
use std::sync::Arc;
use types::Fault;

pub(super) fn spec<S: HasEngine>() -> Spec<S> {
    on_collection("count", Access::Read, "how many documents match", |host, ctx, request| {
        Box::pin(async move { run(&*host, &ctx, &request).await })
    })
}

async fn run(host: &dyn HasEngine, ctx: &Context, request: &Request) -> Result<Reply, Fault> {
    let count = Count::parse(request, &ctx.envelope)?;
    refuse_transaction(ctx)?;
    let view = View::of(host, ctx).await?;
    let matched = matched(host, ctx, &count, &view).await?;
    let limit = count.limit.map_or(u64::MAX, NonZeroU64::get);
    let n = matched.saturating_sub(count.skip).min(limit);
    let mut reply = RawDocumentBuf::new();
    match i32::try_from(n) {
        Ok(n) => reply.append(cstr!("n"), n),
        Err(_) => reply.append(cstr!("n"), i64::try_from(n).unwrap_or(i64::MAX)),
    }
    Ok(reply.into())
}

/// Matching documents, counted no further than skip and limit need.
async fn matched(host: &dyn HasEngine, ctx: &Context, count: &Count, view: &View) -> Result<u64, Fault> {
    let engine = host.engine();
    let Some(collection) = engine.store().catalog().get(&count.ns).cloned() else { return Ok(0) };
    let owner = host.ownership(&count.ns).filter(|owner| !owner.owns_all());
    if count.filter.is_empty() && owner.is_none() && count.hint.is_none() {
        return Ok(engine.store().stats(&collection).records);
    }
    let snapshot = view.snapshot(engine)?;
    let plan = plan_of(ctx, count, &collection, snapshot.timestamp())?;
    let wanted = count.limit.map(|limit| limit.get().saturating_add(count.skip));
    let keys_only = plan.filter.is_none() && owner.is_none();
    let mut scan = Scan::new(Arc::new(plan), owner);
    if keys_only && scan.can_count_keys() {
        let mut interrupt = Interrupt::new(ctx);
        engine.note_use(&scan);
        return engine.long_work(|| scan.count_keys(&snapshot, wanted, &mut interrupt)).await;
    }
    let mut matched = 0;
    drive(engine, ctx, &mut scan, &snapshot, &collection, &mut |_| {
        matched += 1;
        Ok(if wanted == Some(matched) { Flow::Stop } else { Flow::Continue })
    })
    .await?;
    Ok(matched)
}

/// The plan of a count.
pub(crate) fn plan_of(
    ctx: &Context,
    count: &Count,
    collection: &Arc<storage::Collection>,
    at: types::Timestamp,
) -> Result<Plan, Fault> {
    let collation = count.collation.over(collection.collation.as_ref());
    let matcher = Matcher::parse(&count.filter, &parse_context(ctx, None, collation)?)?;
    let filter = Some(Arc::new(matcher)).filter(|matcher| !matcher.is_match_all());
    let hint = count.hint.as_ref();
    plan::choose(Some(collection), &Query { filter, sort: None, hint, even_hidden: false, at })
}
