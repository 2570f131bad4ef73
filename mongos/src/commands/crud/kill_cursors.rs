//! `killCursors`: closes cursors, here and on the shards.

use crate::commands::spec;
use crate::node::Node;
use crate::scatter::MergedCursor;
use command::{Access, Client, Context, Envelope, KillCursors, KillCursorsOutcome, Reply, Request, Spec};
use session::Killed;
use std::sync::Arc;
use types::Fault;

pub(crate) const SPEC: Spec<Node> = Spec {
    names_collection: false,
    ..spec("killCursors", Access::Read, "closes cursors", |node, ctx, request| {
        Box::pin(run(node, ctx, request))
    })
};

async fn run(node: Arc<Node>, ctx: Context, request: Request) -> Result<Reply, Fault> {
    let kill = KillCursors::parse(&request, &ctx.envelope)?;
    let mut outcome = KillCursorsOutcome::default();
    for id in kill.cursors {
        match node.cursors.kill(id, &kill.ns) {
            Killed::Closed(cursor) => {
                kill_open(&node, cursor).await;
                outcome.killed.push(id);
            }
            Killed::InUse => outcome.killed.push(id),
            Killed::NotFound => outcome.not_found.push(id),
        }
    }
    Ok(outcome.to_reply())
}

/// Closes the shards' cursors of a router's cursor that nobody will read any more. A shard that cannot be asked closes them by itself
/// when they have been idle long enough.
pub(crate) async fn kill_open(node: &Arc<Node>, cursor: MergedCursor) {
    for (shard, host, id) in cursor.open_remotes() {
        let ns = cursor.ns();
        let mut body = bson::rawdoc! { "killCursors": ns.collection(), "cursors": [id], "$db": ns.db() };
        if let Some(session) = cursor.session() {
            body.append(bson::raw::cstr!("lsid"), bson::rawdoc! { "id": session.0.to_bson() });
        }
        let request = Request::from_body(body);
        if let Err(fault) = node.ask_member(&own_context(), &shard, &host, &request).await {
            tracing::debug!(%shard, %host, %fault, "cursor left to its idle time");
        }
    }
}

/// The context of what the router does on its own account.
fn own_context() -> Context {
    let nowhere = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    Context {
        client: Arc::new(Client {
            connection_id: 0,
            remote: nowhere,
            local: nowhere,
            internal: true,
            metadata: std::sync::OnceLock::new(),
        }),
        envelope: Arc::new(Envelope::default()),
        operation_id: 0,
        deadline: Some(std::time::Instant::now() + std::time::Duration::from_secs(5)),
        killed: Arc::default(),
        routing: None,
    }
}
