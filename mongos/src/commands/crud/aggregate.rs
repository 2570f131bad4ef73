//! `aggregate`: whole on one shard where one shard has all that it needs, else half on the shards and half here.

use super::open_cursor;
use crate::commands::spec;
use crate::node::Node;
use crate::routing::{Route, Target};
use crate::scatter::{MergedCursor, fan_out_heard, routed, target_filter};
use crate::shards::Sending;
use bson::RawArrayBuf;
use command::{Access, Aggregate, Context, Reply, Request, Rewrite, Spec};
use query::pipeline::{Pipeline, Run, SourceKind, split};
use std::sync::Arc;
use types::{Fault, limits};

pub(crate) const SPEC: Spec<Node> =
    spec("aggregate", Access::Read, "runs a pipeline", |node, ctx, request| {
        Box::pin(run(node, ctx, request))
    });

async fn run(node: Arc<Node>, ctx: Context, request: Request) -> Result<Reply, Fault> {
    let aggregate = Aggregate::parse(&request, &ctx.envelope)?;
    if aggregate.explain {
        return crate::commands::diag::explain::aggregate(&node, &ctx, &request, &aggregate).await;
    }
    let parse = node.parse_context(aggregate.let_vars.as_ref(), aggregate.collation.over(None))?;
    let pipeline = Pipeline::parse(aggregate.pipeline.iter().map(|stage| &**stage), &parse)?;
    if aggregate.collectionless {
        return without_collection(&node, &ctx, &aggregate, pipeline).await;
    }
    routed!(&node, &ctx, &aggregate.ns, |route| on_route(&node, &ctx, &request, &aggregate, &pipeline, route)
        .await)
}

async fn on_route(
    node: &Arc<Node>,
    ctx: &Context,
    request: &Request,
    aggregate: &Aggregate,
    pipeline: &Pipeline,
    route: &Route,
) -> Result<Reply, Fault> {
    // The collection may say how strings compare, where the command does not.
    let collation = route.collation(&aggregate.collation)?;
    let parsed;
    let pipeline = if collation == aggregate.collation.over(None) {
        pipeline
    } else {
        let parse = node.parse_context(aggregate.let_vars.as_ref(), collation)?;
        parsed = Pipeline::parse(aggregate.pipeline.iter().map(|stage| &**stage), &parse)?;
        &parsed
    };
    let targets = targets(node, aggregate, pipeline, route)?;
    match targets.as_slice() {
        [] => {
            // No database, no documents: the pipeline still runs, and $group or $count may have something to say of nothing.
            let cursor = MergedCursor::new(aggregate.ns.clone(), ctx.envelope.session, Vec::new())
                .through(Run::new(pipeline, limits::BLOCKING_STAGE_BYTES_MAX));
            open_cursor::first_batch(node, ctx, cursor, aggregate.batch_size, false).await
        }
        [target] => {
            let heard = node.hear(ctx, target, request, Sending::Read).await?;
            open_cursor::pass_on(node, ctx, &aggregate.ns, &target.shard, heard)
        }
        targets => {
            let halves = split(pipeline)?;
            let is_sorted = halves.merge.is_some();
            let shard_pipeline: RawArrayBuf = halves.shard.iter().cloned().collect();
            let shard_request = Rewrite::of(request)
                .set("pipeline", bson::RawBson::Array(shard_pipeline))
                .set("cursor", bson::rawdoc! {})
                .finish()?;
            let targets: Vec<Target> =
                targets.iter().map(|target| target.clone().with_sort_key(is_sorted)).collect();
            let answers =
                fan_out_heard(node, ctx, &targets, Sending::Read, |_| Ok(shard_request.clone())).await;
            let remotes = open_cursor::remotes(node, ctx, &aggregate.ns, answers).await?;
            let mut cursor =
                MergedCursor::new(aggregate.ns.clone(), ctx.envelope.session, remotes).sorted(is_sorted);
            if !halves.router.is_empty() {
                cursor = cursor.through(Run::new(&halves.router, limits::BLOCKING_STAGE_BYTES_MAX));
            }
            open_cursor::first_batch(node, ctx, cursor, aggregate.batch_size, false).await
        }
    }
}

/// The shards that a pipeline over a collection concerns.
///
/// # Errors
/// What is wrong with its leading filter.
pub(crate) fn targets(
    node: &Node,
    aggregate: &Aggregate,
    pipeline: &Pipeline,
    route: &Route,
) -> Result<Vec<Target>, Fault> {
    if pipeline.source.is_some() {
        return Ok(route.everywhere());
    }
    let collation = route.collation(&aggregate.collation)?;
    let parse = node.parse_context(aggregate.let_vars.as_ref(), collation)?;
    match pipeline.leading_match() {
        Some((filter, _)) => Ok(target_filter(route, filter, &parse)?.targets),
        None => Ok(route.everywhere()),
    }
}

/// `aggregate: 1`: the pipeline brings its own source.
async fn without_collection(
    node: &Arc<Node>,
    ctx: &Context,
    aggregate: &Aggregate,
    mut pipeline: Pipeline,
) -> Result<Reply, Fault> {
    let Some(source) = pipeline.source.take() else {
        return Err(Fault::new(
            types::Code::InvalidNamespace,
            "{aggregate: 1} is not valid for a pipeline that does not start with a stage that makes documents by itself",
        ));
    };
    let documents = match source.kind() {
        SourceKind::Documents => source.documents().to_vec(),
        SourceKind::CurrentOp => {
            crate::commands::diag::current_operations(node, ctx, aggregate, source.spec()).await?
        }
        SourceKind::ShardedDataDistribution => crate::commands::diag::data_distribution(node, ctx).await?,
        _ => {
            return Err(Fault::not_implemented(format!("aggregation source {} on a router", source.name())));
        }
    };
    let mut run = Run::new(&pipeline, limits::BLOCKING_STAGE_BYTES_MAX);
    for doc in documents {
        run.push(&doc)?;
    }
    let cursor = MergedCursor::new(aggregate.ns.clone(), ctx.envelope.session, Vec::new()).through(run);
    open_cursor::first_batch(node, ctx, cursor, aggregate.batch_size, false).await
}
