//! The statements of update and delete: each goes to the shards that can own what it matches. A statement on one document whose filter
//! does not name the shard key, and an upsert of one that may concern several shards, cannot be sent to several shards as it is: those
//! find out first what there is ([`super::single_write`]). An upsert of many has to name the whole shard key.

use super::single_write;
use crate::node::Node;
use crate::routing::Route;
use crate::scatter::{Statement, WriteBatch, WriteKind, run_writes, target_filter};
use command::{Context, Modification, WriteError, WriteOutcome};
use query::context::ParseContext;
use std::sync::Arc;
use types::{Code, Fault};
use value::{Collation, SharedDoc};

/// Marks a statement that must not go to several shards at once. Never seen by clients: ours, outside all numbers in use.
const NEEDS_SEARCH: Code = Code::Location(i32::MIN);

/// One statement, as routing sees it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Change<'a> {
    pub(super) filter: &'a SharedDoc,
    /// Concerns all matches, not one.
    pub(super) multi: bool,
    /// Which of several matches a statement on one document takes.
    pub(super) sort: Option<&'a SharedDoc>,
    /// How strings compare.
    pub(super) collation: &'a Collation,
    /// The statement as the client sent it; its filter is the field `q`.
    pub(super) raw: &'a SharedDoc,
    /// What to insert where nothing matches.
    pub(super) upsert: Option<(&'a Modification, &'a [SharedDoc])>,
}

/// Runs all statements.
///
/// # Errors
/// As [`run_writes`].
pub(super) async fn run(
    node: &Arc<Node>,
    ctx: &Context,
    batch: WriteBatch<'_>,
    changes: &[Change<'_>],
) -> Result<WriteOutcome, Fault> {
    let target_of = |route: &Route, statement: &Statement| {
        let change = changes.get(statement.index).ok_or_else(|| Fault::internal("statement out of range"))?;
        let parse = parse_context(node, batch, change, route)?;
        let targeted = target_filter(route, change.filter, &parse)?;
        if change.multi && change.upsert.is_some() && !targeted.decides_owner() {
            return Err(Fault::new(
                Code::ShardKeyNotFound,
                "Failed to target upsert by query :: could not extract exact shard key",
            ));
        }
        if targeted.targets.len() > 1 && !change.multi || change.upsert.is_some() && !targeted.decides_owner()
        {
            return Err(Fault::new(NEEDS_SEARCH, "the statement may concern several shards"));
        }
        Ok(targeted.targets)
    };
    let mut outcome = WriteOutcome {
        n_modified: (batch.kind == WriteKind::Update).then_some(0),
        ..WriteOutcome::default()
    };
    let mut next = 0;
    // After a statement that had to be searched for, the next ones likely have to be, too: few are tried with it at a time.
    let mut window = changes.len();
    while next < changes.len() {
        let statements = changes.iter().enumerate().skip(next).take(window);
        let statements: Vec<Statement> =
            statements.map(|(index, change)| Statement::new(index, change.raw.clone())).collect();
        let tried = statements.len();
        let mut part = run_writes(node, ctx, batch, statements, target_of).await?;
        let is_marked = |error: &WriteError| error.fault.code == NEEDS_SEARCH;
        let searched: Vec<usize> =
            part.errors.iter().filter(|error| is_marked(error)).map(|error| error.index).collect();
        part.errors.retain(|error| !is_marked(error));
        single_write::add(&mut outcome, part);
        // An ordered batch stopped at the first statement that needs a search; an unordered one has done all others.
        (next, window) = match searched.first() {
            Some(first) if batch.options.ordered => (first + 1, 1),
            _ => (next + tried, window.saturating_mul(4)),
        };
        for index in searched {
            let Some(change) = changes.get(index) else { continue };
            match search(node, ctx, batch, index, change).await {
                Ok(part) => single_write::add(&mut outcome, part),
                Err(fault) if concerns_command(&fault) => return Err(fault),
                Err(fault) => outcome.errors.push(WriteError { index, fault }),
            }
        }
        if batch.options.ordered && !outcome.errors.is_empty() {
            break;
        }
    }
    outcome.errors.sort_by_key(|error| error.index);
    outcome.upserted.sort_by_key(|upserted| upserted.index);
    Ok(outcome)
}

/// What a statement is parsed with.
fn parse_context(
    node: &Node,
    batch: WriteBatch<'_>,
    change: &Change<'_>,
    route: &Route,
) -> Result<ParseContext, Fault> {
    node.parse_context(batch.options.let_vars.as_ref(), route.collation(change.collation)?)
}

/// Whether the fault is of the whole command: a driver sends it again, or it has run out of time.
fn concerns_command(fault: &Fault) -> bool {
    fault.code.is_retryable()
        || fault.code.is_stale_route()
        || matches!(fault.code, Code::MaxTimeMSExpired | Code::Interrupted)
}

async fn search(
    node: &Arc<Node>,
    ctx: &Context,
    batch: WriteBatch<'_>,
    index: usize,
    change: &Change<'_>,
) -> Result<WriteOutcome, Fault> {
    let route = node.routing.route(batch.ns).await?;
    let parse = parse_context(node, batch, change, &route)?;
    single_write::run(node, ctx, batch, index, change, &parse).await
}
