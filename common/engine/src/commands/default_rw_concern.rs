//! `setDefaultRWConcern` and `getDefaultRWConcern`.

use super::on_collection;
use crate::HasEngine;
use bson::doc;
use command::{Access, Context, GetDefaultRwConcern, Reply, Request, SetDefaultRwConcern, Spec};
use std::sync::Arc;
use types::{Fault, Namespace, WriteConcern};

pub(super) fn set<S: HasEngine>() -> Spec<S> {
    let spec = on_collection(
        "setDefaultRWConcern",
        Access::Admin,
        "the concerns of clients that name none",
        |host: Arc<S>, ctx, request| {
            Box::pin(async move {
                let reply = run_set(&*host, &ctx, &request).await?;
                host.defaults_changed();
                Ok(reply)
            })
        },
    );
    Spec { names_collection: false, admin_only: true, ..spec }
}

pub(super) fn get<S: HasEngine>() -> Spec<S> {
    let spec = on_collection(
        "getDefaultRWConcern",
        Access::Inspect,
        "the concerns of clients that name none",
        |host: Arc<S>, ctx, request| {
            Box::pin(std::future::ready(
                GetDefaultRwConcern::parse(&request, &ctx.envelope)
                    .and_then(|request| run_get(&*host, &request)),
            ))
        },
    );
    Spec { names_collection: false, admin_only: true, ..spec }
}

async fn run_set(host: &dyn HasEngine, ctx: &Context, request: &Request) -> Result<Reply, Fault> {
    let request = SetDefaultRwConcern::parse(request, &ctx.envelope)?;
    host.check_keeps_defaults("setDefaultRWConcern")?;
    host.surroundings().check_writable(&Namespace::parse("config.settings")?)?;
    let engine = host.engine();
    let at = engine
        .long_work(|| {
            engine.store_defaults(|defaults| {
                request.check_unset(defaults.write.is_some())?;
                if let Some(level) = request.read {
                    defaults.read = level;
                }
                if let Some(concern) = &request.write {
                    defaults.write = concern.clone();
                }
                Ok(())
            })
        })
        .await?;
    // Who is told of new defaults may rely on them, whatever happens to this member.
    let majority = WriteConcern::default();
    if let Some(error) = host.surroundings().acknowledge(at, &majority, ctx.deadline).await? {
        return Err(Fault::new(error.code, error.message));
    }
    let (defaults, loaded) = engine.defaults().get();
    Reply::try_from(defaults.to_reply(&host.surroundings().implicit_write_concern(), loaded))
}

fn run_get(host: &dyn HasEngine, request: &GetDefaultRwConcern) -> Result<Reply, Fault> {
    host.check_keeps_defaults("getDefaultRWConcern")?;
    let engine = host.engine();
    if !request.in_memory {
        engine.reload_defaults()?;
    }
    let (defaults, loaded) = engine.defaults().get();
    let mut reply = defaults.to_reply(&host.surroundings().implicit_write_concern(), loaded);
    if request.in_memory {
        reply.extend(doc! { "inMemory": true });
    }
    Reply::try_from(reply)
}
