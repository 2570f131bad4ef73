//! Forgets sessions and cursors whose time is over. The caller runs it as one of its tasks.

use crate::{Cursors, Sessions};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use types::SessionId;

/// How often the reaper looks.
pub const REAP_INTERVAL: Duration = Duration::from_secs(10);

/// Closes what has expired.
#[derive(Debug)]
pub struct Reaper<T> {
    sessions: Arc<Sessions>,
    cursors: Arc<Cursors<T>>,
}

/// What the reaper found.
#[derive(Debug)]
pub struct Reaped<T> {
    /// Sessions that ended; their cursors are among `cursors`.
    pub sessions: Vec<SessionId>,
    /// What the closed cursors held.
    pub cursors: Vec<T>,
}

impl<T> Reaper<T> {
    /// A reaper of both tables.
    pub fn new(sessions: Arc<Sessions>, cursors: Arc<Cursors<T>>) -> Reaper<T> {
        Reaper { sessions, cursors }
    }

    /// Looks once.
    pub fn step(&self, now: Instant) -> Reaped<T> {
        let sessions = self.sessions.reap(now);
        let mut cursors = self.cursors.kill_sessions(&sessions);
        cursors.append(&mut self.cursors.reap(now));
        Reaped { sessions, cursors }
    }

    /// Looks every [`REAP_INTERVAL`] until the token is cancelled; `dispose` gets what was closed.
    pub async fn run(self, token: CancellationToken, mut dispose: impl FnMut(Reaped<T>) + Send)
    where
        T: Send,
    {
        let mut ticks = tokio::time::interval(REAP_INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = token.cancelled() => return,
                now = ticks.tick() => {
                    let reaped = self.step(now.into_std());
                    if !reaped.sessions.is_empty() || !reaped.cursors.is_empty() {
                        tracing::debug!(
                            sessions = reaped.sessions.len(), cursors = reaped.cursors.len(), "closed what was not used"
                        );
                        dispose(reaped);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::{Namespace, Uuid};

    #[test]
    fn a_session_takes_its_cursors_along() {
        let sessions = Arc::new(Sessions::default());
        let cursors = Arc::new(Cursors::default());
        let reaper = Reaper::new(Arc::clone(&sessions), Arc::clone(&cursors));
        let start = Instant::now();
        let id = SessionId(Uuid([1; 16]));
        sessions.touch(id, start).unwrap();
        cursors.insert_without_timeout(Namespace::parse("d.c").unwrap(), Some(id), 5).unwrap();
        assert!(reaper.step(start + Duration::from_secs(29 * 60)).cursors.is_empty());
        let reaped = reaper.step(start + Duration::from_secs(30 * 60));
        assert_eq!((reaped.sessions, reaped.cursors), (vec![id], vec![5]));
    }
}
