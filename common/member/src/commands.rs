//! Commands of a member that concern its files and its part in the set: `fsync`, `fsyncUnlock`.

use crate::Member;
use bson::{Document, doc};
use command::{Access, Fsync, FsyncUnlock, Handler, Reply, Request, Spec};
use types::{Code, Fault};

/// A server that is a member.
pub trait HasMember: Send + Sync + 'static {
    fn member(&self) -> &Member;
}

/// The commands of this crate.
pub fn commands<S: HasMember>() -> Vec<Spec<S>> {
    vec![
        spec("fsync", "writes everything to disk; with lock, holds writes back", |server, ctx, request| {
            Box::pin(async move {
                let fsync = Fsync::parse(&request, &ctx.envelope)?;
                run_fsync(server.member(), &fsync).await.and_then(Reply::try_from)
            })
        }),
        spec("fsyncUnlock", "lets writes go on", |server, ctx, request: Request| {
            Box::pin(std::future::ready(
                FsyncUnlock::parse(&request, &ctx.envelope).and_then(|_| unlock(server.member())),
            ))
        }),
    ]
}

async fn run_fsync(member: &Member, fsync: &Fsync) -> Result<Document, Fault> {
    let locked = match fsync.lock {
        true => Some(member.front.write_lock.lock(fsync.lock_timeout).await?),
        false => None,
    };
    let store = member.store.clone();
    let synced = tokio::task::block_in_place(move || store.force_checkpoint());
    if let Err(error) = synced {
        if locked.is_some() {
            member.front.write_lock.unlock();
        }
        return Err(error.fault());
    }
    Ok(match locked {
        None => doc! { "numFiles": 1 },
        Some(count) => doc! {
            "info": "now locked against writes, use db.fsyncUnlock() to unlock",
            "lockCount": i64::from(count),
            "seeAlso": "http://dochub.mongodb.org/core/fsynccommand",
        },
    })
}

fn unlock(member: &Member) -> Result<Reply, Fault> {
    match member.front.write_lock.unlock() {
        Some(count) => Reply::try_from(doc! {
            "info": "fsyncUnlock completed",
            "lockCount": i64::from(count),
        }),
        None => Err(Fault::new(Code::IllegalOperation, "fsyncUnlock called when not locked")),
    }
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
