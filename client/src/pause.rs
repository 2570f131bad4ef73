//! Waiting between two looks at something that cannot wake us: another process, a port that opens, a server that
//! comes back, the next tick of a paced load. Inside this process, threads wake each other by channels instead.

use std::time::{Duration, Instant};

/// Waits for the whole duration.
pub(crate) fn pause(duration: Duration) {
    let end = Instant::now() + duration;
    while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        std::thread::park_timeout(left);
    }
}

/// Looks until the answer is there or the time is up. The steps grow from `first` to a hundred milliseconds.
pub(crate) fn poll_until<T>(
    deadline: Instant,
    first: Duration,
    mut look: impl FnMut() -> Option<T>,
) -> Option<T> {
    let mut step = first;
    loop {
        if let Some(answer) = look() {
            return Some(answer);
        }
        let left = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
        pause(step.min(left));
        step = (step * 2).min(Duration::from_millis(100));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polling_ends_with_the_answer_or_the_time() {
        let mut looks = 0;
        let deadline = Instant::now() + Duration::from_secs(10);
        let answer = poll_until(deadline, Duration::from_millis(1), || {
            looks += 1;
            (looks == 3).then_some(looks)
        });
        assert_eq!(answer, Some(3));
        let deadline = Instant::now() + Duration::from_millis(5);
        assert_eq!(poll_until(deadline, Duration::from_millis(1), || None::<()>), None);
    }
}
