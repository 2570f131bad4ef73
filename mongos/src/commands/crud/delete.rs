//! `delete`: each statement goes to the shards that can own what it matches. A single delete whose filter does not name the shard key
//! finds its one document first.

use super::single_write::{self, SingleWrite};
use crate::commands::spec;
use crate::node::Node;
use crate::routing::Route;
use crate::scatter::{Statement, WriteBatch, WriteKind, run_writes, target_filter};
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
/// As [`run_writes`].
pub(super) async fn run_deletes(
    node: &Arc<Node>,
    ctx: &Context,
    request: &Request,
    delete: &Delete,
) -> Result<WriteOutcome, Fault> {
    let parse = node.parse_context(delete.options.let_vars.as_ref())?;
    let target_of = |route: &Route, statement: &Statement| {
        let delete =
            delete.deletes.get(statement.index).ok_or_else(|| Fault::internal("statement out of range"))?;
        Ok(target_filter(route, &delete.filter, &parse)?.targets)
    };
    let route = node.routing.route(&delete.ns).await?;
    let needs_search = |statement: &DeleteStatement| {
        !statement.multi
            && target_filter(&route, &statement.filter, &parse)
                .is_ok_and(|targeted| targeted.targets.len() > 1)
    };
    if !delete.deletes.iter().any(needs_search) {
        let statements = delete.deletes.iter().enumerate();
        let statements =
            statements.map(|(index, statement)| Statement::new(index, statement.raw.clone())).collect();
        return run_writes(
            node,
            ctx,
            WriteBatch { ns: &delete.ns, request, kind: WriteKind::Delete, options: &delete.options },
            statements,
            target_of,
        )
        .await;
    }
    let mut outcome = WriteOutcome::default();
    for (index, statement) in delete.deletes.iter().enumerate() {
        let part = if needs_search(statement) {
            let single = SingleWrite {
                ns: &delete.ns,
                kind: WriteKind::Delete,
                options: &delete.options,
                index,
                filter: &statement.filter,
                sort: None,
                raw: &statement.raw,
                upsert: None,
            };
            single_write::run(node, ctx, request, &single, &parse).await?
        } else {
            let one = vec![Statement::new(index, statement.raw.clone())];
            run_writes(
                node,
                ctx,
                WriteBatch { ns: &delete.ns, request, kind: WriteKind::Delete, options: &delete.options },
                one,
                target_of,
            )
            .await?
        };
        single_write::add(&mut outcome, part);
        if delete.options.ordered && !outcome.errors.is_empty() {
            break;
        }
    }
    Ok(outcome)
}
