//! Explained writes: how their documents are found, and what would become of them.

use super::{Telling, Told};
use crate::exec::Flow;
use crate::plan::Plan;
use crate::plan::explain::{Counts, Shape, number, parsed_query, wrap};
use crate::write::{Job, Modify, Seek};
use bson::{Document, doc};
use command::{Delete, FindAndModify, FindAndModifyAction, Update, Verbosity};
use types::{Code, Fault};
use value::SharedDoc;

impl Telling<'_> {
    pub(super) async fn update(&self, request: &Update) -> Result<Document, Fault> {
        let statement = single(&request.updates)?;
        let mut job = Job::new(self.host, self.ctx, &request.ns, request.options.let_vars.as_ref())?;
        job.collate(&statement.collation);
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

    pub(super) async fn delete(&self, request: &Delete) -> Result<Document, Fault> {
        let statement = single(&request.deletes)?;
        let mut job = Job::new(self.host, self.ctx, &request.ns, request.options.let_vars.as_ref())?;
        job.collate(&statement.collation);
        let seek = Seek::parse(&job, &statement.filter, None, statement.hint.as_ref())?;
        let told = self.write(&job, &seek, &statement.filter, (!statement.multi).then_some(1))?;
        self.query(&request.ns, &statement.filter, &told, delete_stage).await
    }

    pub(super) async fn find_and_modify(&self, request: &FindAndModify) -> Result<Document, Fault> {
        let mut job = Job::new(self.host, self.ctx, &request.ns, request.let_vars.as_ref())?;
        job.collate(&request.collation);
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
