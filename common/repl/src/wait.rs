//! Waits of clients: for a write to reach enough members, and for this member to be able to answer a read.

use crate::board::stepped_down;
use crate::data::Located;
use crate::shared::{Admission, Shared, off_thread};
use crate::view::ReadAt;
use command::WriteConcernError;
use runtime::clock;
use std::sync::Arc;
use std::time::Instant;
use types::concern::{ReadConcernLevel, W};
use types::{Code, Fault, OpTime, ReadConcern, Timestamp, WriteConcern};

fn out_of_time() -> Fault {
    Fault::new(Code::MaxTimeMSExpired, "operation exceeded time limit")
}

/// What the future gives, unless the deadline comes first.
async fn in_time<F: Future>(deadline: Option<Instant>, future: F) -> Result<F::Output, Fault> {
    match deadline {
        None => Ok(future.await),
        Some(deadline) => tokio::time::timeout_at(deadline.into(), future).await.map_err(|_| out_of_time()),
    }
}

/// Waits for a write.
pub(crate) async fn write_concern(
    shared: &Shared,
    at: OpTime,
    concern: &WriteConcern,
    deadline: Option<Instant>,
) -> Result<Option<WriteConcernError>, Fault> {
    let error = |fault: Fault, info| WriteConcernError { code: fault.code, message: fault.message, info };
    let wait = reach(shared, at, &concern.w, concern.needs_journal());
    let timeout = (!concern.timeout.is_zero()).then(|| clock::now() + concern.timeout);
    let bound = match (timeout, deadline) {
        (Some(timeout), Some(deadline)) => Some(timeout.min(deadline)),
        (timeout, deadline) => timeout.or(deadline),
    };
    match in_time(bound, wait).await {
        Ok(Ok(())) => Ok(None),
        // The write stays; the client learns that less is known of it than it asked for.
        Ok(Err(fault)) => Ok(Some(error(fault, None))),
        Err(_) if deadline.is_some_and(|deadline| clock::now() >= deadline) => {
            Ok(Some(error(out_of_time(), None)))
        }
        Err(_) => {
            let fault = Fault::new(Code::WriteConcernFailed, "waiting for replication timed out");
            Ok(Some(error(fault, Some(bson::rawdoc! { "wtimeout": true }))))
        }
    }
}

/// Ends when an entry of this log has reached what `w` asks for.
async fn reach(shared: &Shared, at: OpTime, w: &W, journal: bool) -> Result<(), Fault> {
    let view = shared.view.load();
    let is_alone = view.is_alone;
    if view.config.is_none() {
        return Err(Fault::new(Code::NotYetInitialized, "no replset config has been received"));
    }
    drop(view);
    if let W::Count(0 | 1) = w {
        if journal && shared.data.durable() < at {
            shared.data.sync_to(at).await?;
        }
        return Ok(());
    }
    if is_alone && matches!(w, W::Majority) {
        if journal && shared.data.durable() < at {
            shared.data.sync_to(at).await?;
        }
        return Ok(());
    }
    let Some(wait) = shared.board.wait(at, w, journal)? else {
        return in_this_log(shared, at).await;
    };
    if journal || matches!(w, W::Majority) {
        // Counted by the driver like everybody's: a majority of others is enough.
        shared.data.ask_for_sync(at);
    }
    let mut wait = wait;
    match (&mut wait.outcome).await {
        Ok(outcome) => outcome?,
        Err(_) => return Err(stepped_down()),
    }
    drop(wait);
    in_this_log(shared, at).await
}

/// An entry of an earlier term may have been cut since the caller wrote it: then a count that goes past it says nothing about it.
async fn in_this_log(shared: &Shared, at: OpTime) -> Result<(), Fault> {
    if shared.board.read(|progress| progress.office == Some(at.term)) || at == OpTime::default() {
        return Ok(());
    }
    let data = shared.data.clone();
    match off_thread(move || data.locate(at)).await? {
        Located::Found | Located::TooOld { .. } => Ok(()),
        Located::NotThere { .. } => Err(stepped_down()),
    }
}

/// Waits while writes are held back.
pub(crate) async fn admit_write(shared: &Shared, deadline: Option<Instant>) -> Result<(), Fault> {
    if shared.admission.get() == Admission::Paused {
        let mut admission = shared.admission.subscribe();
        let opened = admission.wait_for(|admission| *admission != Admission::Paused);
        if in_time(deadline, opened).await?.is_err() {
            return Err(Fault::new(Code::InterruptedAtShutdown, "interrupted at shutdown"));
        }
    }
    check_writable(shared)
}

pub(crate) fn check_writable(shared: &Shared) -> Result<(), Fault> {
    if shared.admission.get() != Admission::Closed {
        return Ok(());
    }
    let text = match shared.view.load().config {
        Some(_) => "not primary".to_owned(),
        None => format!(
            "not primary: replica set {} is not initiated yet; run rs.initiate() on this member",
            shared.identity.set_name
        ),
    };
    Err(Fault::new(Code::NotWritablePrimary, text))
}

/// Waits until a read of that concern can be answered here.
pub(crate) async fn read_concern(
    shared: &Arc<Shared>,
    concern: &ReadConcern,
    deadline: Option<Instant>,
) -> Result<ReadAt, Fault> {
    let level = concern.level.unwrap_or(ReadConcernLevel::Local);
    if let Some(after) = concern.after_cluster_time {
        applied_to(shared, after, deadline).await?;
    }
    match level {
        ReadConcernLevel::Local | ReadConcernLevel::Available => Ok(ReadAt::Latest),
        ReadConcernLevel::Majority => {
            let after = concern.after_cluster_time.unwrap_or(Timestamp(1));
            let point = committed_to(shared, after, deadline).await?;
            Ok(ReadAt::At(point.ts))
        }
        ReadConcernLevel::Snapshot => {
            let after = concern.after_cluster_time.unwrap_or(Timestamp(1));
            match concern.at_cluster_time {
                Some(at) => {
                    applied_to(shared, at, deadline).await?;
                    committed_to(shared, at, deadline).await?;
                    Ok(ReadAt::At(at))
                }
                None => Ok(ReadAt::At(committed_to(shared, after, deadline).await?.ts)),
            }
        }
        ReadConcernLevel::Linearizable => linearize(shared, deadline).await,
    }
}

/// A majority takes an entry that is written now: this member was its primary then, and everything acknowledged before lies before.
async fn linearize(shared: &Arc<Shared>, deadline: Option<Instant>) -> Result<ReadAt, Fault> {
    check_writable(shared)?;
    let data = shared.data.clone();
    let at = off_thread(move || data.noop(&bson::rawdoc! { "msg": "linearizable read" })).await?;
    in_time(deadline, reach(shared, at, &W::Majority, true)).await??;
    Ok(ReadAt::At(at.ts))
}

/// Ends when reads here see everything up to there.
async fn applied_to(shared: &Arc<Shared>, to: Timestamp, deadline: Option<Instant>) -> Result<(), Fault> {
    let mut visible = shared.data.visible();
    while visible.take() < to {
        if in_time(deadline, visible.changed()).await?.is_err() {
            return Err(Fault::new(Code::InterruptedAtShutdown, "interrupted at shutdown"));
        }
    }
    Ok(())
}

/// Ends when a majority has everything up to there; tells how far it has.
async fn committed_to(
    shared: &Arc<Shared>,
    to: Timestamp,
    deadline: Option<Instant>,
) -> Result<OpTime, Fault> {
    if shared.view.load().is_alone {
        let last = shared.data.last();
        if last.ts >= to && shared.data.durable().ts < to {
            in_time(deadline, shared.data.sync_to(last)).await??;
        }
        let durable = shared.data.durable();
        if durable.ts >= to {
            return Ok(durable);
        }
    }
    let mut commit = shared.commit.subscribe();
    let wait = commit.wait_for(|commit| commit.ts >= to);
    match in_time(deadline, wait).await? {
        Ok(point) => Ok(point),
        Err(_) => Err(Fault::new(Code::InterruptedAtShutdown, "interrupted at shutdown")),
    }
}
