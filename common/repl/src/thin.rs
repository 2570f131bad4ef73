//! What the rest of the process asks of replication, answered for a set of one member.

use crate::core::message::State as MemberState;
use crate::replication::Replication;
use crate::view::{ReadAt, View};
use command::WriteConcernError;
use std::sync::Arc;
use std::time::Instant;
use types::{Code, Fault, OpTime, ReadConcern, ReadConcernLevel, W, WriteConcern};

impl Replication {
    /// This member's part.
    pub fn view(&self) -> Arc<View> {
        let Some(state) = self.state() else { return Arc::new(View::uninitiated()) };
        let me = state.config.members.first().map(|member| member.id);
        Arc::new(View {
            state: MemberState::Primary,
            term: state.term,
            config: Some(Arc::new(state.config.clone())),
            me,
            primary: me,
            source: None,
            accepts_writes: true,
            election_id: Some(state.election_id),
            election_time: state.election_time.ts,
            elected_millis: state.since_millis,
            is_alone: true,
        })
    }

    /// Ends when writes are no longer paused.
    ///
    /// # Errors
    /// `NotWritablePrimary` (10107).
    pub async fn admit_write(&self, deadline: Option<Instant>) -> Result<(), Fault> {
        let _ = deadline;
        self.check_writable()
    }

    /// Whether this member may be read.
    ///
    /// # Errors
    /// `NotPrimaryOrSecondary` (13436).
    pub fn check_readable(&self, secondary_ok: bool) -> Result<(), Fault> {
        let _ = secondary_ok;
        Ok(())
    }

    /// Up to where a majority has everything.
    pub fn commit_point(&self) -> OpTime {
        self.store().durable_op_time()
    }

    /// Ends when the write is as safe as asked for.
    ///
    /// # Errors
    /// A failure of storage.
    pub async fn await_write_concern(
        &self,
        at: OpTime,
        concern: &WriteConcern,
        deadline: Option<Instant>,
    ) -> Result<Option<WriteConcernError>, Fault> {
        let error = |code: Code, message: String| Ok(Some(WriteConcernError { code, message, info: None }));
        match &concern.w {
            W::Count(2..) => {
                return error(Code::CannotSatisfyWriteConcern, "Not enough data-bearing nodes".to_owned());
            }
            W::Mode(mode) => {
                let message =
                    format!("No write concern mode named '{mode}' found in replica set configuration");
                return error(Code::UnknownReplWriteConcern, message);
            }
            W::Majority | W::Count(_) => {}
        }
        if !concern.needs_journal() || self.store().durable_op_time() >= at {
            return Ok(None);
        }
        let own = (!concern.timeout.is_zero()).then(|| Instant::now() + concern.timeout);
        let synced = self.store().durable(at);
        let Some(until) = own.into_iter().chain(deadline).min() else {
            synced.await.map_err(|error| error.fault())?;
            return Ok(None);
        };
        match tokio::time::timeout_at(until.into(), synced).await {
            Ok(outcome) => outcome.map(|()| None).map_err(|error| error.fault()),
            Err(_) if deadline.is_some_and(|deadline| Instant::now() >= deadline) => {
                error(Code::MaxTimeMSExpired, "operation exceeded time limit".to_owned())
            }
            Err(_) => error(Code::WriteConcernFailed, "waiting for replication timed out".to_owned()),
        }
    }

    /// Ends when the read is possible, and says where.
    ///
    /// # Errors
    /// A failure of storage; `MaxTimeMSExpired` (50).
    pub async fn await_read(
        &self,
        concern: &ReadConcern,
        deadline: Option<Instant>,
    ) -> Result<ReadAt, Fault> {
        let store = self.store();
        let wanted = match concern.level {
            None | Some(ReadConcernLevel::Local | ReadConcernLevel::Available) => return Ok(ReadAt::Latest),
            Some(ReadConcernLevel::Linearizable) => Some(store.last_op_time().ts),
            Some(ReadConcernLevel::Majority | ReadConcernLevel::Snapshot) => {
                concern.after_cluster_time.or(concern.at_cluster_time)
            }
        };
        if let Some(ts) = wanted
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
    }
}
