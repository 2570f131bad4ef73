//! `bulkWrite`: runs of like operations on one collection, each as the insert, update or delete that it is; one cursor of results.

use super::{delete, insert, update};
use crate::commands::spec;
use crate::node::Node;
use bson::RawDocumentBuf;
use command::{
    Access, BulkOperation, BulkWrite, Context, CursorReply, Delete, Insert, Reply, Request, Sequence, Spec,
    StatementIds, Update, WriteConcernError, WriteOptions, WriteOutcome,
};
use std::sync::Arc;
use types::{Fault, Namespace};

pub(crate) const SPEC: Spec<Node> = Spec {
    admin_only: true,
    names_collection: false,
    ..spec("bulkWrite", Access::Write, "writes to several collections", |node, ctx, request| {
        Box::pin(run(node, ctx, request))
    })
};

async fn run(node: Arc<Node>, ctx: Context, request: Request) -> Result<Reply, Fault> {
    let bulk = BulkWrite::parse(&request, &ctx.envelope)?;
    let mut tally = Tally::default();
    let mut position = 0;
    while position < bulk.operations.len() {
        let length = run_length(&bulk, position);
        let outcome = run_like(&node, &ctx, &request, &bulk, position, length).await?;
        let failed = !outcome.errors.is_empty();
        tally.add(&bulk, position, length, outcome)?;
        if failed && bulk.options.ordered {
            break;
        }
        position += length;
    }
    let ns = Namespace::command_cursor("admin", "bulkWrite")?;
    let mut reply = CursorReply::first(&ns);
    for result in &tally.results {
        if !reply.push(result) {
            return Err(Fault::not_implemented("bulkWrite results of more than one batch"));
        }
    }
    let mut doc = reply.finish(0)?.doc;
    let count = |count: u64| i32::try_from(count).unwrap_or(i32::MAX);
    doc.append(bson::raw::cstr!("nErrors"), count(tally.errors));
    doc.append(bson::raw::cstr!("nInserted"), count(tally.inserted));
    doc.append(bson::raw::cstr!("nMatched"), count(tally.matched));
    doc.append(bson::raw::cstr!("nModified"), count(tally.modified));
    doc.append(bson::raw::cstr!("nUpserted"), count(tally.upserted));
    doc.append(bson::raw::cstr!("nDeleted"), count(tally.deleted));
    if !tally.retried.is_empty() {
        doc.append(
            bson::raw::cstr!("retriedStmtIds"),
            tally.retried.iter().copied().collect::<bson::RawArrayBuf>(),
        );
    }
    if let Some(error) = tally.write_concern_error {
        doc.append(bson::raw::cstr!("writeConcernError"), error.to_doc());
    }
    Ok(doc.into())
}

/// How many operations from `position` on go together: of one kind, on one collection, and with results that need not be told apart.
fn run_length(bulk: &BulkWrite, position: usize) -> usize {
    let rest = bulk.operations.get(position..).unwrap_or_default();
    let Some(first) = rest.first() else { return 0 };
    let is_insert = matches!(first, BulkOperation::Insert { .. });
    if !is_insert && !bulk.errors_only {
        return 1;
    }
    let like = |operation: &&BulkOperation| {
        operation.ns() == first.ns() && std::mem::discriminant(*operation) == std::mem::discriminant(first)
    };
    rest.iter().take_while(like).count()
}

/// Sums and single results of the command.
#[derive(Default)]
struct Tally {
    results: Vec<RawDocumentBuf>,
    errors: u64,
    inserted: u64,
    matched: u64,
    modified: u64,
    upserted: u64,
    deleted: u64,
    retried: Vec<i32>,
    write_concern_error: Option<WriteConcernError>,
}

impl Tally {
    fn add(
        &mut self,
        bulk: &BulkWrite,
        position: usize,
        length: usize,
        outcome: WriteOutcome,
    ) -> Result<(), Fault> {
        let upserts = outcome.upserted.len() as u64;
        match bulk.operations.get(position) {
            Some(BulkOperation::Insert { .. }) => self.inserted += outcome.n,
            Some(BulkOperation::Update { .. }) => {
                self.matched += outcome.n - upserts.min(outcome.n);
                self.modified += outcome.n_modified.unwrap_or(0);
                self.upserted += upserts;
            }
            Some(BulkOperation::Delete { .. }) => self.deleted += outcome.n,
            None => {}
        }
        self.errors += outcome.errors.len() as u64;
        let last = match outcome.errors.first() {
            Some(error) if bulk.options.ordered => error.index + 1,
            _ => length,
        };
        for offset in 0..last {
            let index = i32::try_from(position + offset).unwrap_or(i32::MAX);
            let mut result = RawDocumentBuf::new();
            if let Some(error) = outcome.errors.iter().find(|error| error.index == offset) {
                result.append(bson::raw::cstr!("ok"), 0.0);
                result.append(bson::raw::cstr!("idx"), index);
                result.append(bson::raw::cstr!("code"), error.fault.code.number());
                result.append(bson::raw::cstr!("errmsg"), error.fault.message.as_str());
                for element in error.fault.extra.iter().flat_map(|extra| extra.iter()) {
                    let (name, value) = element.map_err(query::context::invalid_bson)?;
                    result.append(name, value);
                }
                result.append(bson::raw::cstr!("n"), 0);
            } else if bulk.errors_only {
                continue;
            } else {
                let n = if length > 1 { 1 } else { i32::try_from(outcome.n).unwrap_or(i32::MAX) };
                result.append(bson::raw::cstr!("ok"), 1.0);
                result.append(bson::raw::cstr!("idx"), index);
                result.append(bson::raw::cstr!("n"), n);
                if let Some(modified) = outcome.n_modified {
                    result.append(bson::raw::cstr!("nModified"), i32::try_from(modified).unwrap_or(i32::MAX));
                }
                if let Some(upserted) = outcome.upserted.iter().find(|upserted| upserted.index == offset) {
                    result.append(bson::raw::cstr!("upserted"), bson::rawdoc! { "_id": upserted.id.clone() });
                }
            }
            self.results.push(result);
        }
        self.retried.extend(outcome.retried_statements);
        if self.write_concern_error.is_none() {
            self.write_concern_error = outcome.write_concern_error;
        }
        Ok(())
    }
}

/// Runs `length` operations of one kind on one collection.
async fn run_like(
    node: &Arc<Node>,
    ctx: &Context,
    request: &Request,
    bulk: &BulkWrite,
    position: usize,
    length: usize,
) -> Result<WriteOutcome, Fault> {
    let operations = bulk.operations.get(position..position + length).unwrap_or_default();
    let numbers = (position..position + length).map(|index| bulk.options.statements.of(index)).collect();
    let options = WriteOptions { statements: StatementIds::Listed(numbers), ..bulk.options.clone() };
    let Some(ns) = operations.first().and_then(|operation| bulk.namespaces.get(operation.ns())) else {
        return Err(Fault::internal("bulkWrite run without a namespace"));
    };
    let like = |name: &str, field: &str, documents: Vec<value::SharedDoc>| {
        as_command(request, name, ns, &options, field, documents)
    };
    match operations.first() {
        Some(BulkOperation::Insert { .. }) => {
            let documents: Vec<_> = operations
                .iter()
                .filter_map(|operation| match operation {
                    BulkOperation::Insert { document, .. } => Some(document.clone()),
                    _ => None,
                })
                .collect();
            let request = like("insert", "documents", documents.clone())?;
            let insert = Insert { ns: ns.clone(), documents, options };
            insert::insert_documents(node, ctx, &request, &insert).await
        }
        Some(BulkOperation::Update { .. }) => {
            let updates: Vec<_> = operations
                .iter()
                .filter_map(|operation| match operation {
                    BulkOperation::Update { statement, .. } => Some(statement.clone()),
                    _ => None,
                })
                .collect();
            let request =
                like("update", "updates", updates.iter().map(|update| update.raw.clone()).collect())?;
            update::run_updates(node, ctx, &request, &Update { ns: ns.clone(), updates, options }).await
        }
        Some(BulkOperation::Delete { .. }) => {
            let deletes: Vec<_> = operations
                .iter()
                .filter_map(|operation| match operation {
                    BulkOperation::Delete { statement, .. } => Some(statement.clone()),
                    _ => None,
                })
                .collect();
            let request =
                like("delete", "deletes", deletes.iter().map(|delete| delete.raw.clone()).collect())?;
            delete::run_deletes(node, ctx, &request, &Delete { ns: ns.clone(), deletes, options }).await
        }
        None => Ok(WriteOutcome::default()),
    }
}

/// The same operations as a command of their own, with the generic fields of the bulkWrite.
fn as_command(
    request: &Request,
    name: &str,
    ns: &Namespace,
    options: &WriteOptions,
    field: &str,
    documents: Vec<value::SharedDoc>,
) -> Result<Request, Fault> {
    let cstring = |name: &str| {
        bson::raw::CString::try_from(name).map_err(|_| Fault::internal("command name with a NUL"))
    };
    let mut body = RawDocumentBuf::new();
    body.append(cstring(name)?, ns.collection());
    body.append(bson::raw::cstr!("ordered"), options.ordered);
    if let Some(vars) = &options.let_vars {
        body.append(bson::raw::cstr!("let"), vars.to_buf());
    }
    let mut numbers = bson::RawArrayBuf::new();
    for index in 0..documents.len() {
        numbers.push(options.statements.of(index));
    }
    for element in request.body.iter() {
        let (field, value) = element.map_err(query::context::invalid_bson)?;
        match field.as_str() {
            "$db" => body.append(field, ns.db()),
            "txnNumber" => {
                body.append(field, value);
                body.append(bson::raw::cstr!("stmtIds"), std::mem::take(&mut numbers));
            }
            generic if command::envelope::GENERIC_FIELDS.contains(&generic) => body.append(field, value),
            _ => {}
        }
    }
    Ok(Request { body: body.into(), sequences: vec![Sequence { name: field.to_owned(), documents }] })
}
