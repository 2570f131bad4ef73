//! `aggregate`: the front of the pipeline becomes a scan, the rest runs over its documents.

use super::on_collection;
use crate::HasEngine;
use crate::cursor::{self, Wish};
use crate::exec::produce::{Input, Piped, Producer};
use crate::exec::{Feed, Scan, Target};
use crate::op_context::{parse_context, refuse_transaction};
use crate::plan::{self, Order, Plan, Query};
use crate::sources;
use crate::view::View;
use bson::RawDocumentBuf;
use command::{Access, Aggregate, Context, Reply, Request, Spec};
use query::context::ParseContext;
use query::matcher::Matcher;
use query::pipeline::{Pipeline, Run};
use query::sort::Sort;
use std::sync::Arc;
use storage::Collection;
use types::{Code, Fault, limits};
use value::SharedDoc;

pub(super) fn spec<S: HasEngine>() -> Spec<S> {
    on_collection("aggregate", Access::Read, "runs a pipeline", |host, ctx, request| {
        Box::pin(async move { run(&*host, &ctx, &request).await })
    })
}

async fn run(host: &dyn HasEngine, ctx: &Context, request: &Request) -> Result<Reply, Fault> {
    let aggregate = Aggregate::parse(request, &ctx.envelope)?;
    refuse_transaction(ctx)?;
    if aggregate.explain {
        return crate::explain::explain_pipeline(host, ctx, &aggregate).await;
    }
    let view = View::of(host, ctx).await?;
    let collection = host.engine().store().catalog().get(&aggregate.ns).cloned();
    let parse = parse_aggregate(ctx, &aggregate, collection.as_deref())?;
    let planned = PlannedPipeline::new(host, &aggregate, &parse, &view)?;
    let with_sort_key = ctx.routing.as_ref().is_some_and(|routing| routing.with_sort_key);
    let sort_key = if with_sort_key {
        last_sort(&aggregate.pipeline)?.map(|sort| sort.under(parse.collation.clone()))
    } else {
        None
    };
    let run = Run::new(&planned.rest, limits::BLOCKING_STAGE_BYTES_MAX);
    let input = match planned.source {
        Some(documents) => Input::Documents(documents.into()),
        None => {
            let scan = Scan::new(Arc::new(planned.plan), host.ownership(&aggregate.ns));
            let target = Target::of(&aggregate.ns, collection.as_ref());
            Input::Feed(Box::new(Feed::new(target, view, scan, planned.blocking, 0, planned.limit)))
        }
    };
    let producer = Producer::Pipeline(Box::new(Piped { input, run, waiting: None, ended: false, sort_key }));
    cursor::open(host.engine(), ctx, &aggregate.ns, producer, Wish::batches_of(aggregate.batch_size)).await
}

/// The context that the stages of an aggregate are parsed in.
///
/// # Errors
/// Those of the expressions in `let`.
pub(crate) fn parse_aggregate(
    ctx: &Context,
    aggregate: &Aggregate,
    collection: Option<&Collection>,
) -> Result<ParseContext, Fault> {
    let inherited = collection.and_then(|collection| collection.collation.as_ref());
    parse_context(ctx, aggregate.let_vars.as_ref(), aggregate.collation.over(inherited))
}

/// A pipeline with its front turned into a plan.
pub(crate) struct PlannedPipeline {
    pub(crate) plan: Plan,
    pub(crate) filter: Option<RawDocumentBuf>,
    /// The leading sort, where the plan does not give its order.
    pub(crate) blocking: Option<Sort>,
    pub(crate) limit: Option<u64>,
    pub(crate) rest: Pipeline,
    /// The documents of a source stage, in place of the collection's.
    pub(crate) source: Option<Vec<RawDocumentBuf>>,
}

impl PlannedPipeline {
    pub(crate) fn new(
        host: &dyn HasEngine,
        aggregate: &Aggregate,
        parse: &ParseContext,
        view: &View,
    ) -> Result<PlannedPipeline, Fault> {
        let mut rest = Pipeline::parse(aggregate.pipeline.iter().map(|stage| &**stage), parse)?;
        if let Some(source) = rest.source.take() {
            let documents = sources::documents(host, aggregate, &source)?;
            return Ok(PlannedPipeline {
                plan: Plan::nothing(),
                filter: None,
                blocking: None,
                limit: None,
                rest,
                source: Some(documents),
            });
        }
        if aggregate.collectionless {
            return Err(Fault::new(
                Code::InvalidNamespace,
                "{aggregate: 1} is not valid for a pipeline that does not begin with a stage that makes documents",
            ));
        }
        if aggregate.ns.db() == "local"
            && let Some(documents) = host.surroundings().virtual_documents(&aggregate.ns)
        {
            return Ok(PlannedPipeline {
                plan: Plan::nothing(),
                filter: None,
                blocking: None,
                limit: None,
                rest,
                source: Some(documents),
            });
        }
        let prefix = rest.take_prefix();
        let matcher = match &prefix.filter {
            Some(filter) => Some(Arc::new(Matcher::parse(filter, parse)?)),
            None => None,
        };
        let sort = prefix.sort.map(SharedDoc::from);
        let order = Order::parse(sort.as_ref(), aggregate.hint.as_ref(), parse.collation.as_ref())?;
        let query = Query {
            filter: matcher.filter(|matcher| !matcher.is_match_all()),
            sort: order.sort.as_ref(),
            hint: order.hint.as_ref(),
            even_hidden: false,
            at: view.plan_time(host.engine()),
        };
        let collection = host.engine().store().catalog().get(&aggregate.ns).cloned();
        let plan = plan::choose(collection.as_ref(), &query)?;
        let blocking = order.sort.clone().filter(|_| !plan.sorted);
        Ok(PlannedPipeline { plan, filter: prefix.filter, blocking, limit: prefix.limit, rest, source: None })
    }
}

/// The order in which the results come, for a router that merges: that of the pipeline's last `$sort`.
fn last_sort(stages: &[SharedDoc]) -> Result<Option<Sort>, Fault> {
    for stage in stages.iter().rev() {
        if let Some(Ok((name, bson::RawBsonRef::Document(pattern)))) = stage.iter().next()
            && name.as_str() == "$sort"
        {
            return Sort::parse(pattern).map(Some);
        }
    }
    Ok(None)
}
