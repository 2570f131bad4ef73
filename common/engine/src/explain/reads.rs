//! Explained reads.

use super::{Telling, Told, statistics};
use crate::commands::aggregate::PlannedPipeline;
use crate::commands::find::PlannedFind;
use crate::commands::{count, distinct};
use crate::exec::{Flow, Scan};
use crate::op_context::{Interrupt, parse_context};
use crate::plan::explain::{Counts, Shape, count_scan, document, number, parsed_query, wrap};
use crate::plan::{self, Bounds, Plan, id_point};
use bson::{Bson, Document, doc};
use command::{Aggregate, Count, Distinct, Find, Verbosity};
use query::pipeline::Run;
use query::sort::Sort;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Instant;
use types::{Fault, limits};
use value::SharedDoc;

impl Telling<'_> {
    pub(super) async fn find(&self, find: &Find) -> Result<Document, Fault> {
        let planned = PlannedFind::new(self.host, self.ctx, find, &self.view)?;
        let plain = find.projection.is_none() && find.sort.is_none() && find.hint.is_none();
        let mut plan = planned.plan;
        if plain
            && !matches!(plan.access, plan::Access::Nothing)
            && let Some(key) = id_point(&find.filter, self.collation.as_ref(), self.records.as_ref())
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

    pub(super) async fn count(&self, request: &Count) -> Result<Document, Fault> {
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
        let plan = count::plan_of(self.ctx, request, &collection, self.view.plan_time(engine))?;
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
            let snapshot = self.view.snapshot(engine)?;
            let started = Instant::now();
            let mut interrupt = Interrupt::new(self.ctx);
            let keys = engine.long_work(|| scan.count_keys(&snapshot, None, &mut interrupt)).await?;
            let millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
            let counts = Counts { keys, matched: keys, returned: keys, millis, docs: 0 };
            reply.insert("executionStats", statistics(&counts, tree(Some(&counts)), self.verbosity));
        }
        Ok(reply)
    }

    pub(super) async fn distinct(&self, request: &Distinct) -> Result<Document, Fault> {
        let engine = self.host.engine();
        let plan = match engine.store().catalog().get(&request.ns).cloned() {
            None => Plan::nothing(),
            Some(collection) => {
                distinct::plan_of(self.ctx, request, &collection, self.view.plan_time(engine))?
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

    pub(super) async fn aggregate(&self, request: &Aggregate) -> Result<Document, Fault> {
        let parse = parse_context(self.ctx, request.let_vars.as_ref(), self.collation.clone())?;
        let planned = PlannedPipeline::new(self.host, request, &parse, &self.view)?;
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
}

fn count_stage(stage: Document, counts: Option<&Counts>) -> Document {
    match counts {
        None => wrap(doc! {"stage": "COUNT"}, None, stage),
        Some(counts) => {
            wrap(doc! {"stage": "COUNT", "nReturned": 0, "nCounted": number(counts.returned)}, None, stage)
        }
    }
}
