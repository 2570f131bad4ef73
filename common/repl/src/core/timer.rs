//! Time as the core sees it: a number given with each event, and the deadlines that the core keeps.

/// Microseconds on a monotonic clock of this process; where it starts does not matter.
pub type Time = u64;

/// A second.
pub const SECOND: Time = 1_000_000;
/// A millisecond.
pub const MILLISECOND: Time = 1000;

/// What a deadline is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Timer {
    /// No primary for `electionTimeoutMillis`: the outer bound.
    Election,
    /// The primary was not heard for half the detection time: from now on this member lets others stand.
    Hush,
    /// The primary was not heard for `failureDetectionMillis`: ask for a dry run.
    Silence,
    /// Heartbeats to everybody.
    Heartbeat,
    /// A primary's keep-alive to everybody.
    KeepAlive,
    /// An election has to be decided.
    Ballot,
    /// A primary has not heard a majority for `electionTimeoutMillis`.
    Majority,
    /// A new primary has listened long enough for fresher members.
    Listen,
    /// A new primary has caught up long enough.
    CatchUp,
    /// A member of higher priority takes over.
    PriorityTakeover,
    /// A fresher member takes over from a primary that does not get on with catching up.
    CatchUpTakeover,
    /// A primary that was asked to step down has waited long enough.
    StepDown,
    /// Look for a sync source again.
    Source,
}

/// All of them, in the order in which they are looked at.
pub const TIMERS: [Timer; 13] = [
    Timer::Majority,
    Timer::Hush,
    Timer::Silence,
    Timer::Election,
    Timer::Ballot,
    Timer::Heartbeat,
    Timer::KeepAlive,
    Timer::Listen,
    Timer::CatchUp,
    Timer::PriorityTakeover,
    Timer::CatchUpTakeover,
    Timer::StepDown,
    Timer::Source,
];

/// The deadlines that are set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Timers([Option<Time>; TIMERS.len()]);

impl Timers {
    pub(super) fn set(&mut self, timer: Timer, at: Time) {
        self.0[timer as usize] = Some(at);
    }

    /// Sets it unless it runs.
    pub(super) fn set_once(&mut self, timer: Timer, at: Time) {
        self.0[timer as usize].get_or_insert(at);
    }

    pub(super) fn clear(&mut self, timer: Timer) {
        self.0[timer as usize] = None;
    }

    pub(super) fn is_set(&self, timer: Timer) -> bool {
        self.0[timer as usize].is_some()
    }

    pub(super) fn is_due(&self, timer: Timer, now: Time) -> bool {
        self.0[timer as usize].is_some_and(|at| at <= now)
    }

    pub(super) fn next(&self) -> Option<Time> {
        self.0.iter().flatten().copied().min()
    }
}
