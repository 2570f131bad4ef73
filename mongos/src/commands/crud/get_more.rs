//! `getMore`: the next batch of a router's cursor.

use super::kill_cursors::kill_open;
use crate::commands::spec;
use crate::node::Node;
use crate::scatter::MergedCursor;
use command::{Access, Context, CursorReply, GetMore, Reply, Request, Spec};
use std::sync::Arc;
use types::Fault;

pub(crate) const SPEC: Spec<Node> = Spec {
    names_collection: false,
    ..spec("getMore", Access::Read, "the next batch of a cursor", |node, ctx, request| {
        Box::pin(run(node, ctx, request))
    })
};

async fn run(node: Arc<Node>, ctx: Context, request: Request) -> Result<Reply, Fault> {
    let get_more = GetMore::parse(&request, &ctx.envelope)?;
    let mut cursor = node.cursors.take(get_more.cursor_id, &get_more.ns, ctx.envelope.session)?;
    let ctx = if cursor.is_tailing() { Context { deadline: None, ..ctx } } else { ctx };
    let mut answer = CursorReply::next(&get_more.ns);
    let count = get_more.batch_size.map(|size| usize::try_from(size.get()).unwrap_or(usize::MAX));
    match cursor.fill(&node, &ctx, &mut answer, count).await {
        Ok(()) if cursor.is_exhausted() => {
            dispose(&node, cursor.close()).await;
            answer.finish(0)
        }
        Ok(()) => {
            // Killed meanwhile: the registry hands it back to be closed.
            dispose(&node, cursor.put_back()).await;
            answer.finish(get_more.cursor_id)
        }
        Err(fault) => {
            dispose(&node, cursor.close()).await;
            Err(fault)
        }
    }
}

async fn dispose(node: &Arc<Node>, cursor: Option<MergedCursor>) {
    if let Some(cursor) = cursor {
        kill_open(node, cursor).await;
    }
}
