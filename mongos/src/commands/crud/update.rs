//! `update`: changes documents, statement by statement.

use super::changes::{self, Change};
use crate::commands::spec;
use crate::node::Node;
use crate::scatter::{WriteBatch, WriteKind};
use command::{Access, Context, Reply, Request, Spec, Update, UpdateStatement, WriteOutcome};
use std::sync::Arc;
use types::Fault;

pub(crate) const SPEC: Spec<Node> =
    spec("update", Access::Write, "updates documents", |node, ctx, request| {
        Box::pin(run(node, ctx, request))
    });

async fn run(node: Arc<Node>, ctx: Context, request: Request) -> Result<Reply, Fault> {
    let update = Update::parse(&request, &ctx.envelope)?;
    let outcome = run_updates(&node, &ctx, &request, &update).await?;
    Ok(outcome.to_reply())
}

/// Runs all statements of an update.
///
/// # Errors
/// As [`changes::run`].
pub(super) async fn run_updates(
    node: &Arc<Node>,
    ctx: &Context,
    request: &Request,
    update: &Update,
) -> Result<WriteOutcome, Fault> {
    let all: Vec<Change<'_>> = update.updates.iter().map(change).collect();
    let batch = WriteBatch { ns: &update.ns, request, kind: WriteKind::Update, options: &update.options };
    changes::run(node, ctx, batch, &all).await
}

fn change(statement: &UpdateStatement) -> Change<'_> {
    Change {
        filter: &statement.filter,
        multi: statement.multi,
        sort: statement.sort.as_ref(),
        collation: &statement.collation,
        raw: &statement.raw,
        upsert: statement.upsert.then_some((&statement.update, statement.array_filters.as_slice())),
    }
}
