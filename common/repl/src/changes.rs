//! A value that changes, and those who wait for it. As tokio's `watch`, but those who wait are woken in the order in which they began
//! to; tokio spreads them by chance over several lists, and a simulation with chance of its own in it replays nothing.

use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::Notify;

/// It will not change any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Closed;

#[derive(Debug)]
struct State<T> {
    value: T,
    version: u64,
    is_closed: bool,
}

#[derive(Debug)]
struct Inner<T> {
    state: Mutex<State<T>>,
    changed: Notify,
}

/// Where it is changed; gone, it is closed.
#[derive(Debug)]
pub(crate) struct Sender<T>(Arc<Inner<T>>);

/// Where it is waited for.
#[derive(Debug, Clone)]
pub(crate) struct Receiver<T> {
    inner: Arc<Inner<T>>,
    seen: u64,
}

impl<T: Copy> Sender<T> {
    pub(crate) fn new(value: T) -> Sender<T> {
        let state = Mutex::new(State { value, version: 0, is_closed: false });
        Sender(Arc::new(Inner { state, changed: Notify::new() }))
    }

    pub(crate) fn get(&self) -> T {
        self.0.state.lock().value
    }

    /// Sets it; who waits is woken even if it is what it was.
    pub(crate) fn set(&self, value: T) {
        self.change(|old| {
            *old = value;
            true
        });
    }

    /// Changes it if `change` says so, and tells whether it did.
    pub(crate) fn change(&self, change: impl FnOnce(&mut T) -> bool) -> bool {
        {
            let mut state = self.0.state.lock();
            if !change(&mut state.value) {
                return false;
            }
            state.version += 1;
        }
        self.0.changed.notify_waiters();
        true
    }

    /// Waits for what comes after now.
    pub(crate) fn subscribe(&self) -> Receiver<T> {
        Receiver { inner: self.0.clone(), seen: self.0.state.lock().version }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.0.state.lock().is_closed = true;
        self.0.changed.notify_waiters();
    }
}

impl<T: Copy> Receiver<T> {
    /// What it is now; `changed` speaks of what comes after.
    pub(crate) fn take(&mut self) -> T {
        let state = self.inner.state.lock();
        self.seen = state.version;
        state.value
    }

    /// Ends when it was changed since it was last looked at.
    pub(crate) async fn changed(&mut self) -> Result<(), Closed> {
        loop {
            let notified = self.inner.changed.notified();
            tokio::pin!(notified);
            // In line before looking: no change falls between.
            notified.as_mut().enable();
            {
                let state = self.inner.state.lock();
                if state.version != self.seen {
                    self.seen = state.version;
                    return Ok(());
                }
                if state.is_closed {
                    return Err(Closed);
                }
            }
            notified.await;
        }
    }

    /// Ends when it is as wanted.
    pub(crate) async fn wait_for(&mut self, is_wanted: impl Fn(&T) -> bool) -> Result<T, Closed> {
        loop {
            let value = self.take();
            if is_wanted(&value) {
                return Ok(value);
            }
            self.changed().await?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[tokio::test]
    async fn who_waits_hears_of_every_change_and_of_the_end() {
        let sender = Sender::new(1);
        let mut receiver = sender.subscribe();
        assert!(receiver.changed().now_or_never().is_none());
        sender.set(2);
        assert_eq!(receiver.changed().now_or_never(), Some(Ok(())));
        assert!(receiver.changed().now_or_never().is_none());
        assert!(!sender.change(|_| false));
        assert!(receiver.changed().now_or_never().is_none());
        let waiting = tokio_util::task::TaskTracker::new();
        let (heard, mut order) = tokio::sync::mpsc::unbounded_channel();
        for one in 0..100 {
            let (mut receiver, heard) = (sender.subscribe(), heard.clone());
            waiting.spawn(async move {
                assert_eq!(receiver.wait_for(|value| *value == 3).await, Ok(3));
                heard.send(one).unwrap();
                assert_eq!(receiver.changed().await, Err(Closed));
            });
        }
        for value in [7, 3] {
            // All of them are in line again.
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            sender.set(value);
        }
        for one in 0..100 {
            assert_eq!(order.recv().await, Some(one));
        }
        drop(sender);
        waiting.close();
        waiting.wait().await;
    }
}
