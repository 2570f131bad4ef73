//! Waiting for a condition of another process, which cannot wake us: look, pause, look again, give up loudly.

use std::time::{Duration, Instant};

/// Between two looks.
const STEP: Duration = Duration::from_millis(20);
/// What a condition of a local cluster may take on a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Looks until there is an answer.
///
/// # Panics
/// If there is none after `limit`; `what` says what was waited for.
pub fn within<T>(limit: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(answer) = look() {
            return answer;
        }
        assert!(begin.elapsed() < limit, "waited {limit:?} in vain for: {what}");
        pause(STEP);
    }
}

/// [`within`] the usual patience.
pub fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, what, look)
}

/// Lets time pass between two looks; nothing may depend on its length.
pub fn pause(duration: Duration) {
    let end = Instant::now() + duration;
    while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        std::thread::park_timeout(left);
    }
}
