//! The lock of `fsync`: while it is held, writes wait at the door. Whoever takes it waits for the writes that are inside.
//! Costs a write two atomic additions and no allocation.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use types::{Code, Fault};

/// One more holder of the lock; the low half counts the writes that are inside.
const HOLDER: u64 = 1 << 32;
/// How often a waiting write looks whether it was killed.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Holders of the lock and writes inside.
#[derive(Debug, Default)]
pub struct WriteLock {
    state: AtomicU64,
    changed: Notify,
}

impl WriteLock {
    /// Lets a write in once nobody holds the lock.
    ///
    /// # Errors
    /// `MaxTimeMSExpired` (50), `Interrupted` (11601).
    pub async fn enter(
        self: &Arc<Self>,
        deadline: Option<Instant>,
        killed: &AtomicBool,
    ) -> Result<Writing, Fault> {
        loop {
            if !self.is_locked() {
                let state = self.state.fetch_add(1, Ordering::AcqRel);
                // From here on whoever locks sees this write.
                let writing = Writing { lock: Arc::clone(self) };
                if state < HOLDER {
                    return Ok(writing);
                }
            }
            // Nothing that a waiting write does may wake another one, or they would wake each other for ever.
            let changed = self.changed.notified();
            if self.is_locked() {
                let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
                let pause = left.map_or(LOOK_EVERY, |left| left.min(LOOK_EVERY));
                // The result does not matter: the lock is looked at again either way.
                drop(tokio::time::timeout(pause, changed).await);
            }
            if killed.load(Ordering::Relaxed) {
                return Err(Fault::new(Code::Interrupted, "operation was interrupted"));
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Err(Fault::new(Code::MaxTimeMSExpired, "operation exceeded time limit"));
            }
        }
    }

    /// Takes the lock once more and waits for the writes that are inside. How often it is held now.
    ///
    /// # Errors
    /// `LockTimeout` (24) where a write stays inside for too long; the lock is not taken then.
    pub async fn lock(&self, bound: Duration) -> Result<u32, Fault> {
        let held = self.state.fetch_add(HOLDER, Ordering::AcqRel) + HOLDER;
        let empty = async {
            while !self.state.load(Ordering::Acquire).is_multiple_of(HOLDER) {
                drop(tokio::time::timeout(LOOK_EVERY, self.changed.notified()).await);
            }
        };
        if tokio::time::timeout(bound, empty).await.is_err() {
            self.release();
            return Err(Fault::new(
                Code::LockTimeout,
                format!("writes that run did not end within {} ms", bound.as_millis()),
            ));
        }
        Ok((held / HOLDER) as u32)
    }

    /// Gives the lock back once. How often it is still held; `None` where nobody held it.
    pub fn unlock(&self) -> Option<u32> {
        self.release().map(|state| (state / HOLDER) as u32)
    }

    fn release(&self) -> Option<u64> {
        let less = |state: u64| state.checked_sub(HOLDER);
        let before = self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, less).ok()?;
        self.changed.notify_waiters();
        Some(before - HOLDER)
    }

    /// Whether somebody holds the lock.
    pub fn is_locked(&self) -> bool {
        self.state.load(Ordering::Acquire) >= HOLDER
    }
}

/// A write that is inside until this is dropped.
#[derive(Debug)]
pub struct Writing {
    lock: Arc<WriteLock>,
}

impl Drop for Writing {
    fn drop(&mut self) {
        if self.lock.state.fetch_sub(1, Ordering::AcqRel) > HOLDER {
            self.lock.changed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[tokio::test]
    async fn writes_wait_while_it_is_held_and_it_waits_for_writes() {
        let lock = Arc::new(WriteLock::default());
        let alive = AtomicBool::new(false);
        let inside = lock.enter(None, &alive).await.unwrap();
        assert!(!lock.is_locked());
        let mut locking = Box::pin(lock.lock(Duration::from_secs(5)));
        assert!(locking.as_mut().now_or_never().is_none(), "a write is inside");
        drop(inside);
        assert_eq!(locking.await, Ok(1));
        assert_eq!(lock.lock(Duration::from_secs(5)).await, Ok(2));
        let mut waiting = Box::pin(lock.enter(None, &alive));
        assert!(waiting.as_mut().now_or_never().is_none());
        assert_eq!((lock.unlock(), lock.is_locked()), (Some(1), true));
        assert!(waiting.as_mut().now_or_never().is_none());
        assert_eq!((lock.unlock(), lock.is_locked()), (Some(0), false));
        let inside = waiting.await.unwrap();
        assert_eq!(lock.unlock(), None);
        let late = lock.lock(Duration::from_millis(10)).await.unwrap_err();
        assert_eq!((late.code, lock.is_locked()), (Code::LockTimeout, false));
        drop(inside);
        let killed = AtomicBool::new(true);
        assert_eq!(lock.lock(Duration::from_secs(5)).await, Ok(1));
        assert_eq!(lock.enter(None, &killed).await.unwrap_err().code, Code::Interrupted);
        let over = Some(Instant::now());
        assert_eq!(lock.enter(over, &alive).await.unwrap_err().code, Code::MaxTimeMSExpired);
    }
}
