//! `bulkWrite`: inserts, updates and deletes over several collections; inserts that follow each other share commits.

use super::on_collection;
use crate::HasEngine;
use crate::cursor::{self, Wish};
use crate::exec::Producer;
use crate::write::{Job, concerns_command, delete_statement, insert_documents, update_statement};
use bson::{RawBson, RawDocumentBuf, cstr};
use command::{Access, BulkOperation, BulkWrite, Context, Reply, Request, Spec, StatementIds};
use std::collections::VecDeque;
use types::{Fault, Namespace};
use value::SharedDoc;

pub(super) fn spec<S: HasEngine>() -> Spec<S> {
    let spec = on_collection(
        "bulkWrite",
        Access::Write,
        "inserts, updates and deletes over several collections",
        |host: std::sync::Arc<S>, ctx, request| Box::pin(async move { run(&*host, &ctx, &request).await }),
    );
    Spec { names_collection: false, admin_only: true, ..spec }
}

/// Sums and single results of the command.
#[derive(Default)]
struct Tally {
    errors_only: bool,
    results: VecDeque<RawDocumentBuf>,
    errors: i32,
    inserted: u64,
    matched: u64,
    modified: u64,
    upserted: u64,
    deleted: u64,
    retried: Vec<i32>,
}

async fn run(host: &dyn HasEngine, ctx: &Context, request: &Request) -> Result<Reply, Fault> {
    let bulk = BulkWrite::parse(request, &ctx.envelope)?;
    let mut jobs = Vec::with_capacity(bulk.namespaces.len());
    for ns in &bulk.namespaces {
        jobs.push(Job::new(host, ctx, ns, bulk.options.let_vars.as_ref())?);
    }
    let mut tally = Tally { errors_only: bulk.errors_only, ..Tally::default() };
    let mut at = 0;
    while let Some(operation) = bulk.operations.get(at) {
        let errors = tally.errors;
        match operation {
            BulkOperation::Insert { ns, .. } => {
                let run = insert_run(&bulk.operations, at, *ns);
                let job = job(&mut jobs, *ns)?;
                tally.insert(job, at, &run, &bulk).await?;
                at += run.len();
            }
            BulkOperation::Update { ns, statement } => {
                let job = job(&mut jobs, *ns)?;
                let id = bulk.options.statements.of(at);
                match update_statement(job, statement, id).await {
                    Ok(updated) => {
                        if updated.retried {
                            tally.retried.push(id);
                        }
                        tally.modified += updated.n_modified;
                        if updated.upserted.is_some() {
                            tally.upserted += 1;
                        } else {
                            tally.matched += updated.n;
                        }
                        tally.done(at, updated.n, Some(updated.n_modified), updated.upserted);
                    }
                    Err(fault) if concerns_command(&fault) => return Err(fault),
                    Err(fault) => tally.failed(at, &fault, true),
                }
                at += 1;
            }
            BulkOperation::Delete { ns, statement } => {
                let job = job(&mut jobs, *ns)?;
                let id = bulk.options.statements.of(at);
                match delete_statement(job, statement, id).await {
                    Ok(deleted) => {
                        if deleted.retried {
                            tally.retried.push(id);
                        }
                        tally.deleted += deleted.n;
                        tally.done(at, deleted.n, None, None);
                    }
                    Err(fault) if concerns_command(&fault) => return Err(fault),
                    Err(fault) => tally.failed(at, &fault, false),
                }
                at += 1;
            }
        }
        if tally.errors > errors && bulk.options.ordered {
            break;
        }
    }
    let last = jobs.iter().filter_map(|job| job.last_commit).max();
    let error = crate::write::wait(host, ctx, last).await?;
    let ns = Namespace::command_cursor("admin", "bulkWrite")?;
    let results = std::mem::take(&mut tally.results);
    let wish = Wish::batches_of(bulk.batch_size.or(Some(u64::MAX)));
    let opened = cursor::open(host.engine(), ctx, &ns, Producer::Documents(results), wish).await?;
    let mut reply = opened.doc;
    reply.append(cstr!("nErrors"), tally.errors);
    reply.append(cstr!("nInserted"), count(tally.inserted));
    reply.append(cstr!("nMatched"), count(tally.matched));
    reply.append(cstr!("nModified"), count(tally.modified));
    reply.append(cstr!("nUpserted"), count(tally.upserted));
    reply.append(cstr!("nDeleted"), count(tally.deleted));
    if !tally.retried.is_empty() {
        let retried: bson::RawArrayBuf = tally.retried.iter().copied().collect();
        reply.append(cstr!("retriedStmtIds"), retried);
    }
    if let Some(error) = error {
        reply.append(cstr!("writeConcernError"), error.to_doc());
    }
    Ok(reply.into())
}

fn job<'j, 'a>(jobs: &'j mut [Job<'a>], ns: usize) -> Result<&'j mut Job<'a>, Fault> {
    jobs.get_mut(ns).ok_or_else(|| Fault::bad_value("bulkWrite names a namespace that nsInfo does not have"))
}

/// The documents of the inserts into one namespace that follow each other from `at`.
fn insert_run(operations: &[BulkOperation], at: usize, ns: usize) -> Vec<SharedDoc> {
    let rest = operations.get(at..).unwrap_or_default();
    rest.iter()
        .map_while(|operation| match operation {
            BulkOperation::Insert { ns: other, document } if *other == ns => Some(document.clone()),
            _ => None,
        })
        .collect()
}

impl Tally {
    async fn insert(
        &mut self,
        job: &mut Job<'_>,
        at: usize,
        documents: &[SharedDoc],
        bulk: &BulkWrite,
    ) -> Result<(), Fault> {
        let ids = (at..at + documents.len()).map(|index| bulk.options.statements.of(index)).collect();
        let outcome =
            insert_documents(job, documents, &StatementIds::Listed(ids), bulk.options.ordered).await?;
        self.inserted += outcome.n;
        self.retried.extend(&outcome.retried_statements);
        let mut errors = outcome.errors.iter().peekable();
        for index in 0..documents.len() {
            match errors.next_if(|error| error.index == index) {
                Some(error) => {
                    self.failed(at + index, &error.fault, false);
                    if bulk.options.ordered {
                        break;
                    }
                }
                None => self.done(at + index, 1, None, None),
            }
        }
        Ok(())
    }

    fn done(&mut self, index: usize, n: u64, modified: Option<u64>, upserted: Option<RawBson>) {
        if self.errors_only {
            return;
        }
        let mut result = RawDocumentBuf::new();
        result.append(cstr!("ok"), 1.0);
        result.append(cstr!("idx"), index as i32);
        result.append(cstr!("n"), count(n));
        if let Some(modified) = modified {
            result.append(cstr!("nModified"), count(modified));
        }
        if let Some(id) = upserted {
            let mut doc = RawDocumentBuf::new();
            doc.append(cstr!("_id"), id);
            result.append(cstr!("upserted"), doc);
        }
        self.results.push_back(result);
    }

    fn failed(&mut self, index: usize, fault: &Fault, update: bool) {
        self.errors += 1;
        let mut result = RawDocumentBuf::new();
        result.append(cstr!("ok"), 0.0);
        result.append(cstr!("idx"), index as i32);
        result.append(cstr!("code"), fault.code.number());
        result.append(cstr!("errmsg"), fault.message.as_str());
        for (name, value) in fault.extra.iter().flat_map(|extra| extra.iter()).flatten() {
            result.append(name, value);
        }
        result.append(cstr!("n"), 0);
        if update {
            result.append(cstr!("nModified"), 0);
        }
        self.results.push_back(result);
    }
}

/// The smallest integer type that holds it.
fn count(value: u64) -> RawBson {
    match i32::try_from(value) {
        Ok(value) => RawBson::Int32(value),
        Err(_) => RawBson::Int64(i64::try_from(value).unwrap_or(i64::MAX)),
    }
}
