//! What a member wants done.
//!
//! The driver carries the effects of one event out in their order. [`Effect::Persist`] and [`Effect::StoreConfig`] are synced before
//! the next effect is begun; if that fails, the process ends. Everything else may be lost or late.

use super::config::{MemberId, SetConfig};
use super::message::{Message, State};
use super::refusal::Refusal;
use std::sync::Arc;
use types::OpTime;

/// The facts of a member that outlive a crash, beside its log and its configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Persistent {
    /// The highest term heard of.
    pub term: i64,
    /// For whom this member voted in that term.
    pub voted_for: Option<MemberId>,
    /// How far this member's log once went, should it have had to throw its data away: it may have been one of the majority that an
    /// entry was acknowledged on, so it votes for nobody who has less.
    pub floor: OpTime,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Hash)]
pub enum Effect {
    /// Write and sync, before anything that follows.
    Persist(Persistent),
    /// Write and sync the configuration, before anything that follows.
    StoreConfig(Arc<SetConfig>),
    /// Send to that member.
    Send(MemberId, Message),
    /// Pull from that member whatever follows the last entry here, or from nobody. Ends the stream before, if any.
    Fetch(Option<MemberId>),
    /// Write no more fetched entries; apply all that are written; then [`super::Event::Drained`] of the same term.
    Drain { term: i64 },
    /// Write an entry that says that a new primary is there, in this term.
    WriteNoop { term: i64 },
    /// Take clients' writes in that term from now on, or (`None`) no longer, and fail those who wait for one. A pause of a
    /// primary that is asked to step down is [`Effect::PauseWrites`].
    AcceptWrites(Option<i64>),
    /// Hold clients' writes back, or let them go on.
    PauseWrites(bool),
    /// A majority has everything up to there.
    CommitPoint(OpTime),
    /// Search for the last entry that both logs have ([`super::rollback::Search`]); then [`super::Event::CommonPoint`].
    FindCommonPoint { source: MemberId },
    /// Cut everything after that place from the log and the data, sync, keep what was cut in files; end streams to others; then
    /// [`super::Event::RolledBack`].
    Rollback { to: OpTime },
    /// Throw the data away and copy that member's; then [`super::Event::Resynced`].
    Resync { source: MemberId },
    /// What the member is now, for `hello` and the log.
    Became(State),
    /// The answer to a command.
    Reply { request: u64, result: Result<(), Refusal> },
    /// What cannot happen has happened: end the process before it does harm.
    Halt(Broken),
}

/// A broken invariant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Broken {
    /// Entries that a majority was known to have would have to be undone.
    #[error("the common point {common} is before the commit point {commit_point}")]
    RollbackBehindCommitPoint { common: OpTime, commit_point: OpTime },
}
