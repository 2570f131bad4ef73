//! Seeded faults, so that every check is shown to be able to fail. A member carries none unless a test put one in, and only the
//! feature `bugs` has a way to do so.

/// One fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Bug {
    /// A voter forgets whom it voted for in this term.
    VoteTwice,
    /// A vote is sent without having been made durable.
    VoteNotPersisted,
    /// A configuration is told to others, and decided by, without having been made durable.
    ConfigNotStored,
    /// A voter does not look at the candidate's log.
    IgnoreFreshness,
    /// A voter does not look at the candidate's configuration.
    IgnoreConfigOrder,
    /// A primary goes on when it hears of a higher term.
    IgnoreHigherTerm,
    /// One member less than a majority is enough.
    CommitBeforeMajority,
    /// An entry of an older term is committed by counting.
    CommitOlderTerm,
    /// Entries count before they are synced.
    CountUnsynced,
    /// Arbiters count as if they held everything.
    CountArbiters,
    /// The commit point moves while the configuration is not committed.
    CommitInPendingConfig,
    /// A configuration is changed before the last change is committed.
    ReconfigTooEarly,
    /// A configuration is changed though its majority lacks what was committed.
    ReconfigWithoutData,
    /// More than one vote moves at once.
    ReconfigManyVoters,
    /// A member goes on after its log and its source's have parted.
    NoRollback,
    /// A member rolls back for a source that is not ahead of it.
    RollbackForOlder,
    /// A commit point of another branch is believed.
    CommitPointUnchecked,
    /// A member that lost its data votes as if it had never had any.
    ForgetFloor,
    /// Dry runs are granted though the primary is heard.
    DeposeHeardPrimary,
    /// A primary without a majority stays.
    StayWithoutMajority,
    /// A primary hands over to whoever was there the last time that it looked.
    HeirUnheard,
    /// A member pulls from a member that pulls from it.
    SyncInCircles,
}
