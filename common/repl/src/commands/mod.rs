//! The commands that arrange a replica set.

use crate::replication::HasReplication;
use command::{Access, Handler, ReplSetGetConfig, ReplSetGetStatus, ReplSetInitiate, Reply, Spec};

/// The commands of this crate.
pub fn commands<S: HasReplication>() -> Vec<Spec<S>> {
    vec![
        spec("replSetGetConfig", "the configuration of the replica set", |server, ctx, request| {
            Box::pin(async move {
                ReplSetGetConfig::parse(&request, &ctx.envelope)?;
                Reply::try_from(bson::doc! { "config": server.replication().config()? })
            })
        }),
        spec(
            "replSetGetStatus",
            "the members of the replica set and how they are",
            |server, ctx, request| {
                Box::pin(async move {
                    ReplSetGetStatus::parse(&request, &ctx.envelope)?;
                    Reply::try_from(server.replication().status()?)
                })
            },
        ),
        spec("replSetInitiate", "gives a new replica set its first configuration", |server, ctx, request| {
            Box::pin(async move {
                let initiate = ReplSetInitiate::parse(&request, &ctx.envelope)?;
                // Writes and syncs: not work for a task beside others.
                tokio::task::block_in_place(|| {
                    server.replication().initiate(initiate.config.as_deref())?;
                    server.initiated()
                })?;
                Ok(Reply::ok())
            })
        }),
    ]
}

const fn spec<S>(name: &'static str, help: &'static str, run: Handler<S>) -> Spec<S> {
    Spec {
        name,
        aliases: &[],
        access: Access::Inspect,
        admin_only: true,
        internal_only: false,
        names_collection: false,
        help,
        run,
    }
}
