//! `explain`: how find, aggregate, count, distinct, update, delete and findAndModify would run, and with statistics, how they ran.
//! Writes are looked for and never done.

use super::aggregate::PlannedPipeline;
use super::find::PlannedFind;
use super::{count, distinct, on_collection};
use crate::HasEngine;
use crate::exec::{Feed, Flow, Scan, Target};
use crate::op_context::{Interrupt, parse_context, refuse_transaction};
use crate::plan::explain::{Counts, Shape, count_scan, document, number, parsed_query, stages, wrap};
use crate::plan::{self, Bounds, Plan, id_point};
use crate::write::{Job, Modify, Seek};
use bson::{Bson, Document, doc};
use command::{
    Access, Aggregate, Context, Count, Delete, Distinct, Explain, Explained, Find, FindAndModify,
    FindAndModifyAction, Reply, Request, Spec, Update, Verbosity,
};
use query::pipeline::Run;
use query::sort::Sort;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Instant;
use types::{Code, Fault, Namespace, limits};
use value::SharedDoc;

pub(super) fn spec<S: HasEngine>() -> Spec<S> {
    let spec = on_collection(
        "explain",
        Access::Inspect,
        "how another command would run",
        |host: std::sync::Arc<S>, ctx, request| Box::pin(async move { run(&*host, &ctx, &request).await }),
    );
    Spec { names_collection: false, ..spec }
}

async fn run(host: &dyn HasEngine, ctx: &Context, request: &Request) -> Result<Reply, Fault> {
    let explain = Explain::parse(request, &ctx.envelope)?;
    refuse_transaction(ctx)?;
    let told = Telling { host, ctx, verbosity: explain.verbosity };
    let mut reply = match &explain.inner {
        Explained::Find(find) => told.find(find).await?,
        Explained::Aggregate(aggregate) => told.aggregate(aggregate).await?,
        Explained::Count(count) => told.count(count).await?,
        Explained::Distinct(distinct) => told.distinct(distinct).await?,
        Explained::Update(update) => told.update(update).await?,
        Explained::Delete(delete) => told.delete(delete).await?,
        Explained::FindAndModify(request) => told.find_and_modify(request).await?,
    };
    reply.insert("command", document(&explain.request.body));
    told.finish(reply)
}

/// `aggregate` with `explain: true`.
pub(super) async fn aggregate(
    host: &dyn HasEngine,
    ctx: &Context,
    aggregate: &Aggregate,
    verbosity: Verbosity,
) -> Result<Reply, Fault> {
    let told = Telling { host, ctx, verbosity };
    let reply = told.aggregate(aggregate).await?;
    told.finish(reply)
}

struct Telling<'a> {
    host: &'a dyn HasEngine,
    ctx: &'a Context,
    verbosity: Verbosity,
}

/// A plan and what is done with its documents.
struct Told {
    plan: Arc<Plan>,
    sort: Option<Sort>,
    shape: Shape,
    /// How many documents are wanted, whether a stage shows it or not.
    limit: Option<u64>,
}

impl Told {
    fn new(plan: Plan, shape: Shape) -> Told {
        Told { plan: Arc::new(plan), sort: None, limit: shape.limit, shape }
    }
}

impl Telling<'_> {
    fn owned_only(&self, ns: &Namespace) -> bool {
        self.host.ownership(ns).is_some()
    }

    async fn find(&self, find: &Find) -> Result<Document, Fault> {
        let planned = PlannedFind::new(self.host, self.ctx, find)?;
        let plain = find.projection.is_none() && find.sort.is_none() && find.hint.is_none();
        let mut plan = planned.plan;
        if plain
            && !matches!(plan.access, plan::Access::Nothing)
            && let Some(key) = id_point(&find.filter)
        {
            plan = plan::point(key);
        }
        let projection = find.projection.as_ref().map(|projection| {
            let spec = document(projection);
            let simple = spec.values().all(|value| !matches!(value, Bson::Document(_) | Bson::String(_)));
            (if simple { "PROJECTION_SIMPLE" } else { "PROJECTION_DEFAULT" }, spec)
        });
        let shape = Shape {
            filter: Some(parsed_query(&find.filter)).filter(|filter| !filter.is_empty()),
            owned_only: self.owned_only(&find.ns),
            sort: planned.blocking.as_ref().and(find.sort.as_ref()).map(|sort| document(sort)),
            skip: find.skip,
            limit: find.limit.map(NonZeroU64::get),
            projection,
        };
        let told = Told { sort: planned.blocking, ..Told::new(plan, shape) };
        self.query(&find.ns, &find.filter, &told, |stage, _| stage).await
    }

    async fn count(&self, request: &Count) -> Result<Document, Fault> {
        let engine = self.host.engine();
        let collection = engine.store().catalog().get(&request.ns).cloned();
        let owned_only = self.owned_only(&request.ns);
        let Some(collection) = collection else {
            let told = Told::new(Plan::nothing(), Shape::default());
            return self.query(&request.ns, &request.filter, &told, count_stage).await;
        };
        if request.filter.is_empty() && !owned_only && request.hint.is_none() {
            let records = engine.store().stats(&collection).records;
            let mut reply =
                self.planner(&request.ns, &request.filter, doc! {"stage": "RECORD_STORE_FAST_COUNT"}, &[]);
            if self.verbosity >= Verbosity::ExecutionStats {
                let stage =
                    doc! {"stage": "RECORD_STORE_FAST_COUNT", "nReturned": 0, "nCounted": number(records)};
                reply.insert("executionStats", statistics(&Counts::default(), stage, self.verbosity));
            }
            return Ok(reply);
        }
        let plan = count::plan_of(self.ctx, request, &collection, engine.store().last_op_time().ts)?;
        let shape = Shape {
            filter: Some(parsed_query(&request.filter)).filter(|filter| !filter.is_empty()),
            owned_only,
            ..Shape::default()
        };
        let told = Told::new(plan, shape);
        let scan = Scan::new(Arc::clone(&told.plan), None);
        match &told.plan.bounds {
            Some(bounds) if told.plan.filter.is_none() && !owned_only && scan.can_count_keys() => {
                self.count_keys(request, &told.plan, bounds, scan).await
            }
            _ => self.query(&request.ns, &request.filter, &told, count_stage).await,
        }
    }

    /// A count that looks at index keys alone.
    async fn count_keys(
        &self,
        request: &Count,
        plan: &Plan,
        bounds: &Bounds,
        mut scan: Scan,
    ) -> Result<Document, Fault> {
        let tree = |counts: Option<&Counts>| count_stage(count_scan(plan, bounds, counts), counts);
        let mut reply = self.planner(&request.ns, &request.filter, tree(None), &plan.rejected());
        if self.verbosity >= Verbosity::ExecutionStats {
            let engine = self.host.engine();
            let snapshot = engine.store().snapshot();
            let started = Instant::now();
            let mut interrupt = Interrupt::new(self.ctx);
            let keys = engine.long_work(|| scan.count_keys(&snapshot, None, &mut interrupt)).await?;
            let millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
            let counts = Counts { keys, matched: keys, returned: keys, millis, docs: 0 };
            reply.insert("executionStats", statistics(&counts, tree(Some(&counts)), self.verbosity));
        }
        Ok(reply)
    }

    async fn distinct(&self, request: &Distinct) -> Result<Document, Fault> {
        let engine = self.host.engine();
        let plan = match engine.store().catalog().get(&request.ns).cloned() {
            None => Plan::nothing(),
            Some(collection) => {
                distinct::plan_of(self.ctx, request, &collection, engine.store().last_op_time().ts)?
            }
        };
        let shape = Shape {
            filter: Some(parsed_query(&request.filter)).filter(|filter| !filter.is_empty()),
            owned_only: self.owned_only(&request.ns),
            ..Shape::default()
        };
        let told = Told::new(plan, shape);
        self.query(&request.ns, &request.filter, &told, |stage, _| stage).await
    }

    async fn aggregate(&self, request: &Aggregate) -> Result<Document, Fault> {
        let parse = parse_context(self.ctx, request.let_vars.as_ref())?;
        let planned = PlannedPipeline::new(self.host, request, &parse)?;
        let rest: Vec<Document> = planned.rest.to_raw().iter().map(|stage| document(stage)).collect();
        if let Some(documents) = &planned.source {
            let mut shown: Vec<Document> =
                request.pipeline.first().into_iter().map(|stage| document(stage)).collect();
            shown.extend(rest);
            if let (Some(first), true) = (shown.first_mut(), self.verbosity >= Verbosity::ExecutionStats) {
                first.insert("nReturned", number(documents.len() as u64));
            }
            return Ok(doc! {"explainVersion": "1", "stages": shown});
        }
        let filter = SharedDoc::from(planned.filter.unwrap_or_default());
        let sort_pattern = |sort: &Sort| -> Document {
            sort.fields()
                .iter()
                .map(|(path, down)| (path.clone(), Bson::Int32(if *down { -1 } else { 1 })))
                .collect()
        };
        let shape = Shape {
            filter: Some(parsed_query(&filter)).filter(|filter| !filter.is_empty()),
            owned_only: self.owned_only(&request.ns),
            sort: planned.blocking.as_ref().map(sort_pattern),
            limit: planned.limit,
            ..Shape::default()
        };
        let told = Told { sort: planned.blocking, ..Told::new(planned.plan, shape) };
        let query = self.query(&request.ns, &filter, &told, |stage, _| stage).await?;
        if rest.is_empty() {
            return Ok(query);
        }
        let mut shown = vec![doc! {"$cursor": query}];
        let names = rest.len();
        for (at, mut stage) in rest.into_iter().enumerate() {
            if at + 1 == names && self.verbosity >= Verbosity::ExecutionStats {
                stage.insert("nReturned", number(self.results(request, &told, &planned.rest).await?));
            }
            shown.push(stage);
        }
        Ok(doc! {"explainVersion": "1", "stages": shown})
    }

    /// How many documents a pipeline gives.
    async fn results(
        &self,
        request: &Aggregate,
        told: &Told,
        rest: &query::pipeline::Pipeline,
    ) -> Result<u64, Fault> {
        let engine = self.host.engine();
        let mut run = Run::new(rest, limits::BLOCKING_STAGE_BYTES_MAX);
        let mut results = 0;
        let mut feed = self.feed(&request.ns, told);
        feed.pull(engine, self.ctx, &mut |doc| {
            run.push(doc)?;
            while run.pop()?.is_some() {
                results += 1;
            }
            Ok(if run.wants_more() { Flow::Continue } else { Flow::Stop })
        })
        .await?;
        run.finish()?;
        while run.pop()?.is_some() {
            results += 1;
        }
        Ok(results)
    }

    async fn update(&self, request: &Update) -> Result<Document, Fault> {
        let statement = single(&request.updates)?;
        let job = Job::new(self.host, self.ctx, &request.ns, request.options.let_vars.as_ref())?;
        let mut seek =
            Seek::parse(&job, &statement.filter, statement.sort.as_ref(), statement.hint.as_ref())?;
        let constants = statement.constants.as_ref();
        let modify = Modify::parse(&job, &mut seek, &statement.update, &statement.array_filters, constants)?;
        let limit = (!statement.multi).then_some(1);
        let told = self.write(&job, &seek, &statement.filter, limit)?;
        let would = if self.verbosity >= Verbosity::ExecutionStats {
            Some(self.would_modify(&job, &told, &modify).await?)
        } else {
            None
        };
        self.query(&request.ns, &statement.filter, &told, |stage, counts| {
            update_stage(stage, counts, would.unwrap_or(0), statement.upsert)
        })
        .await
    }

    async fn delete(&self, request: &Delete) -> Result<Document, Fault> {
        let statement = single(&request.deletes)?;
        let job = Job::new(self.host, self.ctx, &request.ns, request.options.let_vars.as_ref())?;
        let seek = Seek::parse(&job, &statement.filter, None, statement.hint.as_ref())?;
        let told = self.write(&job, &seek, &statement.filter, (!statement.multi).then_some(1))?;
        self.query(&request.ns, &statement.filter, &told, delete_stage).await
    }

    async fn find_and_modify(&self, request: &FindAndModify) -> Result<Document, Fault> {
        let job = Job::new(self.host, self.ctx, &request.ns, request.let_vars.as_ref())?;
        let mut seek = Seek::parse(&job, &request.filter, request.sort.as_ref(), request.hint.as_ref())?;
        let told = self.write(&job, &seek, &request.filter, Some(1))?;
        match &request.action {
            FindAndModifyAction::Remove => {
                self.query(&request.ns, &request.filter, &told, delete_stage).await
            }
            FindAndModifyAction::Update { update, upsert, array_filters, .. } => {
                let modify = Modify::parse(&job, &mut seek, update, array_filters, None)?;
                let would = if self.verbosity >= Verbosity::ExecutionStats {
                    self.would_modify(&job, &told, &modify).await?
                } else {
                    0
                };
                self.query(&request.ns, &request.filter, &told, |stage, counts| {
                    update_stage(stage, counts, would, *upsert)
                })
                .await
            }
        }
    }

    /// The plan by which a write finds its documents.
    fn write(
        &self,
        job: &Job<'_>,
        seek: &Seek,
        filter: &SharedDoc,
        limit: Option<u64>,
    ) -> Result<Told, Fault> {
        let plan = match job.collection() {
            None => Plan::nothing(),
            Some(collection) => seek.plan(&collection, self.host.engine().store().last_op_time().ts)?,
        };
        let blocking = seek.sort().filter(|_| !plan.sorted).cloned();
        let shape = Shape {
            filter: Some(parsed_query(filter)).filter(|filter| !filter.is_empty()),
            owned_only: self.owned_only(&job.ns),
            ..Shape::default()
        };
        Ok(Told { sort: blocking, limit, ..Told::new(plan, shape) })
    }

    async fn would_modify(&self, job: &Job<'_>, told: &Told, modify: &Modify) -> Result<u64, Fault> {
        let mut would = 0;
        let mut feed = self.feed(&job.ns, told);
        feed.pull(self.host.engine(), self.ctx, &mut |doc| {
            would += u64::from(modify.apply(job, doc)?.is_some());
            Ok(Flow::Continue)
        })
        .await?;
        Ok(would)
    }

    fn feed(&self, ns: &Namespace, told: &Told) -> Feed {
        let collection = self.host.engine().store().catalog().get(ns).cloned();
        let scan = Scan::new(Arc::clone(&told.plan), self.host.ownership(ns));
        Feed::new(Target::of(ns, collection.as_ref()), scan, told.sort.clone(), told.shape.skip, told.limit)
    }

    /// The plan of a query, run where statistics are asked for. `outer` puts the command's own stage around the tree.
    async fn query(
        &self,
        ns: &Namespace,
        filter: &SharedDoc,
        told: &Told,
        outer: impl Fn(Document, Option<&Counts>) -> Document,
    ) -> Result<Document, Fault> {
        let tree = outer(stages(&told.plan, &told.shape, None), None);
        let mut reply = self.planner(ns, filter, tree, &told.plan.rejected());
        if self.verbosity >= Verbosity::ExecutionStats {
            let started = Instant::now();
            let mut counts = Counts::default();
            let mut feed = self.feed(ns, told);
            feed.pull(self.host.engine(), self.ctx, &mut |_| {
                counts.returned += 1;
                Ok(Flow::Continue)
            })
            .await?;
            counts.keys = feed.scan.keys_examined;
            counts.docs = feed.scan.docs_examined;
            counts.matched = feed.scan.matched;
            counts.millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
            let tree = outer(stages(&told.plan, &told.shape, Some(&counts)), Some(&counts));
            reply.insert("executionStats", statistics(&counts, tree, self.verbosity));
        }
        Ok(reply)
    }

    fn planner(&self, ns: &Namespace, filter: &SharedDoc, tree: Document, rejected: &[Plan]) -> Document {
        let mut winning = doc! {"isCached": false};
        winning.extend(tree);
        let rejected: Vec<Document> =
            rejected.iter().map(|plan| stages(plan, &Shape::default(), None)).collect();
        doc! {
            "explainVersion": "1",
            "queryPlanner": {
                "namespace": ns.as_str(),
                "parsedQuery": parsed_query(filter),
                "indexFilterSet": false,
                "maxIndexedOrSolutionsReached": false,
                "maxIndexedAndSolutionsReached": false,
                "maxScansToExplodeReached": false,
                "prunedSimilarIndexes": false,
                "winningPlan": winning,
                "rejectedPlans": rejected,
            },
        }
    }

    fn finish(&self, mut reply: Document) -> Result<Reply, Fault> {
        let identity = self.host.identity();
        let (host, port) = identity.host.rsplit_once(':').unwrap_or((identity.host.as_str(), "0"));
        reply.insert(
            "serverInfo",
            doc! {
                "host": host,
                "port": port.parse::<i32>().unwrap_or(0),
                "version": limits::SERVER_VERSION,
                "gitVersion": "shoal",
            },
        );
        Reply::try_from(reply)
    }
}

fn statistics(counts: &Counts, tree: Document, verbosity: Verbosity) -> Document {
    let mut stages = doc! {"isCached": false};
    stages.extend(tree);
    let mut statistics = doc! {
        "executionSuccess": true,
        "nReturned": number(counts.returned),
        "executionTimeMillis": number(counts.millis),
        "totalKeysExamined": number(counts.keys),
        "totalDocsExamined": number(counts.docs),
        "executionStages": stages,
    };
    if verbosity == Verbosity::AllPlansExecution {
        statistics.insert("allPlansExecution", Vec::<Bson>::new());
    }
    statistics
}

fn count_stage(stage: Document, counts: Option<&Counts>) -> Document {
    match counts {
        None => wrap(doc! {"stage": "COUNT"}, None, stage),
        Some(counts) => {
            wrap(doc! {"stage": "COUNT", "nReturned": 0, "nCounted": number(counts.returned)}, None, stage)
        }
    }
}

fn delete_stage(stage: Document, counts: Option<&Counts>) -> Document {
    let mut outer = doc! {"stage": "DELETE"};
    if let Some(counts) = counts {
        outer.extend(doc! {"nReturned": 0, "nWouldDelete": number(counts.returned)});
    }
    wrap(outer, None, stage)
}

fn update_stage(stage: Document, counts: Option<&Counts>, would_modify: u64, upsert: bool) -> Document {
    let mut outer = doc! {"stage": "UPDATE"};
    if let Some(counts) = counts {
        outer.extend(doc! {
            "nReturned": 0,
            "nMatched": number(counts.returned),
            "nWouldModify": number(would_modify),
            "nWouldUpsert": i32::from(upsert && counts.returned == 0),
        });
    }
    wrap(outer, None, stage)
}

fn single<T>(statements: &[T]) -> Result<&T, Fault> {
    match statements {
        [statement] => Ok(statement),
        _ => Err(Fault::new(Code::InvalidLength, "explained write batches must be of size 1")),
    }
}
