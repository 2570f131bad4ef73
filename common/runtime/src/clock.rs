//! The only place that reads the wall clock. Ordering never comes from it: that is what [`HybridClock`] is for.
//! Spans of time are measured by [`now`], the clock of the tasks' runtime, which a simulation holds and moves.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use types::Timestamp;

/// Milliseconds since 1970, by the wall clock.
#[allow(clippy::disallowed_methods)]
pub fn now_millis() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX)
}

/// The time by which tasks sleep and deadlines pass. In a simulation it stands still while anybody works.
pub fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Seconds since 1970, by the wall clock.
fn now_seconds() -> u32 {
    u32::try_from(now_millis() / 1000).unwrap_or(u32::MAX)
}

/// A hybrid logical clock: follows the wall clock's seconds, never goes back, counts within a second.
#[derive(Debug, Default)]
pub struct HybridClock {
    latest: AtomicU64,
}

impl HybridClock {
    /// A clock that is at or past `latest`.
    pub fn starting_at(latest: Timestamp) -> HybridClock {
        HybridClock { latest: AtomicU64::new(latest.0) }
    }

    /// The next timestamp, greater than all before and all observed.
    pub fn tick(&self) -> Timestamp {
        let wall = Timestamp::new(now_seconds(), 0);
        let mut latest = self.latest.load(Ordering::Relaxed);
        loop {
            let next = (latest + 1).max(wall.0 + 1);
            match self.latest.compare_exchange_weak(latest, next, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return Timestamp(next),
                Err(seen) => latest = seen,
            }
        }
    }

    /// Moves the clock forward to a time that another process has seen.
    pub fn observe(&self, seen: Timestamp) {
        self.latest.fetch_max(seen.0, Ordering::AcqRel);
    }

    /// The highest time seen so far; zero before the first.
    pub fn latest(&self) -> Timestamp {
        Timestamp(self.latest.load(Ordering::Acquire))
    }
}

/// How far ahead of our wall clock a cluster time may be before it is taken for an error, in seconds: a year, as MongoDB has it.
const AHEAD_SECONDS_MAX: u32 = 365 * 24 * 60 * 60;

/// Refuses a cluster time from outside that would push the clock unreasonably far ahead.
///
/// # Errors
/// `ClusterTimeFailsRateLimiter` (205).
pub fn check_ahead(seen: Timestamp) -> Result<(), types::Fault> {
    if seen.seconds() > now_seconds().saturating_add(AHEAD_SECONDS_MAX) {
        return Err(types::Fault::new(
            types::Code::ClusterTimeFailsRateLimiter,
            format!("New cluster time, {}, is too far from this node's wall clock time", seen.seconds()),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_rise_and_pass_what_was_observed() {
        let clock = HybridClock::default();
        let first = clock.tick();
        let second = clock.tick();
        assert!(second > first);
        let ahead = Timestamp::new(second.seconds() + 100, 7);
        clock.observe(ahead);
        assert_eq!(clock.tick(), ahead.next());
    }
}
