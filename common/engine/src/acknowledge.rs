//! Write and read concern of a member that stands alone: its own synced journal is the majority.
//! Replication replaces both through [`crate::HasEngine`].

use crate::Engine;
use crate::host::satisfiable_alone;
use command::{BoxFuture, WriteConcernError};
use std::sync::Arc;
use std::time::{Duration, Instant};
use types::{Code, Fault, OpTime, ReadAt, ReadConcern, ReadConcernLevel, WriteConcern};

/// Waits for the journal where the concern asks for it.
pub(crate) fn single_member(
    engine: &Arc<Engine>,
    op_time: OpTime,
    concern: &WriteConcern,
    deadline: Option<Instant>,
) -> BoxFuture<Result<Option<WriteConcernError>, Fault>> {
    if let Err(error) = satisfiable_alone(concern) {
        return Box::pin(std::future::ready(Ok(Some(error))));
    }
    if !concern.needs_journal() || engine.store().durable_op_time() >= op_time {
        return Box::pin(std::future::ready(Ok(None)));
    }
    let engine = Arc::clone(engine);
    let timeout = concern.timeout;
    Box::pin(async move {
        let synced = engine.store().durable(op_time);
        let Some(bound) = bound(timeout, deadline) else {
            synced.await.map_err(|error| error.fault())?;
            return Ok(None);
        };
        match tokio::time::timeout(bound, synced).await {
            Ok(outcome) => {
                outcome.map_err(|error| error.fault())?;
                Ok(None)
            }
            Err(_) if deadline.is_some_and(|deadline| Instant::now() >= deadline) => {
                Ok(Some(error(Code::MaxTimeMSExpired, "operation exceeded time limit")))
            }
            Err(_) => Ok(Some(error(Code::WriteConcernFailed, "waiting for replication timed out"))),
        }
    })
}

/// What the journal of a member that stands alone has is what a majority has.
pub(crate) fn read_ready(
    engine: &Arc<Engine>,
    concern: &ReadConcern,
    deadline: Option<Instant>,
) -> BoxFuture<Result<ReadAt, Fault>> {
    let (engine, concern) = (Arc::clone(engine), *concern);
    Box::pin(async move {
        let store = engine.store();
        if let Some(wanted) = concern.after_cluster_time.or(concern.at_cluster_time)
            && store.last_op_time().ts < wanted
        {
            return Err(Fault::new(
                Code::InvalidOptions,
                format!("readConcern time {wanted} must not be greater than the current clusterTime"),
            ));
        }
        let settled = match concern.level {
            None | Some(ReadConcernLevel::Local | ReadConcernLevel::Available) => return Ok(ReadAt::Latest),
            Some(ReadConcernLevel::Majority | ReadConcernLevel::Snapshot) => {
                concern.after_cluster_time.or(concern.at_cluster_time)
            }
            Some(ReadConcernLevel::Linearizable) => Some(store.last_op_time().ts),
        };
        if let Some(ts) = settled
            && store.durable_op_time().ts < ts
        {
            let synced = store.durable(OpTime { ts, term: store.last_op_time().term });
            match deadline {
                None => synced.await,
                Some(deadline) => tokio::time::timeout_at(deadline.into(), synced)
                    .await
                    .map_err(|_| Fault::new(Code::MaxTimeMSExpired, "operation exceeded time limit"))?,
            }
            .map_err(|error| error.fault())?;
        }
        Ok(ReadAt::At(concern.at_cluster_time.unwrap_or(store.durable_op_time().ts)))
    })
}

fn bound(timeout: Duration, deadline: Option<Instant>) -> Option<Duration> {
    let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
    match (timeout.is_zero(), left) {
        (true, left) => left,
        (false, None) => Some(timeout),
        (false, Some(left)) => Some(timeout.min(left)),
    }
}

fn error(code: Code, message: &str) -> WriteConcernError {
    WriteConcernError { code, message: message.to_owned(), info: None }
}
