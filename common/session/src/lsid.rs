//! The logical sessions that this process has seen. Any command with an `lsid` starts or refreshes its session;
//! one that nobody used for half an hour is forgotten.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use types::{Code, Fault, SessionId, limits};

/// Locks over which the sessions are spread: every command with an `lsid` takes one of them.
const STRIPE_COUNT: usize = 16;

/// The table of sessions.
#[derive(Debug)]
pub struct Sessions {
    stripes: Box<[Mutex<HashMap<SessionId, Entry>>]>,
    hasher: RandomState,
    count: AtomicUsize,
    count_max: usize,
    timeout: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    started: Instant,
    last_use: Instant,
}

/// A session, for `$listLocalSessions`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionInfo {
    pub id: SessionId,
    pub started: Instant,
    pub last_use: Instant,
}

impl Default for Sessions {
    fn default() -> Sessions {
        let minutes = u64::try_from(limits::SESSION_TIMEOUT_MINUTES).unwrap_or(30);
        Sessions::new(limits::SESSION_COUNT_MAX, Duration::from_secs(60 * minutes))
    }
}

impl Sessions {
    /// A table of at most `count_max` sessions, each forgotten when it was not used for `timeout`.
    pub fn new(count_max: usize, timeout: Duration) -> Sessions {
        let stripes = (0..STRIPE_COUNT).map(|_| Mutex::default()).collect();
        Sessions { stripes, hasher: RandomState::new(), count: AtomicUsize::new(0), count_max, timeout }
    }

    /// Notes that the session is in use; starts it where it is new.
    ///
    /// # Errors
    /// `TooManyLogicalSessions` (261) where the table is full, even after the expired ones are gone.
    pub fn touch(&self, id: SessionId, now: Instant) -> Result<(), Fault> {
        if self.refresh_known(id, now) {
            return Ok(());
        }
        if self.count.load(Ordering::Relaxed) >= self.count_max && self.reap(now).is_empty() {
            return Err(Fault::new(
                Code::TooManyLogicalSessions,
                format!(
                    "Unable to add session {} because the total number of active sessions is too high",
                    id.0
                ),
            ));
        }
        let entry = Entry { started: now, last_use: now };
        if self.stripe(id).lock().insert(id, entry).is_none() {
            self.count.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// `refreshSessions`: as [`Sessions::touch`] for each.
    ///
    /// # Errors
    /// As [`Sessions::touch`]; those before the refused one are refreshed.
    pub fn refresh(&self, ids: &[SessionId], now: Instant) -> Result<(), Fault> {
        ids.iter().try_for_each(|id| self.touch(*id, now))
    }

    /// Ends sessions. The caller closes their cursors: [`crate::Cursors::kill_sessions`].
    pub fn end(&self, ids: &[SessionId]) {
        for id in ids {
            if self.stripe(*id).lock().remove(id).is_some() {
                self.count.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    /// Ends all sessions.
    pub fn end_all(&self) -> Vec<SessionId> {
        self.remove_where(|_| true)
    }

    /// Ends the sessions that nobody used for too long.
    pub fn reap(&self, now: Instant) -> Vec<SessionId> {
        self.remove_where(|entry| now.saturating_duration_since(entry.last_use) >= self.timeout)
    }

    /// Whether the session is known.
    pub fn contains(&self, id: SessionId) -> bool {
        self.stripe(id).lock().contains_key(&id)
    }

    /// How many sessions are known.
    pub fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Whether no session is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All sessions, in no order.
    pub fn list(&self) -> Vec<SessionInfo> {
        let mut list = Vec::with_capacity(self.len());
        for stripe in &self.stripes {
            let stripe = stripe.lock();
            list.extend(stripe.iter().map(|(id, entry)| SessionInfo {
                id: *id,
                started: entry.started,
                last_use: entry.last_use,
            }));
        }
        list
    }

    fn refresh_known(&self, id: SessionId, now: Instant) -> bool {
        match self.stripe(id).lock().get_mut(&id) {
            Some(entry) => {
                entry.last_use = entry.last_use.max(now);
                true
            }
            None => false,
        }
    }

    fn remove_where(&self, gone: impl Fn(&Entry) -> bool) -> Vec<SessionId> {
        let mut ids = Vec::new();
        for stripe in &self.stripes {
            let before = ids.len();
            ids.extend(stripe.lock().extract_if(|_, entry| gone(entry)).map(|(id, _)| id));
            self.count.fetch_sub(ids.len() - before, Ordering::Relaxed);
        }
        ids
    }

    fn stripe(&self, id: SessionId) -> &Mutex<HashMap<SessionId, Entry>> {
        // Clients choose the ids, so the spread must not be theirs to choose.
        let hash = self.hasher.hash_one(id);
        &self.stripes[(hash % STRIPE_COUNT as u64) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::Uuid;

    fn id(number: u8) -> SessionId {
        SessionId(Uuid([number; 16]))
    }

    #[test]
    fn sessions_start_refresh_and_end() {
        let sessions = Sessions::new(3, Duration::from_secs(60));
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        for number in 0..3 {
            sessions.touch(id(number), at(0)).unwrap();
        }
        assert_eq!(sessions.touch(id(9), at(1)).unwrap_err().code, Code::TooManyLogicalSessions);
        sessions.refresh(&[id(1)], at(30)).unwrap();
        assert_eq!(sessions.len(), 3);
        // At the cap, room is made by what has expired.
        sessions.touch(id(9), at(60)).unwrap();
        assert!(sessions.contains(id(1)) && sessions.contains(id(9)) && !sessions.contains(id(0)));
        sessions.end(&[id(1), id(77)]);
        assert_eq!(sessions.list().iter().map(|info| info.id).collect::<Vec<_>>(), [id(9)]);
        assert!(sessions.reap(at(119)).is_empty());
        assert_eq!(sessions.reap(at(120)), [id(9)]);
        assert!(sessions.is_empty());
        sessions.touch(id(1), at(121)).unwrap();
        assert_eq!((sessions.end_all(), sessions.len()), (vec![id(1)], 0));
    }
}
