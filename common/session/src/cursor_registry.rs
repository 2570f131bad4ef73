//! The cursors that wait for their next batch.
//! A cursor is in the registry, or taken by exactly one getMore; a taken one that is not put back is gone.
//! What a cursor holds is dropped outside the lock, and handed to whoever closes it, who may have remote ends to close.

use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use types::{Code, Fault, Namespace, SessionId, limits};

/// Open cursors of one session; ours. Far above what a client needs, far below the total.
pub const SESSION_CURSOR_COUNT_MAX: usize = 20_000;

/// The open cursors of a process. `T` is what yields the documents.
#[derive(Debug)]
pub struct Cursors<T> {
    state: Mutex<State<T>>,
    options: Options,
    timed_out: AtomicU64,
    opened: AtomicU64,
}

/// The bounds of a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Open cursors, taken ones included.
    pub count_max: usize,
    pub session_count_max: usize,
    /// A cursor that nobody asked for so long is closed.
    pub idle_max: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            count_max: limits::CURSOR_COUNT_MAX,
            session_count_max: SESSION_CURSOR_COUNT_MAX,
            idle_max: Duration::from_secs(limits::CURSOR_IDLE_SECONDS_MAX),
        }
    }
}

#[derive(Debug)]
struct State<T> {
    open: HashMap<i64, Entry<T>>,
    /// How many cursors each session has: most sessions have none, and then ending them needs no search.
    by_session: HashMap<SessionId, usize>,
}

#[derive(Debug)]
struct Entry<T> {
    ns: Namespace,
    session: Option<SessionId>,
    no_timeout: bool,
    opened: Instant,
    last_use: Instant,
    /// Shared with whoever has the cursor.
    killed: Arc<AtomicBool>,
    /// `None` while it is taken.
    value: Option<T>,
}

/// A cursor, for currentOp and serverStatus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CursorInfo {
    pub id: i64,
    pub ns: Namespace,
    pub session: Option<SessionId>,
    pub no_timeout: bool,
    pub in_use: bool,
    pub opened: Instant,
    pub last_use: Instant,
}

/// What became of a cursor that was to be closed.
#[derive(Debug, PartialEq, Eq)]
pub enum Killed<T> {
    Closed(T),
    /// A getMore is running; it hears [`Taken::is_killed`], and putting the cursor back closes it.
    InUse,
    NotFound,
}

/// A cursor that is in use. Dropped without [`Taken::put_back`], it is closed.
#[derive(Debug)]
pub struct Taken<T> {
    registry: Arc<Cursors<T>>,
    id: i64,
    killed: Arc<AtomicBool>,
    /// `None` only once it was put back.
    value: Option<T>,
}

impl<T> Default for Cursors<T> {
    fn default() -> Cursors<T> {
        Cursors::new(Options::default())
    }
}

impl<T> Cursors<T> {
    /// An empty registry.
    pub fn new(options: Options) -> Cursors<T> {
        let state = State { open: HashMap::new(), by_session: HashMap::new() };
        Cursors { state: Mutex::new(state), options, timed_out: AtomicU64::new(0), opened: AtomicU64::new(0) }
    }

    /// Opens a cursor and gives its id: random, positive.
    ///
    /// # Errors
    /// `ResourceExhausted` (402) where too many are open, in all or in this session.
    pub fn insert(&self, ns: Namespace, session: Option<SessionId>, value: T) -> Result<i64, Fault> {
        self.open(ns, session, false, value, Instant::now())
    }

    /// As [`Cursors::insert`], for a cursor that does not time out by itself; it still ends with its session.
    ///
    /// # Errors
    /// As [`Cursors::insert`].
    pub fn insert_without_timeout(
        &self,
        ns: Namespace,
        session: Option<SessionId>,
        value: T,
    ) -> Result<i64, Fault> {
        // Without a session nothing would ever end it.
        self.open(ns, session, session.is_some(), value, Instant::now())
    }

    fn open(
        &self,
        ns: Namespace,
        session: Option<SessionId>,
        no_timeout: bool,
        value: T,
        now: Instant,
    ) -> Result<i64, Fault> {
        let mut state = self.state.lock();
        if state.open.len() >= self.options.count_max {
            return Err(Fault::new(
                Code::ResourceExhausted,
                format!("cannot open a new cursor: {} are open; close or exhaust some", state.open.len()),
            ));
        }
        if let Some(session) = session {
            let count = state.by_session.entry(session).or_insert(0);
            if *count >= self.options.session_count_max {
                return Err(Fault::new(
                    Code::ResourceExhausted,
                    format!("cannot open a new cursor: this session has {count} open; close or exhaust some"),
                ));
            }
            *count += 1;
        }
        let id = loop {
            let id = rand::random::<i64>() & i64::MAX;
            if id != 0 && !state.open.contains_key(&id) {
                break id;
            }
        };
        let entry = Entry {
            ns,
            session,
            no_timeout,
            opened: now,
            last_use: now,
            killed: Arc::default(),
            value: Some(value),
        };
        state.open.insert(id, entry);
        self.opened.fetch_add(1, Ordering::Relaxed);
        Ok(id)
    }

    /// Takes a cursor for one batch.
    ///
    /// # Errors
    /// `CursorNotFound` (43); `Unauthorized` (13) for another namespace; 50736 to 50738 for another session; `CursorInUse` (12051).
    pub fn take(
        self: &Arc<Self>,
        id: i64,
        ns: &Namespace,
        session: Option<SessionId>,
    ) -> Result<Taken<T>, Fault> {
        let mut state = self.state.lock();
        let entry = state
            .open
            .get_mut(&id)
            .filter(|entry| !entry.killed.load(Ordering::Relaxed))
            .ok_or_else(|| Fault::new(Code::CursorNotFound, format!("cursor id {id} not found")))?;
        if entry.ns != *ns {
            return Err(Fault::new(
                Code::Unauthorized,
                format!(
                    "Requested getMore on namespace '{ns}', but cursor belongs to a different namespace {}",
                    entry.ns
                ),
            ));
        }
        check_session(id, entry.session, session)?;
        let value = entry
            .value
            .take()
            .ok_or_else(|| Fault::new(Code::Location(12051), format!("cursor id {id} is already in use")))?;
        Ok(Taken { registry: Arc::clone(self), id, killed: Arc::clone(&entry.killed), value: Some(value) })
    }

    /// Closes one cursor of the namespace.
    pub fn kill(&self, id: i64, ns: &Namespace) -> Killed<T> {
        let mut state = self.state.lock();
        match state.open.get(&id) {
            Some(entry) if entry.ns == *ns && !entry.killed.load(Ordering::Relaxed) => state.kill(id),
            _ => Killed::NotFound,
        }
    }

    /// Closes the cursors of sessions that end. Those in use close when they are put back.
    pub fn kill_sessions(&self, sessions: &[SessionId]) -> Vec<T> {
        let sessions: HashSet<SessionId> = {
            let state = self.state.lock();
            sessions.iter().copied().filter(|session| state.by_session.contains_key(session)).collect()
        };
        if sessions.is_empty() {
            return Vec::new();
        }
        self.kill_where(|cursor| cursor.session.is_some_and(|session| sessions.contains(&session)))
    }

    /// Closes the cursors on a namespace, as when it is dropped.
    pub fn kill_namespace(&self, ns: &Namespace) -> Vec<T> {
        self.kill_where(|cursor| cursor.ns == *ns)
    }

    /// Closes all cursors.
    pub fn kill_all(&self) -> Vec<T> {
        self.kill_where(|_| true)
    }

    /// Closes the cursors that `which` picks; called under the lock, so it must be quick.
    pub fn kill_where(&self, which: impl Fn(&CursorInfo) -> bool) -> Vec<T> {
        let mut state = self.state.lock();
        let picked: Vec<i64> = state
            .open
            .iter()
            .map(|(id, entry)| entry.info(*id))
            .filter(|info| which(info))
            .map(|info| info.id)
            .collect();
        picked
            .into_iter()
            .filter_map(|id| match state.kill(id) {
                Killed::Closed(value) => Some(value),
                Killed::InUse | Killed::NotFound => None,
            })
            .collect()
    }

    /// Closes the cursors that nobody asked for too long.
    pub fn reap(&self, now: Instant) -> Vec<T> {
        let idle_max = self.options.idle_max;
        let closed = self.kill_where(|cursor| {
            !cursor.in_use && !cursor.no_timeout && now.saturating_duration_since(cursor.last_use) >= idle_max
        });
        self.timed_out.fetch_add(closed.len() as u64, Ordering::Relaxed);
        closed
    }

    /// All cursors, in no order.
    pub fn list(&self) -> Vec<CursorInfo> {
        self.state.lock().open.iter().map(|(id, entry)| entry.info(*id)).collect()
    }

    /// How many cursors are open, taken ones included.
    pub fn len(&self) -> usize {
        self.state.lock().open.len()
    }

    /// Whether no cursor is open.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many cursors were ever opened: `metrics.cursor.totalOpened`.
    pub fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    /// How many cursors were closed for idleness: `metrics.cursor.timedOut`.
    pub fn timed_out(&self) -> u64 {
        self.timed_out.load(Ordering::Relaxed)
    }
}

impl<T> State<T> {
    fn kill(&mut self, id: i64) -> Killed<T> {
        let Some(entry) = self.open.get_mut(&id) else { return Killed::NotFound };
        match entry.value.take() {
            Some(value) => {
                self.remove(id);
                Killed::Closed(value)
            }
            None => {
                entry.killed.store(true, Ordering::Relaxed);
                Killed::InUse
            }
        }
    }

    fn remove(&mut self, id: i64) -> Option<Entry<T>> {
        let entry = self.open.remove(&id)?;
        if let Some(session) = entry.session
            && let Some(count) = self.by_session.get_mut(&session)
        {
            *count -= 1;
            if *count == 0 {
                self.by_session.remove(&session);
            }
        }
        Some(entry)
    }
}

impl<T> Entry<T> {
    fn info(&self, id: i64) -> CursorInfo {
        CursorInfo {
            id,
            ns: self.ns.clone(),
            session: self.session,
            no_timeout: self.no_timeout,
            in_use: self.value.is_none(),
            opened: self.opened,
            last_use: self.last_use,
        }
    }
}

impl<T> Taken<T> {
    /// The cursor's id.
    pub fn id(&self) -> i64 {
        self.id
    }

    /// Whether the cursor was killed since it was taken: the work may stop.
    pub fn is_killed(&self) -> bool {
        self.killed.load(Ordering::Relaxed)
    }

    /// The flag behind [`Taken::is_killed`], for a loop that does not hold the cursor.
    pub fn killed_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.killed)
    }

    /// Gives the cursor back for the next batch. Where it was killed in the meantime it is closed instead, and its value
    /// returned for whatever else there is to close.
    pub fn put_back(mut self) -> Option<T> {
        let value = self.value.take()?;
        let mut state = self.registry.state.lock();
        if self.killed.load(Ordering::Relaxed) {
            state.remove(self.id);
            return Some(value);
        }
        match state.open.get_mut(&self.id) {
            Some(entry) => {
                entry.last_use = Instant::now();
                entry.value = Some(value);
                None
            }
            None => Some(value),
        }
    }

    /// Closes the cursor and gives what it held.
    pub fn close(mut self) -> Option<T> {
        let value = self.value.take();
        self.registry.state.lock().remove(self.id);
        value
    }
}

impl<T> Deref for Taken<T> {
    type Target = T;

    fn deref(&self) -> &T {
        match &self.value {
            Some(value) => value,
            None => unreachable!("the value leaves only when the taken cursor is consumed"),
        }
    }
}

impl<T> DerefMut for Taken<T> {
    fn deref_mut(&mut self) -> &mut T {
        match &mut self.value {
            Some(value) => value,
            None => unreachable!("the value leaves only when the taken cursor is consumed"),
        }
    }
}

impl<T> Drop for Taken<T> {
    fn drop(&mut self) {
        if self.value.is_some() {
            self.registry.state.lock().remove(self.id);
        }
    }
}

fn check_session(id: i64, opened: Option<SessionId>, asked: Option<SessionId>) -> Result<(), Fault> {
    let refuse = |code, reason: String| {
        Err(Fault::new(
            Code::Location(code),
            format!("Cannot run getMore on cursor {id}, which was {reason}"),
        ))
    };
    match (opened, asked) {
        (Some(opened), None) => refuse(50736, format!("created in session {}, without an lsid", opened.0)),
        (None, Some(asked)) => refuse(50737, format!("not created in a session, in session {}", asked.0)),
        (Some(opened), Some(asked)) if opened != asked => {
            refuse(50738, format!("created in session {}, in session {}", opened.0, asked.0))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::Uuid;

    const SMALL: Options = Options { count_max: 3, session_count_max: 2, idle_max: Duration::from_secs(600) };

    fn ns(name: &str) -> Namespace {
        Namespace::parse(name).unwrap()
    }

    fn session(number: u8) -> Option<SessionId> {
        Some(SessionId(Uuid([number; 16])))
    }

    #[test]
    fn a_cursor_is_taken_by_one_at_a_time() {
        let cursors = Arc::new(Cursors::new(SMALL));
        let id = cursors.insert(ns("d.c"), session(1), 7).unwrap();
        assert!(id > 0);
        let mut taken = cursors.take(id, &ns("d.c"), session(1)).unwrap();
        *taken += 1;
        assert_eq!(cursors.take(id, &ns("d.c"), session(1)).unwrap_err().code.number(), 12051);
        assert_eq!(taken.put_back(), None);
        let rows = [
            (id + 1, "d.c", session(1), 43),
            (id, "d.other", session(1), 13),
            (id, "d.c", None, 50736),
            (id, "d.c", session(2), 50738),
        ];
        for (id, name, session, code) in rows {
            assert_eq!(cursors.take(id, &ns(name), session).unwrap_err().code.number(), code);
        }
        drop(cursors.take(id, &ns("d.c"), session(1)).unwrap());
        assert!(cursors.is_empty(), "not put back is closed");
    }

    #[test]
    fn a_killed_cursor_ends_where_it_is() {
        let cursors = Arc::new(Cursors::new(SMALL));
        let id = cursors.insert(ns("d.c"), None, "x").unwrap();
        assert_eq!(cursors.kill(id, &ns("d.other")), Killed::NotFound);
        let taken = cursors.take(id, &ns("d.c"), None).unwrap();
        assert_eq!(cursors.kill(id, &ns("d.c")), Killed::InUse);
        assert_eq!(cursors.kill(id, &ns("d.c")), Killed::NotFound);
        assert!(taken.is_killed());
        assert_eq!(taken.put_back(), Some("x"));
        assert!(cursors.is_empty());
        let id = cursors.insert(ns("d.c"), None, "y").unwrap();
        assert_eq!(cursors.kill(id, &ns("d.c")), Killed::Closed("y"));
        assert_eq!(cursors.take(id, &ns("d.c"), None).unwrap_err().code, Code::CursorNotFound);
    }

    #[test]
    fn cursors_are_bounded_and_end_with_their_session() {
        let cursors = Arc::new(Cursors::new(SMALL));
        let open = |number: u8| cursors.insert(ns("d.c"), session(number), number);
        let first = open(1).unwrap();
        open(1).unwrap();
        assert_eq!(open(1).unwrap_err().code, Code::ResourceExhausted);
        open(2).unwrap();
        assert_eq!(open(3).unwrap_err().code, Code::ResourceExhausted);
        let taken = cursors.take(first, &ns("d.c"), session(1)).unwrap();
        assert_eq!(cursors.kill_sessions(&[SessionId(Uuid([1; 16])), SessionId(Uuid([9; 16]))]), [1]);
        assert_eq!(taken.put_back(), Some(1));
        assert_eq!(cursors.list().iter().map(|info| info.session).collect::<Vec<_>>(), [session(2)]);
        assert_eq!(cursors.kill_namespace(&ns("d.c")), [2]);
        assert_eq!(cursors.opened(), 3);
        assert!(cursors.state.lock().by_session.is_empty());
    }

    #[test]
    fn idle_cursors_are_closed() {
        let cursors = Arc::new(Cursors::new(SMALL));
        let start = Instant::now();
        cursors.insert(ns("d.c"), None, "idle").unwrap();
        cursors.insert_without_timeout(ns("d.c"), session(1), "kept").unwrap();
        let busy = cursors.insert(ns("d.c"), None, "busy").unwrap();
        let taken = cursors.take(busy, &ns("d.c"), None).unwrap();
        assert!(cursors.reap(start + Duration::from_secs(599)).is_empty());
        assert_eq!(cursors.reap(start + Duration::from_secs(700)), ["idle"]);
        assert_eq!((cursors.timed_out(), cursors.len()), (1, 2));
        assert_eq!(taken.close(), Some("busy"));
    }
}
