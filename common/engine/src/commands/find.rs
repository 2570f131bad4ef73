//! `find`.

use super::on_collection;
use crate::HasEngine;
use crate::cursor::{self, Wish};
use crate::exec::produce::{Find as FindProducer, Producer};
use crate::exec::{Feed, Scan, Target};
use crate::op_context::{parse_context, refuse_transaction};
use crate::plan::{self, Plan, Query};
use crate::tail;
use crate::view::View;
use bson::RawDocumentBuf;
use command::{Access, Context, Find, Reply, Request, Spec};
use query::matcher::Matcher;
use query::projection::Projection;
use query::sort::Sort;
use std::num::NonZeroU64;
use std::sync::Arc;
use storage::RecordOrder;
use types::Fault;

pub(super) fn spec<S: HasEngine>() -> Spec<S> {
    on_collection(
        "find",
        Access::Read,
        "documents of a collection that match a filter",
        |host, ctx, request| Box::pin(async move { run(&*host, &ctx, &request).await }),
    )
}

async fn run(host: &dyn HasEngine, ctx: &Context, request: &Request) -> Result<Reply, Fault> {
    let find = Find::parse(request, &ctx.envelope)?;
    refuse_transaction(ctx)?;
    let view = View::of(host, ctx).await?;
    if find.ns.db() == "local"
        && let Some(documents) = host.surroundings().virtual_documents(&find.ns)
    {
        return of_documents(host, ctx, &find, documents).await;
    }
    let producer = producer(host, ctx, &find, view)?;
    let wish = Wish {
        batch_size: find.batch_size,
        single_batch: find.single_batch,
        no_timeout: find.no_cursor_timeout,
        tail: tail::of(&find, host.engine().store().catalog().get(&find.ns))?,
    };
    cursor::open(host.engine(), ctx, &find.ns, producer, wish).await
}

/// A find over documents that are made here and now: few, so nothing is planned.
async fn of_documents(
    host: &dyn HasEngine,
    ctx: &Context,
    find: &Find,
    mut documents: Vec<RawDocumentBuf>,
) -> Result<Reply, Fault> {
    let parse = parse_context(ctx, find.let_vars.as_ref(), find.collation.over(None))?;
    let matcher = Matcher::parse(&find.filter, &parse)?;
    let projection = find
        .projection
        .as_ref()
        .map(|projection| Projection::parse(projection, &parse, Some(&matcher)))
        .transpose()?;
    let mut found = Vec::new();
    for doc in documents.drain(..) {
        if matcher.matches(&doc)? {
            found.push(match &projection {
                Some(projection) => projection.apply(&doc, matcher.matches_with_position(&doc)?)?,
                None => doc,
            });
        }
    }
    let skip = usize::try_from(find.skip).unwrap_or(usize::MAX);
    let limit = find.limit.map_or(usize::MAX, |limit| usize::try_from(limit.get()).unwrap_or(usize::MAX));
    let found = found.into_iter().skip(skip).take(limit).collect();
    let wish = Wish { single_batch: find.single_batch, ..Wish::batches_of(find.batch_size) };
    cursor::open(host.engine(), ctx, &find.ns, Producer::Documents(found), wish).await
}

/// The documents of a find, planned.
fn producer(host: &dyn HasEngine, ctx: &Context, find: &Find, view: View) -> Result<Producer, Fault> {
    let engine = host.engine();
    let collection = engine.store().catalog().get(&find.ns).cloned();
    let owner = host.ownership(&find.ns);
    let limit = find.limit.map(NonZeroU64::get);
    let target = Target::of(&find.ns, collection.as_ref());
    let by_id = collection.as_ref().is_none_or(|collection| collection.order == RecordOrder::Id);
    let plain = by_id && find.projection.is_none() && find.sort.is_none() && find.hint.is_none();
    let records = collection.as_ref().and_then(|collection| collection.collation.as_ref());
    let asked = find.collation.over(records);
    if plain && let Some(key) = plan::id_point(&find.filter, asked.as_ref(), records) {
        let plan = if collection.is_some() { plan::point(key) } else { Plan::nothing() };
        let feed = Feed::new(target, view, Scan::new(Arc::new(plan), owner), None, find.skip, limit);
        return Ok(Producer::Find(Box::new(FindProducer {
            feed,
            projection: None,
            positional: None,
            sort_key: None,
        })));
    }
    let planned = PlannedFind::new(host, ctx, find, &view)?;
    let scan = Scan::new(Arc::new(planned.plan), owner);
    let scan = if find.tailable { scan.tailing() } else { scan };
    let feed = Feed::new(target, view, scan, planned.blocking, find.skip, limit);
    Ok(Producer::Find(Box::new(FindProducer {
        feed,
        projection: planned.projection,
        positional: planned.positional,
        sort_key: planned.sort.filter(|_| ctx.routing.as_ref().is_some_and(|routing| routing.with_sort_key)),
    })))
}

/// A find with everything parsed and its plan chosen.
pub(crate) struct PlannedFind {
    pub(crate) plan: Plan,
    pub(crate) sort: Option<Sort>,
    /// The sort, where the plan does not give its order.
    pub(crate) blocking: Option<Sort>,
    pub(crate) projection: Option<Projection>,
    pub(crate) positional: Option<Arc<Matcher>>,
}

impl PlannedFind {
    pub(crate) fn new(
        host: &dyn HasEngine,
        ctx: &Context,
        find: &Find,
        view: &View,
    ) -> Result<PlannedFind, Fault> {
        let collection = host.engine().store().catalog().get(&find.ns).cloned();
        let inherited = collection.as_ref().and_then(|collection| collection.collation.as_ref());
        let parse = parse_context(ctx, find.let_vars.as_ref(), find.collation.over(inherited))?;
        let matcher = Arc::new(Matcher::parse(&find.filter, &parse)?);
        let projection = find
            .projection
            .as_ref()
            .map(|projection| Projection::parse(projection, &parse, Some(&matcher)))
            .transpose()?;
        let positional = projection
            .as_ref()
            .filter(|projection| projection.needs_position())
            .map(|_| Arc::clone(&matcher));
        let order = plan::Order::parse(find.sort.as_ref(), find.hint.as_ref(), parse.collation.as_ref())?;
        let at = view.plan_time(host.engine());
        let query = Query {
            filter: Some(matcher).filter(|matcher| !matcher.is_match_all()),
            sort: order.sort.as_ref(),
            hint: order.hint.as_ref(),
            even_hidden: false,
            at,
        };
        let plan = match &collection {
            Some(collection) if find.tailable => plan::tail(collection, &query)?,
            collection => plan::choose(collection.as_ref(), &query)?,
        };
        let blocking = order.sort.clone().filter(|_| !plan.sorted);
        Ok(PlannedFind { plan, sort: order.sort, blocking, projection, positional })
    }
}
