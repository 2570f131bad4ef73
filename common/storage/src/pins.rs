//! Which times are being read, and the floor: the oldest time that may still be read.
//! The floor only rises, and never past a pinned time; a version that a reader at the floor cannot see may go.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};
use types::Timestamp;

/// One read time that is held.
#[derive(Debug)]
pub(crate) struct Pin {
    pub at: Timestamp,
    id: u64,
    expired: AtomicBool,
    registry: Arc<Registry>,
}

impl Pin {
    /// Whether the registry took the pin back; what was read is not to be trusted then.
    pub(crate) fn expired(&self) -> bool {
        self.expired.load(Ordering::Acquire)
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.registry.inner.lock().pinned.remove(&(self.at, self.id));
    }
}

#[derive(Debug, Default)]
struct Inner {
    pinned: BTreeMap<(Timestamp, u64), (Instant, Weak<Pin>)>,
    next_id: u64,
    floor: Timestamp,
    /// A checkpoint that is running needs every newest version up to its time.
    checkpoint: Option<Timestamp>,
}

/// All pins.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    inner: Mutex<Inner>,
    committed: AtomicU64,
}

impl Registry {
    /// The newest committed time: whoever reads at it sees everything before it.
    pub(crate) fn committed(&self) -> Timestamp {
        Timestamp(self.committed.load(Ordering::Acquire))
    }

    /// Publishes a commit. Only the commit section does.
    pub(crate) fn set_committed(&self, at: Timestamp) {
        self.committed.store(at.0, Ordering::Release);
    }

    pub(crate) fn floor(&self) -> Timestamp {
        self.inner.lock().floor
    }

    /// Starts a floor after recovery.
    pub(crate) fn set_floor(&self, floor: Timestamp) {
        self.inner.lock().floor = floor;
    }

    /// Pins the newest committed time.
    pub(crate) fn pin_latest(self: &Arc<Registry>) -> Arc<Pin> {
        let mut inner = self.inner.lock();
        let at = self.committed();
        self.pin(&mut inner, at)
    }

    /// Pins a time between the floor and the newest commit.
    ///
    /// # Errors
    /// Floor and newest time, if `at` is outside.
    pub(crate) fn pin_at(self: &Arc<Registry>, at: Timestamp) -> Result<Arc<Pin>, (Timestamp, Timestamp)> {
        let mut inner = self.inner.lock();
        let newest = self.committed();
        if at < inner.floor || at > newest {
            return Err((inner.floor, newest));
        }
        Ok(self.pin(&mut inner, at))
    }

    fn pin(self: &Arc<Registry>, inner: &mut Inner, at: Timestamp) -> Arc<Pin> {
        let id = inner.next_id;
        inner.next_id += 1;
        let pin = Arc::new(Pin { at, id, expired: AtomicBool::new(false), registry: self.clone() });
        inner.pinned.insert((at, id), (Instant::now(), Arc::downgrade(&pin)));
        pin
    }

    /// Raises the floor towards `wanted`, no further than the oldest pin and the newest commit, and returns it.
    /// The log may have synced a commit that is still being published: to go there would let half of it pass for all.
    pub(crate) fn raise_floor(&self, wanted: Timestamp) -> Timestamp {
        self.raise(&mut self.inner.lock(), wanted)
    }

    fn raise(&self, inner: &mut Inner, wanted: Timestamp) -> Timestamp {
        let oldest = inner.pinned.keys().next().map_or(Timestamp::MAX, |(at, _)| *at);
        inner.floor = inner.floor.max(wanted.min(oldest).min(self.committed()));
        inner.floor
    }

    /// Raises the floor, whatever is pinned: nothing before it can be read any more.
    pub(crate) fn raise_floor_to(&self, floor: Timestamp) {
        let mut inner = self.inner.lock();
        inner.floor = inner.floor.max(floor);
    }

    /// Up to where superseded versions may be dropped now: the floor, or the time of a running checkpoint if that is lower.
    pub(crate) fn prune_limit(&self) -> Timestamp {
        let inner = self.inner.lock();
        inner.checkpoint.map_or(inner.floor, |at| at.min(inner.floor))
    }

    /// Raises the floor and marks it as the time of a running checkpoint, in one step: in between, versions that the
    /// checkpoint needs could be pruned. `None` when that is no later than `done`.
    pub(crate) fn begin_checkpoint(&self, wanted: Timestamp, done: Timestamp) -> Option<Timestamp> {
        let mut inner = self.inner.lock();
        let at = self.raise(&mut inner, wanted);
        inner.checkpoint = (at > done).then_some(at);
        inner.checkpoint
    }

    /// Ends what [`Registry::begin_checkpoint`] began.
    pub(crate) fn end_checkpoint(&self) {
        self.inner.lock().checkpoint = None;
    }

    /// Takes back pins older than `age_max` and says how many.
    pub(crate) fn expire(&self, age_max: Duration) -> usize {
        let mut expired = Vec::new();
        let mut inner = self.inner.lock();
        inner.pinned.retain(|_, (since, pin)| {
            let keep = since.elapsed() < age_max;
            if !keep && let Some(pin) = pin.upgrade() {
                // Flag before the floor can rise: whoever reads checks it after the read.
                pin.expired.store(true, Ordering::Release);
                expired.push(pin);
            }
            keep
        });
        // A pin's drop takes the same lock.
        drop(inner);
        expired.len()
    }

    /// Goes back to `to`: pins after it are taken back, and nobody can pin a later time until it is committed again.
    /// The caller holds a pin at `to`, and the commit section.
    pub(crate) fn roll_back(&self, to: Timestamp) {
        let mut expired = Vec::new();
        let mut inner = self.inner.lock();
        self.set_committed(to);
        inner.pinned.retain(|(at, _), (_, pin)| {
            let keep = *at <= to;
            if !keep && let Some(pin) = pin.upgrade() {
                pin.expired.store(true, Ordering::Release);
                expired.push(pin);
            }
            keep
        });
        // A pin's drop takes the same lock.
        drop(inner);
    }

    /// The oldest time that somebody reads now, or the newest commit.
    pub(crate) fn oldest_read(&self) -> Timestamp {
        let inner = self.inner.lock();
        let committed = self.committed();
        inner.pinned.keys().next().map_or(committed, |(at, _)| committed.min(*at))
    }

    /// Number of pins and the oldest.
    pub(crate) fn oldest(&self) -> (usize, Option<Timestamp>) {
        let inner = self.inner.lock();
        (inner.pinned.len(), inner.pinned.keys().next().map(|(at, _)| *at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floor_stays_below_pins_and_commits() {
        let registry = Arc::new(Registry::default());
        registry.set_committed(Timestamp(5));
        assert_eq!(registry.raise_floor(Timestamp(9)), Timestamp(5));
        let pin = registry.pin_latest();
        registry.set_committed(Timestamp(9));
        assert_eq!(registry.raise_floor(Timestamp(8)), Timestamp(5));
        assert!(registry.pin_at(Timestamp(4)).is_err());
        assert!(registry.pin_at(Timestamp(10)).is_err());
        drop(pin);
        assert_eq!(registry.raise_floor(Timestamp(8)), Timestamp(8));
        assert_eq!(registry.raise_floor(Timestamp(7)), Timestamp(8));
        let held = registry.pin_at(Timestamp(8)).unwrap();
        assert_eq!((registry.expire(Duration::ZERO), held.expired()), (1, true));
        assert_eq!(registry.raise_floor(Timestamp(9)), Timestamp(9));
    }
}
