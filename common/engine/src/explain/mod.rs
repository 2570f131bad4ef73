//! How commands would run, and with statistics, how they ran. Writes are looked for and never done.

mod reads;
mod writes;

use crate::HasEngine;
use crate::exec::{Feed, Flow, Scan, Target};
use crate::plan::Plan;
use crate::plan::explain::{Counts, Shape, number, parsed_query, stages};
use crate::view::View;
use bson::{Bson, Document, doc};
use command::{Aggregate, Context, Explain, Explained, Reply, Verbosity};
use query::sort::Sort;
use std::sync::Arc;
use std::time::Instant;
use types::{Fault, Namespace, limits};
use value::{Collation, Collator, SharedDoc};

/// `explain`.
///
/// # Errors
/// Those of the explained command.
pub(crate) async fn explain(host: &dyn HasEngine, ctx: &Context, request: &Explain) -> Result<Reply, Fault> {
    let view = View::of(host, ctx).await?;
    let (ns, asked) = match &request.inner {
        Explained::Find(find) => (&find.ns, Some(&find.collation)),
        Explained::Aggregate(aggregate) => (&aggregate.ns, Some(&aggregate.collation)),
        Explained::Count(count) => (&count.ns, Some(&count.collation)),
        Explained::Distinct(distinct) => (&distinct.ns, Some(&distinct.collation)),
        Explained::Update(update) => (&update.ns, update.updates.first().map(|update| &update.collation)),
        Explained::Delete(delete) => (&delete.ns, delete.deletes.first().map(|delete| &delete.collation)),
        Explained::FindAndModify(request) => (&request.ns, Some(&request.collation)),
    };
    let told = Telling::new(host, ctx, request.verbosity, view, ns, asked.unwrap_or(&Collation::Inherited));
    let mut reply = match &request.inner {
        Explained::Find(find) => told.find(find).await?,
        Explained::Aggregate(aggregate) => told.aggregate(aggregate).await?,
        Explained::Count(count) => told.count(count).await?,
        Explained::Distinct(distinct) => told.distinct(distinct).await?,
        Explained::Update(update) => told.update(update).await?,
        Explained::Delete(delete) => told.delete(delete).await?,
        Explained::FindAndModify(request) => told.find_and_modify(request).await?,
    };
    reply.insert("command", crate::plan::explain::document(&request.request.body));
    told.finish(reply)
}

/// `aggregate` with `explain: true`.
///
/// # Errors
/// Those of the pipeline.
pub(crate) async fn explain_pipeline(
    host: &dyn HasEngine,
    ctx: &Context,
    aggregate: &Aggregate,
) -> Result<Reply, Fault> {
    let view = View::of(host, ctx).await?;
    let verbosity = Verbosity::QueryPlanner;
    let told = Telling::new(host, ctx, verbosity, view, &aggregate.ns, &aggregate.collation);
    let reply = told.aggregate(aggregate).await?;
    told.finish(reply)
}

struct Telling<'a> {
    host: &'a dyn HasEngine,
    ctx: &'a Context,
    verbosity: Verbosity,
    view: View,
    /// How strings compare in the command, and in the collection.
    collation: Option<Collator>,
    records: Option<Collator>,
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

impl<'a> Telling<'a> {
    fn new(
        host: &'a dyn HasEngine,
        ctx: &'a Context,
        verbosity: Verbosity,
        view: View,
        ns: &Namespace,
        asked: &Collation,
    ) -> Telling<'a> {
        let collection = host.engine().store().catalog().get(ns).cloned();
        let records = collection.and_then(|collection| collection.collation.clone());
        let collation = asked.over(records.as_ref());
        Telling { host, ctx, verbosity, view, collation, records }
    }
}

impl Telling<'_> {
    fn owned_only(&self, ns: &Namespace) -> bool {
        self.host.ownership(ns).is_some()
    }

    fn feed(&self, ns: &Namespace, told: &Told) -> Feed {
        let collection = self.host.engine().store().catalog().get(ns).cloned();
        let scan = Scan::new(Arc::clone(&told.plan), self.host.ownership(ns));
        Feed::new(
            Target::of(ns, collection.as_ref()),
            self.view.clone(),
            scan,
            told.sort.clone(),
            told.shape.skip,
            told.limit,
        )
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
        let mut explained = doc! {
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
        };
        if let (Some(collation), Ok(planner)) = (&self.collation, explained.get_document_mut("queryPlanner"))
        {
            planner.insert("collation", crate::plan::explain::document(collation.resolved()));
        }
        explained
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
