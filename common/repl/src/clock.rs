//! The process's one clock, as storage asks for it.

use runtime::clock::{HybridClock, now_millis};
use std::sync::Arc;
use types::Timestamp;

/// Gives commits their times out of the cluster's hybrid clock, so that a write is later than all that the process has heard of.
#[derive(Debug, Clone)]
pub struct StoreClock(pub Arc<HybridClock>);

impl storage::Clock for StoreClock {
    fn wall_millis(&self) -> i64 {
        now_millis()
    }

    fn tick(&self, after: Timestamp) -> Timestamp {
        self.0.observe(after);
        self.0.tick()
    }
}
