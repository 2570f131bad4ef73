//! Asking several shards at the same time.

use crate::node::Node;
use crate::routing::{ROUTE_ATTEMPTS_MAX, Route, Target, note_stale};
use crate::shards::{Heard, Sending};
use command::{Context, Reply, Request};
use futures::future::join_all;
use std::time::Instant;
use types::{Fault, Namespace, ShardId};

/// Sends `request_for(target)` to every target at once. Answers come in the order of the targets.
pub async fn fan_out<F>(
    node: &Node,
    ctx: &Context,
    targets: &[Target],
    sending: Sending,
    request_for: F,
) -> Vec<(ShardId, Result<Reply, Fault>)>
where
    F: Fn(&Target) -> Result<Request, Fault>,
{
    let answers = fan_out_heard(node, ctx, targets, sending, request_for).await;
    answers.into_iter().map(|(shard, heard)| (shard, heard.map(|heard| heard.reply))).collect()
}

/// As [`fan_out`], with the member that answered.
pub async fn fan_out_heard<F>(
    node: &Node,
    ctx: &Context,
    targets: &[Target],
    sending: Sending,
    request_for: F,
) -> Vec<(ShardId, Result<Heard, Fault>)>
where
    F: Fn(&Target) -> Result<Request, Fault>,
{
    join_all(targets.iter().map(|target| {
        let request = request_for(target);
        async move {
            let answer = match request {
                Ok(request) => node.hear(ctx, target, &request, sending).await,
                Err(fault) => Err(fault),
            };
            (target.shard.clone(), answer)
        }
    }))
    .await
}

/// The attempts at one request: a route for each, read anew where a shard found the last one stale.
pub struct Attempts<'a> {
    node: &'a Node,
    ctx: &'a Context,
    ns: &'a Namespace,
    round: usize,
    last: Option<Fault>,
}

impl<'a> Attempts<'a> {
    /// No attempt yet.
    pub fn new(node: &'a Node, ctx: &'a Context, ns: &'a Namespace) -> Attempts<'a> {
        Attempts { node, ctx, ns, round: 0, last: None }
    }

    /// The route for the next attempt.
    ///
    /// # Errors
    /// The config server's fault, a deadline, or the stale-route fault where routes stay stale.
    pub async fn next(&mut self) -> Result<Route, Fault> {
        self.ctx.check(Instant::now())?;
        if self.round == ROUTE_ATTEMPTS_MAX {
            return Err(self.last.take().unwrap_or_else(|| Fault::internal("no attempt was made")));
        }
        self.round += 1;
        self.node.routing.route(self.ns).await
    }

    /// The final outcome, or `None` where the route was stale and another attempt is due.
    pub fn settle<T>(&mut self, outcome: Result<T, Fault>) -> Option<Result<T, Fault>> {
        match outcome {
            Err(fault) if note_stale(&self.node.routing, self.ns, &fault) => {
                tracing::debug!(ns = %self.ns, round = self.round, %fault, "route was stale");
                self.node.stale_routes.inc();
                self.last = Some(fault);
                None
            }
            outcome => Some(outcome),
        }
    }
}

/// `routed!(node, ctx, ns, |route| …)`: runs the block with the namespace's route, and again where a shard found the route stale.
/// Only for blocks that leave nothing done when they end in a stale route. `?` in the block ends the attempt.
macro_rules! routed {
    ($node:expr, $ctx:expr, $ns:expr, |$route:ident| $attempt:expr) => {{
        let mut attempts = $crate::scatter::Attempts::new($node, $ctx, $ns);
        loop {
            let found = attempts.next().await?;
            let $route = &found;
            let outcome = async { $attempt }.await;
            if let Some(settled) = attempts.settle(outcome) {
                break settled;
            }
        }
    }};
}
pub(crate) use routed;
