//! Commands of a member that concern its files and its part in the set: `fsync`, `fsyncUnlock`.

use crate::Member;
use bson::{Document, RawBson, doc};
use command::{Fsync, FsyncUnlock, Reply, Request, Spec};
use std::time::Duration;
use types::{Code, Fault};

/// The fact in the control file that counts rollbacks.
const ROLLBACK_ID: &str = "rollback.id";

/// A server that is a member.
pub trait HasMember: Send + Sync + 'static {
    fn member(&self) -> &Member;
}

/// The commands of this crate.
pub fn commands<S: HasMember>() -> Vec<Spec<S>> {
    vec![
        Spec::admin(
            "fsync",
            "writes everything to disk; with lock, holds writes back",
            |server, ctx, request| {
                Box::pin(async move {
                    let fsync = Fsync::parse(&request, &ctx.envelope)?;
                    run_fsync(server.member(), &fsync).await.and_then(Reply::try_from)
                })
            },
        ),
        Spec::admin(
            "replSetGetRBID",
            "rises whenever data of this member are undone",
            |server, _, request: Request| {
                Box::pin(std::future::ready(
                    no_fields(&request)
                        .and_then(|()| Reply::try_from(doc! { "rbid": rollback_id(server.member()) })),
                ))
            },
        ),
        Spec::admin("fsyncUnlock", "lets writes go on", |server, ctx, request: Request| {
            Box::pin(async move {
                FsyncUnlock::parse(&request, &ctx.envelope)?;
                unlock(server.member()).await
            })
        }),
    ]
}

async fn run_fsync(member: &Member, fsync: &Fsync) -> Result<Document, Fault> {
    let locked = match fsync.lock {
        true => Some(lock(member, fsync.lock_timeout).await?),
        false => None,
    };
    let store = member.store.clone();
    let synced = tokio::task::block_in_place(move || store.force_checkpoint());
    if let Err(error) = synced {
        if locked.is_some() {
            release(member).await;
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

/// Neither clients nor other members write here any more. How often it is locked now.
async fn lock(member: &Member, bound: Duration) -> Result<u32, Fault> {
    let mut hold = member.apply_hold.lock().await;
    let count = member.front.write_lock.lock(bound).await?;
    if hold.is_none() {
        match member.replication.hold_applying(bound).await {
            Ok(held) => *hold = Some(held),
            Err(fault) => {
                member.front.write_lock.unlock();
                return Err(fault);
            }
        }
    }
    Ok(count)
}

/// How often it is still locked; `None` where it was not.
async fn release(member: &Member) -> Option<u32> {
    let mut hold = member.apply_hold.lock().await;
    let count = member.front.write_lock.unlock();
    if !member.front.write_lock.is_locked() {
        *hold = None;
    }
    count
}

/// Which of the member's pasts is in force: 1 until the first rollback.
fn rollback_id(member: &Member) -> i32 {
    match member.store.control().get(ROLLBACK_ID) {
        Some(RawBson::Int32(id)) => id,
        _ => 1,
    }
}

/// Remembers for good that data were undone.
///
/// # Errors
/// A failure of the disk.
pub(crate) fn count_rollback(member: &Member) -> Result<(), Fault> {
    member.store.control().put(ROLLBACK_ID, rollback_id(member).saturating_add(1))?;
    Ok(())
}

fn no_fields(request: &Request) -> Result<(), Fault> {
    for element in request.body.iter().skip(1) {
        let (name, _) = element.map_err(|error| Fault::new(Code::InvalidBSON, error.to_string()))?;
        if !command::envelope::GENERIC_FIELDS.contains(&name.as_str()) {
            return Err(Fault::new(
                Code::Location(40415),
                format!("BSON field '{}.{}' is an unknown field.", request.name(), name.as_str()),
            ));
        }
    }
    Ok(())
}

async fn unlock(member: &Member) -> Result<Reply, Fault> {
    match release(member).await {
        Some(count) => Reply::try_from(doc! {
            "info": "fsyncUnlock completed",
            "lockCount": i64::from(count),
        }),
        None => Err(Fault::new(Code::IllegalOperation, "fsyncUnlock called when not locked")),
    }
}
