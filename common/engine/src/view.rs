//! Where a read looks: at the newest that this member has, at what a majority has, or at one time that is held.
//! A cursor keeps its view between two batches; only one of the last kind pins a time while the client is away.

use crate::{Engine, HasEngine};
use command::Context;
use storage::{Collection, Snapshot};
use types::{Code, Fault, ReadAt, ReadConcern, ReadConcernLevel, Timestamp};

/// Tries to take a snapshot at a commit point that goes on meanwhile.
const MAJORITY_ATTEMPT_COUNT_MAX: usize = 10;

/// Where a read looks.
#[derive(Clone)]
pub(crate) enum View {
    /// Each batch at the newest time.
    Newest,
    /// Each batch at a time that a majority has then; `None` between two batches.
    Majority(Option<Snapshot>),
    /// All batches at one time, which the client is told.
    Fixed(Snapshot),
}

impl View {
    /// Waits until the command's read concern can be satisfied, and says where to read.
    ///
    /// # Errors
    /// What the host refuses; `SnapshotUnavailable` (246), `SnapshotTooOld` (239), `MaxTimeMSExpired` (50).
    pub(crate) async fn of(host: &dyn HasEngine, ctx: &Context) -> Result<View, Fault> {
        let concern = effective(host.engine(), ctx);
        if concern.is_newest() {
            return Ok(View::Newest);
        }
        View::wait(host, ctx, &concern).await
    }

    async fn wait(host: &dyn HasEngine, ctx: &Context, concern: &ReadConcern) -> Result<View, Fault> {
        let store = host.engine().store();
        let mut attempt = 1;
        loop {
            let at = match host.surroundings().read_ready(concern, ctx.deadline).await? {
                ReadAt::Latest => return Ok(View::Newest),
                ReadAt::At(at) => at,
            };
            match (concern.level, store.snapshot_at(at)) {
                (Some(ReadConcernLevel::Snapshot), Ok(snapshot)) => return Ok(View::Fixed(snapshot)),
                (_, Ok(snapshot)) => return Ok(View::Majority(Some(snapshot))),
                (_, Err(storage::Error::SnapshotUnavailable { oldest, .. }))
                    if concern.at_cluster_time.is_some() && at < oldest =>
                {
                    return Err(Fault::new(
                        Code::SnapshotTooOld,
                        format!("Read timestamp {at} is older than the oldest available timestamp {oldest}."),
                    ));
                }
                // The commit point went on, and the store did not keep what was before it.
                (_, Err(storage::Error::SnapshotUnavailable { .. }))
                    if concern.at_cluster_time.is_none() && attempt < MAJORITY_ATTEMPT_COUNT_MAX =>
                {
                    attempt += 1;
                }
                (_, Err(error)) => return Err(error.fault()),
            }
        }
    }

    /// Goes on to what a majority has now, for the next batch of a cursor.
    ///
    /// # Errors
    /// As [`View::of`].
    pub(crate) async fn refresh(&mut self, host: &dyn HasEngine, ctx: &Context) -> Result<(), Fault> {
        if let View::Majority(_) = self {
            let concern = ReadConcern { level: Some(ReadConcernLevel::Majority), ..ReadConcern::default() };
            *self = View::wait(host, ctx, &concern).await?;
        }
        Ok(())
    }

    /// The snapshot to read.
    ///
    /// # Errors
    /// None in practice: a cursor's view is refreshed before each batch.
    pub(crate) fn snapshot(&self, engine: &Engine) -> Result<Snapshot, Fault> {
        match self {
            View::Newest => Ok(engine.store().snapshot()),
            View::Majority(Some(snapshot)) | View::Fixed(snapshot) => Ok(snapshot.clone()),
            View::Majority(None) => Err(Fault::internal("a batch was begun without a time to read at")),
        }
    }

    /// Lets go of what the next batch does not need.
    pub(crate) fn rest(&mut self) {
        if let View::Majority(snapshot) = self {
            *snapshot = None;
        }
    }

    /// The time for which the plan must be good.
    pub(crate) fn plan_time(&self, engine: &Engine) -> Timestamp {
        match self {
            View::Newest | View::Majority(None) => engine.store().last_op_time().ts,
            View::Majority(Some(snapshot)) | View::Fixed(snapshot) => snapshot.timestamp(),
        }
    }

    /// `atClusterTime` of the reply.
    pub(crate) fn at_cluster_time(&self) -> Option<Timestamp> {
        match self {
            View::Fixed(snapshot) => Some(snapshot.timestamp()),
            View::Newest | View::Majority(_) => None,
        }
    }

    /// Refuses a collection that was made after the time that is read: another one of its name may have been there then.
    ///
    /// # Errors
    /// `SnapshotUnavailable` (246).
    pub(crate) fn check(&self, collection: Option<&Collection>) -> Result<(), Fault> {
        let (View::Fixed(snapshot), Some(collection)) = (self, collection) else { return Ok(()) };
        let made = collection.indexes.iter().find(|index| index.is_id()).and_then(|index| index.ready);
        match made {
            Some(made) if made > snapshot.timestamp() => Err(Fault::new(
                Code::SnapshotUnavailable,
                format!(
                    "Unable to read from a snapshot due to pending collection catalog changes to collection '{}'; \
                     please retry the operation. Snapshot timestamp is {}. Collection minimum timestamp is {made}",
                    collection.ns,
                    snapshot.timestamp()
                ),
            )),
            _ => Ok(()),
        }
    }
}

/// The client's read concern, or the default where it named no level. Peers say what they want.
fn effective(engine: &Engine, ctx: &Context) -> ReadConcern {
    let concern = ctx.envelope.read_concern;
    if concern.level.is_some() || ctx.client.internal {
        return concern;
    }
    ReadConcern { level: engine.defaults().read_level(), ..concern }
}
