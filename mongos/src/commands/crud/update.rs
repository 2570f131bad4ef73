//! `update`: each statement goes to the shards that can own what it matches. A single update whose filter does not name the shard key
//! finds its one document first.

use super::single_write::{self, SingleWrite};
use crate::commands::spec;
use crate::node::Node;
use crate::routing::Route;
use crate::scatter::{Statement, WriteBatch, WriteKind, run_writes, target_filter};
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
/// As [`run_writes`].
pub(super) async fn run_updates(
    node: &Arc<Node>,
    ctx: &Context,
    request: &Request,
    update: &Update,
) -> Result<WriteOutcome, Fault> {
    let parse = node.parse_context(update.options.let_vars.as_ref())?;
    let target_of = |route: &Route, statement: &Statement| {
        let update =
            update.updates.get(statement.index).ok_or_else(|| Fault::internal("statement out of range"))?;
        Ok(target_filter(route, &update.filter, &parse)?.targets)
    };
    let route = node.routing.route(&update.ns).await?;
    let needs_search = |statement: &UpdateStatement| {
        !statement.multi
            && target_filter(&route, &statement.filter, &parse)
                .is_ok_and(|targeted| targeted.targets.len() > 1)
    };
    if !update.updates.iter().any(needs_search) {
        let statements = update.updates.iter().enumerate();
        let statements =
            statements.map(|(index, statement)| Statement::new(index, statement.raw.clone())).collect();
        return run_writes(
            node,
            ctx,
            WriteBatch { ns: &update.ns, request, kind: WriteKind::Update, options: &update.options },
            statements,
            target_of,
        )
        .await;
    }
    // One by one: which document a statement means may depend on the statements before it.
    let mut outcome = WriteOutcome { n_modified: Some(0), ..WriteOutcome::default() };
    for (index, statement) in update.updates.iter().enumerate() {
        let part = if needs_search(statement) {
            let single = SingleWrite {
                ns: &update.ns,
                kind: WriteKind::Update,
                options: &update.options,
                index,
                filter: &statement.filter,
                sort: statement.sort.as_ref(),
                raw: &statement.raw,
                upsert: statement.upsert.then_some((&statement.update, statement.array_filters.as_slice())),
            };
            single_write::run(node, ctx, request, &single, &parse).await?
        } else {
            let one = vec![Statement::new(index, statement.raw.clone())];
            run_writes(
                node,
                ctx,
                WriteBatch { ns: &update.ns, request, kind: WriteKind::Update, options: &update.options },
                one,
                target_of,
            )
            .await?
        };
        single_write::add(&mut outcome, part);
        if update.options.ordered && !outcome.errors.is_empty() {
            break;
        }
    }
    Ok(outcome)
}
