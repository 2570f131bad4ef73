//! `delete`: removes documents, statement by statement.

use super::changes::{self, Change};
use crate::commands::spec;
use crate::node::Node;
use crate::scatter::{WriteBatch, WriteKind};
use command::{Access, Context, Delete, DeleteStatement, Reply, Request, Spec, WriteOutcome};
use std::sync::Arc;
use types::Fault;

pub(crate) const SPEC: Spec<Node> =
    spec("delete", Access::Write, "deletes documents", |node, ctx, request| {
        Box::pin(run(node, ctx, request))
    });

async fn run(node: Arc<Node>, ctx: Context, request: Request) -> Result<Reply, Fault> {
    let delete = Delete::parse(&request, &ctx.envelope)?;
    let outcome = run_deletes(&node, &ctx, &request, &delete).await?;
    Ok(outcome.to_reply())
}

/// Runs all statements of a delete.
///
/// # Errors
/// As [`changes::run`].
pub(super) async fn run_deletes(
    node: &Arc<Node>,
    ctx: &Context,
    request: &Request,
    delete: &Delete,
) -> Result<WriteOutcome, Fault> {
    let all: Vec<Change<'_>> = delete.deletes.iter().map(change).collect();
    let batch = WriteBatch { ns: &delete.ns, request, kind: WriteKind::Delete, options: &delete.options };
    changes::run(node, ctx, batch, &all).await
}

fn change(statement: &DeleteStatement) -> Change<'_> {
    Change {
        filter: &statement.filter,
        multi: statement.multi,
        sort: None,
        collation: &statement.collation,
        raw: &statement.raw,
        upsert: None,
    }
}
