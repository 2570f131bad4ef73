//! `_configsvrBalancerStatus`: tells whether the balancer may run.

use super::{spec, with_name};
use crate::metadata::HasMetadata;
use bson::doc;
use command::{Access, BalancerStatus, Context, Reply, Request, Spec};
use sharding::documents::BalancerMode;
use std::sync::Arc;
use types::Fault;

pub(super) fn entry<S: HasMetadata>() -> Spec<S> {
    spec(
        "_configsvrBalancerStatus",
        Access::Inspect,
        "tells whether the balancer may run",
        |server, ctx, request| Box::pin(run(server, ctx, request)),
    )
}

async fn run<S: HasMetadata>(server: Arc<S>, ctx: Context, request: Request) -> Result<Reply, Fault> {
    let command = BalancerStatus::parse(&with_name(&request, "balancerStatus")?, &ctx.envelope)?;
    let BalancerStatus = command;
    let metadata = server.metadata();
    let mode = match metadata.view()?.balancer()?.mode {
        BalancerMode::Full => "full",
        BalancerMode::Off => "off",
    };
    Reply::try_from(doc! {
        "mode": mode,
        "inBalancerRound": false,
        "numBalancerRounds": 0_i64,
        "term": metadata.term(),
    })
}
