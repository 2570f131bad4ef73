//! What happens to a member.

use super::config::{MemberId, SetConfig};
use super::message::Message;
use super::timer::{Time, Timer};
use std::sync::Arc;
use types::OpTime;

/// One thing that happened. Events of one member are given to it one after the other.
#[derive(Debug, Clone, PartialEq, Hash)]
pub enum Event {
    /// The process has started; comes first, once.
    Start,
    /// Time went on: whatever is due is done.
    Tick,
    /// This deadline has passed, wherever it stood. For models, in which time passes as it likes.
    Timer(Timer),
    /// A message arrived, its sender known to be a member.
    Receive(Message),
    /// Every connection to that member was reset or refused. Only a hint: the member may live.
    Disconnected(MemberId),
    /// The log here now goes up to there, not yet synced. Entries are contiguous and later than all before.
    Written(OpTime),
    /// The log here is synced up to there.
    Synced(OpTime),
    /// Reads here see everything up to there.
    Applied(OpTime),
    /// The stream that [`super::Effect::Fetch`] asked for is open, or is not to be had.
    StreamOpened { source: MemberId, verdict: Verdict },
    /// What the source says of itself, in order with the entries: comes after those sent before it are written here.
    StreamMeta { source: MemberId, term: i64, commit_point: OpTime },
    /// The stream has ended.
    StreamLost { source: MemberId },
    /// After [`super::Effect::Drain`]: everything that was fetched is applied.
    Drained { term: i64 },
    /// After [`super::Effect::FindCommonPoint`]: the last entry that both logs have; `None` if the source's log begins after it.
    CommonPoint { source: MemberId, found: Option<OpTime> },
    /// After [`super::Effect::Rollback`]: the log was cut and the cut is synced.
    RolledBack { last: OpTime },
    /// After [`super::Effect::Resync`]: the data is that of the source at `last`, synced.
    Resynced { last: OpTime },
    /// Somebody asks for something; answered by [`super::Effect::Reply`].
    Command { request: u64, command: Command },
}

/// What a source found at our place in its log. `last` is the end of its log at that moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It has our last entry: what follows it will come.
    Found,
    /// It does not have our last entry, though its log goes back that far.
    Diverged { last: OpTime },
    /// Its log begins after our last entry.
    TooOld { first: OpTime },
    /// It could not be asked.
    Failed,
}

/// What people and commands ask of a member.
#[derive(Debug, Clone, PartialEq, Hash)]
pub enum Command {
    /// `replSetInitiate`: the first configuration, checked by itself.
    Initiate { config: Arc<SetConfig> },
    /// `replSetReconfig`.
    Reconfig { config: Arc<SetConfig>, force: bool },
    /// `replSetStepDown`: stay out of elections for `period` after at most `catch_up` of waiting.
    StepDown { period: Time, catch_up: Time, force: bool },
    /// `replSetStepUp`.
    StepUp { skip_dry_run: bool },
    /// `replSetFreeze`: stand for no election for so long; zero ends it.
    Freeze { period: Time },
    /// `replSetSyncFrom`.
    SyncFrom { source: MemberId },
    /// `replSetAbortPrimaryCatchUp`.
    AbortCatchUp,
}
