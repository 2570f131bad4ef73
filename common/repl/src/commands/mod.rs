//! The commands that arrange a replica set. What they ask for is checked here as far as it takes other processes; whether the set may
//! do it is the core's word.

mod initiate;
mod probe;
mod reconfig;

use crate::core::Command;
use crate::core::timer::{SECOND, Time};
use crate::replication::{HasReplication, Replication};
use command::{
    ReplSetAbortPrimaryCatchUp, ReplSetFreeze, ReplSetGetConfig, ReplSetGetStatus, ReplSetInitiate,
    ReplSetReconfig, ReplSetStepDown, ReplSetStepUp, ReplSetSyncFrom, Reply, Spec,
};
use std::time::Duration;
use types::{Code, Fault};

/// The longest period that is counted; longer ones mean the same.
const PERIOD_MAX: Time = 100 * 365 * 24 * 3600 * SECOND;

/// The commands of this crate.
pub fn commands<S: HasReplication>() -> Vec<Spec<S>> {
    vec![
        Spec::admin(
            "replSetAbortPrimaryCatchUp",
            "has a new primary wait no longer for what others have",
            |server, ctx, request| {
                Box::pin(async move {
                    ReplSetAbortPrimaryCatchUp::parse(&request, &ctx.envelope)?;
                    run(server.replication(), Command::AbortCatchUp).await
                })
            },
        ),
        Spec::admin(
            "replSetFreeze",
            "keeps this member out of elections for a while",
            |server, ctx, request| {
                Box::pin(async move {
                    let freeze = ReplSetFreeze::parse(&request, &ctx.envelope)?;
                    run(server.replication(), Command::Freeze { period: time(freeze.period) }).await
                })
            },
        ),
        Spec::admin("replSetGetConfig", "the configuration of the replica set", |server, ctx, request| {
            Box::pin(async move {
                ReplSetGetConfig::parse(&request, &ctx.envelope)?;
                Reply::try_from(bson::doc! { "config": server.replication().config()? })
            })
        }),
        Spec::admin(
            "replSetGetStatus",
            "the members of the replica set and how they are",
            |server, ctx, request| {
                Box::pin(async move {
                    ReplSetGetStatus::parse(&request, &ctx.envelope)?;
                    Reply::try_from(server.replication().status().await?)
                })
            },
        ),
        Spec::admin(
            "replSetInitiate",
            "gives a new replica set its first configuration",
            |server, ctx, request| {
                Box::pin(async move {
                    let asked = ReplSetInitiate::parse(&request, &ctx.envelope)?;
                    let replication = server.replication();
                    initiate::run(replication, asked.config.as_deref()).await?;
                    if initiate::await_office(replication).await {
                        // Writes and syncs: not work for a task beside others.
                        crate::shared::blocking(|| server.initiated())?;
                    }
                    Ok(Reply::ok())
                })
            },
        ),
        Spec::admin(
            "replSetReconfig",
            "gives the replica set another configuration",
            |server, ctx, request| {
                Box::pin(async move {
                    let asked = ReplSetReconfig::parse(&request, &ctx.envelope)?;
                    reconfig::run(server.replication(), &asked.config, asked.force).await?;
                    Ok(Reply::ok())
                })
            },
        ),
        Spec::admin("replSetStepDown", "has the primary hand over", |server, ctx, request| {
            Box::pin(async move {
                let asked = ReplSetStepDown::parse(&request, &ctx.envelope)?;
                let (period, catch_up) = (time(asked.period), time(asked.catch_up));
                run(server.replication(), Command::StepDown { period, catch_up, force: asked.force }).await
            })
        }),
        Spec::admin("replSetStepUp", "has this member stand for election now", |server, ctx, request| {
            Box::pin(async move {
                let asked = ReplSetStepUp::parse(&request, &ctx.envelope)?;
                run(server.replication(), Command::StepUp { skip_dry_run: asked.skip_dry_run }).await
            })
        }),
        Spec::admin(
            "replSetSyncFrom",
            "names the member that this one pulls from",
            |server, ctx, request| {
                Box::pin(async move {
                    let asked = ReplSetSyncFrom::parse(&request, &ctx.envelope)?;
                    sync_from(server.replication(), &asked.host).await
                })
            },
        ),
    ]
}

async fn run(replication: &Replication, command: Command) -> Result<Reply, Fault> {
    replication.command(command).await?;
    Ok(Reply::ok())
}

async fn sync_from(replication: &Replication, host: &str) -> Result<Reply, Fault> {
    let view = replication.view();
    let config = view.config.as_ref();
    let config =
        config.ok_or_else(|| Fault::new(Code::NotYetInitialized, "no replset config has been received"))?;
    let member = config.members.iter().find(|member| member.host == host);
    let member = member.ok_or_else(|| {
        Fault::new(Code::NodeNotFound, format!("Could not find member \"{host}\" in replica set"))
    })?;
    let before = view.source.and_then(|source| config.member(source)).map(|source| source.host.clone());
    replication.command(Command::SyncFrom { source: member.id }).await?;
    let mut reply = bson::doc! { "syncFromRequested": host };
    if let Some(before) = before {
        reply.insert("prevSyncTarget", before);
    }
    Reply::try_from(reply)
}

fn time(duration: Duration) -> Time {
    Time::try_from(duration.as_micros()).unwrap_or(PERIOD_MAX).min(PERIOD_MAX)
}
