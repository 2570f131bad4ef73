//! From the shards' first batches to the client's: what find and aggregate share.

use super::kill_cursors::kill_open;
use crate::node::Node;
use crate::scatter::{MergedCursor, Remote};
use crate::shards::Heard;
use command::{Context, CursorReply, Reply};
use std::sync::Arc;
use types::{Fault, Namespace, ShardId, limits};

/// Passes one shard's answer on. Where the shard keeps a cursor open, the client gets one of the router's own for it.
///
/// # Errors
/// A malformed answer, or too many open cursors.
pub(crate) fn pass_on(
    node: &Arc<Node>,
    ctx: &Context,
    ns: &Namespace,
    shard: &ShardId,
    heard: Heard,
) -> Result<Reply, Fault> {
    pass_on_tail(node, ctx, ns, shard, heard, false)
}

/// As [`pass_on`]; `tailing` tells a cursor that stays open at its end.
///
/// # Errors
/// As [`pass_on`].
pub(crate) fn pass_on_tail(
    node: &Arc<Node>,
    ctx: &Context,
    ns: &Namespace,
    shard: &ShardId,
    heard: Heard,
    tailing: bool,
) -> Result<Reply, Fault> {
    let Heard { reply, host } = heard;
    let is_finished = reply
        .doc
        .get_document("cursor")
        .and_then(|cursor| cursor.get_i64("id"))
        .map(|id| id == 0)
        .unwrap_or(false);
    if is_finished {
        return Ok(reply);
    }
    // The documents of the first batch go to the client now; the merged cursor starts with what is still on the shard.
    let batch = command::CursorBatch::parse(&value::SharedDoc::from(reply.doc))?;
    let mut answer = CursorReply::first(&batch.ns);
    for doc in &batch.documents {
        if !answer.push(doc) {
            return Err(Fault::internal("a shard's batch is larger than a reply may be"));
        }
    }
    let remote = Remote::idle(shard.clone(), host, batch.id);
    let cursor = MergedCursor::new(ns.clone(), ctx.envelope.session, vec![remote]);
    let cursor = cursor.passing_batches().tailing(tailing);
    let id = register(node, cursor)?;
    answer.finish(id)
}

/// The shards' cursors out of their answers. If one failed, the others are closed and its fault is the answer.
///
/// # Errors
/// The first shard's fault.
pub(crate) async fn remotes(
    node: &Arc<Node>,
    ctx: &Context,
    ns: &Namespace,
    answers: Vec<(ShardId, Result<Heard, Fault>)>,
) -> Result<Vec<Remote>, Fault> {
    let mut opened = Vec::new();
    let mut failed = None;
    for (shard, answer) in answers {
        match answer.and_then(|heard| Remote::open(shard, heard)) {
            Ok(remote) => opened.push(remote),
            // A stale route matters more than anything else: it is mended, not told.
            Err(fault) if failed.is_none() || fault.code.is_stale_route() => failed = Some(fault),
            Err(_) => {}
        }
    }
    match failed {
        None => Ok(opened),
        Some(fault) => {
            let cursor = MergedCursor::new(ns.clone(), ctx.envelope.session, opened);
            kill_open(node, cursor).await;
            Err(fault)
        }
    }
}

/// Fills the first batch and keeps the cursor if there is more.
///
/// # Errors
/// A shard's fault, or too many open cursors.
pub(crate) async fn first_batch(
    node: &Arc<Node>,
    ctx: &Context,
    mut cursor: MergedCursor,
    batch_size: Option<u64>,
    single_batch: bool,
) -> Result<Reply, Fault> {
    let mut answer = CursorReply::first(cursor.ns());
    let count = match batch_size {
        Some(size) => usize::try_from(size).unwrap_or(usize::MAX),
        None => limits::FIRST_BATCH_COUNT_DEFAULT,
    };
    if let Err(fault) = cursor.fill(node, ctx, &mut answer, Some(count)).await {
        kill_open(node, cursor).await;
        return Err(fault);
    }
    if cursor.is_exhausted() || single_batch {
        kill_open(node, cursor).await;
        return answer.finish(0);
    }
    let id = register(node, cursor)?;
    answer.finish(id)
}

fn register(node: &Arc<Node>, cursor: MergedCursor) -> Result<i64, Fault> {
    let (ns, session) = (cursor.ns().clone(), cursor.session());
    node.cursors.insert(ns, session, cursor)
}
