//! What members say to each other. Every message carries the sender's term: who hears a higher one follows it first, then reads on.

use super::config::{ConfigId, MemberId, SetConfig};
use super::timer::Time;
use std::sync::Arc;
use types::OpTime;

/// One message.
#[derive(Debug, Clone, PartialEq, Hash)]
pub struct Message {
    pub from: MemberId,
    /// The sender's term when it was sent.
    pub term: i64,
    pub body: Body,
}

/// What it says.
#[derive(Debug, Clone, PartialEq, Hash)]
pub enum Body {
    /// Asks how the other is, and says how the sender is.
    Heartbeat { sent: Time, status: Status },
    /// The answer, with the time of the question.
    HeartbeatReply { sent: Time, status: Status },
    /// Asks for a vote.
    VoteRequest(VoteRequest),
    /// The answer.
    VoteReply(VoteReply),
    /// A primary is there. Goes to everybody every 100 ms, on whatever stream there is.
    KeepAlive { commit_point: OpTime, config: ConfigId },
    /// How far the sender, and those who pull from it, have come. Goes to the sender's sync source.
    Positions(Vec<(MemberId, Position)>),
    /// A primary that stepped down asks the member to stand at once, without a dry run.
    StepUp,
    /// A configuration, from who has a newer one.
    Config(Arc<SetConfig>),
}

/// How far a member has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Position {
    /// Its reads see everything up to here.
    pub applied: OpTime,
    /// Its log is synced up to here.
    pub durable: OpTime,
}

impl Position {
    /// The later of the two: it has the entry, synced or not.
    pub fn written(self) -> OpTime {
        self.applied.max(self.durable)
    }

    /// Messages may come out of order; a position never goes back within a term.
    pub(super) fn raise(&mut self, to: Position) {
        self.applied = self.applied.max(to.applied);
        self.durable = self.durable.max(to.durable);
    }
}

/// What kind of member somebody is at the moment; numbers as `replSetGetStatus` shows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// No configuration yet.
    Startup = 0,
    Primary = 1,
    Secondary = 2,
    /// Copying the data.
    Startup2 = 5,
    Arbiter = 7,
    Rollback = 9,
    /// Not in the configuration.
    Removed = 10,
}

/// How a member is, by its own account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Status {
    pub state: State,
    /// Whom it takes for the primary.
    pub primary: Option<MemberId>,
    pub position: Position,
    pub commit_point: OpTime,
    pub config: ConfigId,
    /// From whom it pulls.
    pub source: Option<MemberId>,
}

/// Why somebody stands for election.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// No primary for the whole election timeout.
    ElectionTimeout,
    /// The primary's stream fell silent or was reset.
    PrimaryLost,
    /// This member has a higher priority than the primary.
    PriorityTakeover,
    /// This member is fresher than a primary that is catching up.
    CatchUpTakeover,
    /// Asked to, by the outgoing primary or by a person.
    StepUp,
}

impl Reason {
    /// Whether the candidate says that there is no primary: then a voter that hears one refuses.
    pub fn claims_no_primary(self) -> bool {
        matches!(self, Reason::ElectionTimeout | Reason::PrimaryLost)
    }
}

/// A request for a vote. In a dry run nobody's term or vote changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct VoteRequest {
    pub dry_run: bool,
    /// The term the candidate would govern in.
    pub election: i64,
    pub last: OpTime,
    pub config: ConfigId,
    pub reason: Reason,
}

/// The answer to one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct VoteReply {
    pub dry_run: bool,
    pub election: i64,
    pub refused: Option<Denial>,
    /// How far the voter's own log goes: a new primary need not ask again.
    pub last: OpTime,
}

/// Why a vote was not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Denial {
    /// The candidate's term is over.
    OldTerm,
    /// The candidate's configuration is older than the voter's.
    OldConfig,
    /// The voter's log goes further.
    Stale,
    /// The vote of this term went to somebody else.
    AlreadyVoted,
    /// The voter hears the primary.
    PrimaryHeard,
}
