//! `explain`: which shards a command would go to and why, with each shard's own plan, in MongoDB's shape for routers.

use super::sums::{fitting, sum};
use crate::commands::crud::aggregate::targets as aggregate_targets;
use crate::commands::spec;
use crate::node::Node;
use crate::routing::{Route, Target};
use crate::scatter::{Reason, Targeted, fan_out, routed, target_filter};
use crate::shards::Sending;
use bson::{Document, doc};
use command::{Access, Aggregate, Context, Explain, Explained, Reply, Request, Rewrite, Spec, Verbosity};
use query::pipeline::{Pipeline, split};
use std::sync::Arc;
use types::{Fault, Namespace};
use value::{Collation, SharedDoc};

pub(crate) const SPEC: Spec<Node> = Spec {
    names_collection: false,
    ..spec("explain", Access::Read, "how a command would run", |node, ctx, request| {
        Box::pin(run(node, ctx, request))
    })
};

async fn run(node: Arc<Node>, ctx: Context, request: Request) -> Result<Reply, Fault> {
    let explain = Explain::parse(&request, &ctx.envelope)?;
    let (ns, filter, sorted, asked) = match &explain.inner {
        Explained::Aggregate(inner) => {
            return explain_aggregate(&node, &ctx, &explain.request, inner, explain.verbosity).await;
        }
        Explained::Count(inner) => (&inner.ns, Some(&inner.filter), false, Some(&inner.collation)),
        Explained::Distinct(inner) => (&inner.ns, Some(&inner.filter), false, Some(&inner.collation)),
        Explained::Find(inner) => {
            (&inner.ns, Some(&inner.filter), inner.sort.is_some(), Some(&inner.collation))
        }
        Explained::FindAndModify(inner) => {
            (&inner.ns, Some(&inner.filter), inner.sort.is_some(), Some(&inner.collation))
        }
        Explained::Delete(inner) => {
            let first = inner.deletes.first();
            (&inner.ns, first.map(|delete| &delete.filter), false, first.map(|delete| &delete.collation))
        }
        Explained::Update(inner) => {
            let first = inner.updates.first();
            (&inner.ns, first.map(|update| &update.filter), false, first.map(|update| &update.collation))
        }
    };
    let asked = asked.unwrap_or(&Collation::Inherited);
    routed!(&node, &ctx, ns, |route| {
        let parse = node.parse_context(None, route.collation(asked)?)?;
        let targeted = match filter {
            Some(filter) => target_filter(route, filter, &parse)?,
            None => Targeted { targets: route.everywhere(), reason: Reason::AllShards },
        };
        let plans = shard_plans(&node, &ctx, &targeted.targets, &explain.request, explain.verbosity).await?;
        let stage = match (targeted.targets.len(), sorted) {
            (0 | 1, _) => "SINGLE_SHARD",
            (_, false) => "SHARD_MERGE",
            (_, true) => "SHARD_MERGE_SORT",
        };
        let mut reply = plan_document(route, stage, &targeted, &plans);
        if explain.verbosity >= Verbosity::ExecutionStats {
            reply.insert("executionStats", execution(stage, &plans));
        }
        finish(reply, &explain.request)
    })
}

/// The old form: `aggregate` with `explain: true`.
///
/// # Errors
/// A shard's fault, or what is wrong with the pipeline.
pub(crate) async fn aggregate(
    node: &Arc<Node>,
    ctx: &Context,
    request: &Request,
    aggregate: &Aggregate,
) -> Result<Reply, Fault> {
    let inner = Rewrite::of(request).remove("explain").set("cursor", bson::rawdoc! {}).finish()?;
    explain_aggregate(node, ctx, &inner, aggregate, Verbosity::QueryPlanner).await
}

async fn explain_aggregate(
    node: &Arc<Node>,
    ctx: &Context,
    inner: &Request,
    aggregate: &Aggregate,
    verbosity: Verbosity,
) -> Result<Reply, Fault> {
    let ns: &Namespace = &aggregate.ns;
    routed!(node, ctx, ns, |route| {
        let collation = route.collation(&aggregate.collation)?;
        let parse = node.parse_context(aggregate.let_vars.as_ref(), collation)?;
        let pipeline = Pipeline::parse(aggregate.pipeline.iter().map(|stage| &**stage), &parse)?;
        let targets = aggregate_targets(node, aggregate, &pipeline, route)?;
        let reason = match pipeline.leading_match() {
            Some((filter, _)) => target_filter(route, filter, &parse)?.reason,
            None => target_filter(route, &SharedDoc::from(bson::rawdoc! {}), &parse)?.reason,
        };
        let targeted = Targeted { targets, reason };
        let mut reply = Document::new();
        let request = if targeted.targets.len() > 1 {
            let halves = split(&pipeline)?;
            let stages = |stages: &[bson::RawDocumentBuf]| -> Result<Vec<Document>, Fault> {
                stages
                    .iter()
                    .map(|stage| Document::try_from(stage.as_ref()).map_err(query::context::invalid_bson))
                    .collect()
            };
            reply.insert(
                "splitPipeline",
                doc! { "shardsPart": stages(&halves.shard)?, "mergerPart": stages(&halves.router.to_raw())? },
            );
            reply.insert("mergeType", "mongos");
            let shard_pipeline: bson::RawArrayBuf = halves.shard.iter().cloned().collect();
            Rewrite::of(inner).set("pipeline", bson::RawBson::Array(shard_pipeline)).finish()?
        } else {
            reply.insert("mergeType", "none");
            inner.clone()
        };
        let plans = shard_plans(node, ctx, &targeted.targets, &request, verbosity).await?;
        let mut shards = Document::new();
        for plan in &plans {
            shards.insert(plan.target.shard.as_str(), plan.doc.clone());
        }
        reply.insert("shards", shards);
        reply.insert("targeting", targeting(route, &targeted));
        finish(reply, inner)
    })
}

/// One shard's explain.
struct ShardPlan {
    target: Target,
    address: String,
    doc: Document,
}

async fn shard_plans(
    node: &Arc<Node>,
    ctx: &Context,
    targets: &[Target],
    inner: &Request,
    verbosity: Verbosity,
) -> Result<Vec<ShardPlan>, Fault> {
    let mut body = bson::RawDocumentBuf::new();
    body.append(bson::raw::cstr!("explain"), inner.body.to_buf());
    body.append(bson::raw::cstr!("verbosity"), verbosity.as_str());
    body.append(bson::raw::cstr!("$db"), ctx.envelope.db.as_str());
    let request = Request::from_body(body);
    let mut plans = Vec::new();
    for (target, (shard, answer)) in
        targets.iter().zip(fan_out(node, ctx, targets, Sending::Read, |_| Ok(request.clone())).await)
    {
        let doc = Document::try_from(answer?.doc.as_ref()).map_err(query::context::invalid_bson)?;
        plans.push(ShardPlan {
            target: target.clone(),
            address: node.shards.get(&shard).await?.address.to_string(),
            doc,
        });
    }
    Ok(plans)
}

fn plan_document(route: &Route, stage: &str, targeted: &Targeted, plans: &[ShardPlan]) -> Document {
    let shards: Vec<Document> = plans
        .iter()
        .map(|plan| {
            let mut shard =
                doc! { "shardName": plan.target.shard.as_str(), "connectionString": &plan.address };
            if let Ok(server) = plan.doc.get_document("serverInfo") {
                shard.insert("serverInfo", server.clone());
            }
            if let Ok(planner) = plan.doc.get_document("queryPlanner") {
                shard.extend(planner.clone());
            }
            shard
        })
        .collect();
    doc! {
        "queryPlanner": { "mongosPlannerVersion": 1, "winningPlan": { "stage": stage, "shards": shards } },
        "targeting": targeting(route, targeted),
    }
}

/// Our own part: the shards and the reason in words.
fn targeting(route: &Route, targeted: &Targeted) -> Document {
    let mut doc = doc! {
        "shards": targeted.targets.iter().map(|target| target.shard.as_str()).collect::<Vec<_>>(),
        "reason": targeted.reason.to_string(),
    };
    if let Some(collection) = route.collection() {
        doc.insert("shardKey", collection.key.pattern().clone());
        doc.insert("version", collection.version().to_string());
    }
    doc
}

fn execution(stage: &str, plans: &[ShardPlan]) -> Document {
    let stats: Vec<&Document> =
        plans.iter().filter_map(|plan| plan.doc.get_document("executionStats").ok()).collect();
    let shards: Vec<Document> = plans
        .iter()
        .filter_map(|plan| {
            let mut shard = doc! { "shardName": plan.target.shard.as_str() };
            shard.extend(plan.doc.get_document("executionStats").ok()?.clone());
            Some(shard)
        })
        .collect();
    let total = |name: &str| fitting(sum(stats.iter().copied(), name));
    let slowest =
        stats.iter().map(|stats| super::sums::number(stats, "executionTimeMillis")).max().unwrap_or(0);
    doc! {
        "nReturned": total("nReturned"),
        "executionTimeMillis": fitting(slowest),
        "totalKeysExamined": total("totalKeysExamined"),
        "totalDocsExamined": total("totalDocsExamined"),
        "executionStages": {
            "stage": stage,
            "nReturned": total("nReturned"),
            "executionTimeMillis": fitting(slowest),
            "totalKeysExamined": total("totalKeysExamined"),
            "totalDocsExamined": total("totalDocsExamined"),
            "shards": shards,
        },
    }
}

fn finish(mut reply: Document, inner: &Request) -> Result<Reply, Fault> {
    let mut command = Document::try_from(&*inner.body).map_err(query::context::invalid_bson)?;
    for name in command::envelope::GENERIC_FIELDS.iter().filter(|name| **name != "$db") {
        command.remove(name);
    }
    reply.insert("command", command);
    Reply::try_from(reply)
}
