//! Points in the history of the data.

use std::fmt;

/// A BSON timestamp as one number: seconds since 1970 in the high half, a counter in the low half.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// Before everything.
    pub const ZERO: Timestamp = Timestamp(0);
    /// After everything.
    pub const MAX: Timestamp = Timestamp(u64::MAX);

    /// From seconds and counter.
    pub fn new(seconds: u32, increment: u32) -> Timestamp {
        Timestamp((u64::from(seconds) << 32) | u64::from(increment))
    }

    /// Seconds since 1970.
    pub fn seconds(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// The counter within the second.
    pub fn increment(self) -> u32 {
        self.0 as u32
    }

    /// The next possible timestamp.
    #[must_use]
    pub fn next(self) -> Timestamp {
        Timestamp(self.0.saturating_add(1))
    }
}

impl From<bson::Timestamp> for Timestamp {
    fn from(ts: bson::Timestamp) -> Timestamp {
        Timestamp::new(ts.time, ts.increment)
    }
}

impl From<Timestamp> for bson::Timestamp {
    fn from(ts: Timestamp) -> bson::Timestamp {
        bson::Timestamp { time: ts.seconds(), increment: ts.increment() }
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Timestamp({}, {})", self.seconds(), self.increment())
    }
}

/// The place of an entry in the replicated log: the term first, then the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct OpTime {
    pub ts: Timestamp,
    /// The term of the primary that wrote the entry; -1 before the first election.
    pub term: i64,
}

impl Ord for OpTime {
    fn cmp(&self, other: &OpTime) -> std::cmp::Ordering {
        (self.term, self.ts).cmp(&(other.term, other.ts))
    }
}

impl PartialOrd for OpTime {
    fn partial_cmp(&self, other: &OpTime) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for OpTime {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{{ ts: {}, t: {} }}", self.ts, self.term)
    }
}
