//! Write and read concern of a member that stands alone: its own synced journal is the majority.
//! Replication replaces both through [`crate::HasEngine`].

use crate::Engine;
use crate::host::satisfiable_alone;
use command::{BoxFuture, WriteConcernError};
use std::sync::Arc;
use std::time::{Duration, Instant};
use types::{Code, Fault, OpTime, ReadConcern, ReadConcernLevel, WriteConcern};

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

/// The newest snapshot of a member that stands alone is what a majority has.
pub(crate) fn read_ready(
    engine: &Arc<Engine>,
    concern: &ReadConcern,
    deadline: Option<Instant>,
) -> BoxFuture<Result<(), Fault>> {
    let _ = (engine, deadline);
    let outcome = match concern.level {
        Some(ReadConcernLevel::Snapshot) => Err(Fault::not_implemented("readConcern level snapshot")),
        _ => Ok(()),
    };
    Box::pin(std::future::ready(outcome))
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
