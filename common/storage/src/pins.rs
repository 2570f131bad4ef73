//! Which times are being read, and the floor: the oldest time that may still be read.
//! The floor only rises, and never past a pinned time; a version that a reader at the floor cannot see may go.
//!
//! Every read pins, so a pin is one slot that is taken with one atomic operation; only where all are taken does it go through the
//! lock. Whoever raises the floor first says how far it wants to, then looks at the slots; whoever pins first takes a slot, then
//! looks whether somebody wants past it. So one of the two sees the other.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::atomic::{Ordering::Acquire, Ordering::Relaxed, Ordering::Release};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};
use types::Timestamp;

const SLOTS: usize = 128;
/// Slots that are tried before the lock is taken.
const TRIES: usize = 8;
/// In a slot instead of a time.
const FREE: u64 = u64::MAX;
const EXPIRED: u64 = u64::MAX - 1;
/// Since when: not known yet.
const JUST_NOW: u64 = u64::MAX;

/// On a cache line of its own.
#[derive(Debug)]
#[repr(align(64))]
struct Slot {
    at: AtomicU64,
    since: AtomicU64,
}

#[derive(Debug)]
enum Place {
    Slot(usize),
    Listed { id: u64, expired: AtomicBool },
}

/// One read time that is held.
#[derive(Debug)]
pub(crate) struct Pin {
    pub at: Timestamp,
    place: Place,
    registry: Arc<Registry>,
}

impl Pin {
    /// Whether the registry took the pin back; what was read is not to be trusted then.
    pub(crate) fn expired(&self) -> bool {
        match &self.place {
            Place::Slot(number) => {
                self.registry.slots.get(*number).is_none_or(|slot| slot.at.load(SeqCst) == EXPIRED)
            }
            Place::Listed { expired, .. } => expired.load(Acquire),
        }
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        match &self.place {
            Place::Slot(number) => self.registry.release(*number),
            Place::Listed { id, .. } => {
                self.registry.inner.lock().listed.remove(&(self.at, *id));
            }
        }
    }
}

#[derive(Debug, Default)]
struct Inner {
    /// Pins that found no slot.
    listed: BTreeMap<(Timestamp, u64), (u64, Weak<Pin>)>,
    next_id: u64,
    floor: Timestamp,
    /// A checkpoint that is running needs every newest version up to its time.
    checkpoint: Option<Timestamp>,
}

/// All pins.
#[derive(Debug)]
pub(crate) struct Registry {
    inner: Mutex<Inner>,
    committed: AtomicU64,
    /// The floor, or how far somebody who is just looking at the pins wants to raise it.
    rising: AtomicU64,
    /// Up to where superseded versions may be dropped.
    prune: AtomicU64,
    slots: Vec<Slot>,
    start: Instant,
    /// Milliseconds since `start`, as of the last look at the clock: a pin does not look itself.
    now: AtomicU64,
}

impl Default for Registry {
    fn default() -> Registry {
        let slot = |_| Slot { at: AtomicU64::new(FREE), since: AtomicU64::new(JUST_NOW) };
        Registry {
            inner: Mutex::default(),
            committed: AtomicU64::new(0),
            rising: AtomicU64::new(0),
            prune: AtomicU64::new(0),
            slots: (0..SLOTS).map(slot).collect(),
            start: Instant::now(),
            now: AtomicU64::new(0),
        }
    }
}

/// Where this thread begins to look for a slot.
fn own_slot() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static OWN: usize = NEXT.fetch_add(TRIES, Relaxed));
    OWN.with(|own| *own)
}

impl Registry {
    /// The newest committed time: whoever reads at it sees everything before it.
    pub(crate) fn committed(&self) -> Timestamp {
        Timestamp(self.committed.load(SeqCst))
    }

    /// Publishes a commit. Only the commit section does.
    pub(crate) fn set_committed(&self, at: Timestamp) {
        self.committed.store(at.0, SeqCst);
    }

    pub(crate) fn floor(&self) -> Timestamp {
        self.inner.lock().floor
    }

    /// Starts a floor after recovery.
    pub(crate) fn set_floor(&self, floor: Timestamp) {
        self.set(&mut self.inner.lock(), floor);
    }

    fn set(&self, inner: &mut Inner, floor: Timestamp) {
        inner.floor = floor;
        self.rising.store(floor.0, SeqCst);
        self.set_prune(inner);
    }

    fn set_prune(&self, inner: &Inner) {
        let limit = inner.checkpoint.map_or(inner.floor, |at| at.min(inner.floor));
        self.prune.store(limit.0, Release);
    }

    fn look_at_clock(&self) -> u64 {
        let now = self.start.elapsed().as_millis() as u64;
        self.now.store(now, Relaxed);
        now
    }

    /// Takes a slot near this thread's own.
    fn claim(&self, at: Timestamp) -> Option<usize> {
        let first = own_slot();
        let number = (0..TRIES).map(|step| (first + step) % SLOTS).find(|number| {
            let slot = self.slots.get(*number);
            slot.is_some_and(|slot| slot.at.compare_exchange(FREE, at.0, SeqCst, Relaxed).is_ok())
        })?;
        if let Some(slot) = self.slots.get(number) {
            slot.since.store(self.now.load(Relaxed), Release);
        }
        Some(number)
    }

    fn release(&self, number: usize) {
        if let Some(slot) = self.slots.get(number) {
            slot.since.store(JUST_NOW, Release);
            slot.at.store(FREE, Release);
        }
    }

    /// Pins the newest committed time.
    pub(crate) fn pin_latest(self: &Arc<Registry>) -> Arc<Pin> {
        for _ in 0..TRIES {
            let at = self.committed();
            let Some(number) = self.claim(at) else { break };
            // Neither was the floor raised past it, nor was it rolled back, before the slot said so.
            if self.rising.load(SeqCst) <= at.0 && self.committed() >= at {
                return Arc::new(Pin { at, place: Place::Slot(number), registry: self.clone() });
            }
            self.release(number);
        }
        let mut inner = self.inner.lock();
        let at = self.committed();
        self.list(&mut inner, at)
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
        Ok(self.list(&mut inner, at))
    }

    fn list(self: &Arc<Registry>, inner: &mut Inner, at: Timestamp) -> Arc<Pin> {
        let id = inner.next_id;
        inner.next_id += 1;
        let place = Place::Listed { id, expired: AtomicBool::new(false) };
        let pin = Arc::new(Pin { at, place, registry: self.clone() });
        inner.listed.insert((at, id), (self.look_at_clock(), Arc::downgrade(&pin)));
        pin
    }

    /// The times in slots.
    fn held(&self) -> impl Iterator<Item = (&Slot, Timestamp)> {
        let held = self.slots.iter().map(|slot| (slot, slot.at.load(SeqCst)));
        held.filter(|(_, at)| *at < EXPIRED).map(|(slot, at)| (slot, Timestamp(at)))
    }

    /// The oldest pin.
    fn oldest_pin(&self, inner: &Inner) -> Option<Timestamp> {
        let listed = inner.listed.keys().next().map(|(at, _)| *at);
        self.held().map(|(_, at)| at).chain(listed).min()
    }

    /// Raises the floor towards `wanted`, no further than the oldest pin and the newest commit, and returns it.
    /// The log may have synced a commit that is still being published: to go there would let half of it pass for all.
    pub(crate) fn raise_floor(&self, wanted: Timestamp) -> Timestamp {
        self.look_at_clock();
        self.raise(&mut self.inner.lock(), wanted)
    }

    fn raise(&self, inner: &mut Inner, wanted: Timestamp) -> Timestamp {
        let wanted = wanted.min(self.committed());
        if wanted > inner.floor {
            self.rising.store(wanted.0, SeqCst);
            let oldest = self.oldest_pin(inner).unwrap_or(Timestamp::MAX);
            let floor = inner.floor.max(wanted.min(oldest));
            self.set(inner, floor);
        }
        inner.floor
    }

    /// Raises the floor, whatever is pinned: nothing before it can be read any more.
    pub(crate) fn raise_floor_to(&self, floor: Timestamp) {
        let mut inner = self.inner.lock();
        let floor = inner.floor.max(floor);
        self.set(&mut inner, floor);
    }

    /// Up to where superseded versions may be dropped now: the floor, or the time of a running checkpoint if that is lower.
    pub(crate) fn prune_limit(&self) -> Timestamp {
        Timestamp(self.prune.load(Acquire))
    }

    /// Raises the floor and marks it as the time of a running checkpoint, in one step: in between, versions that the
    /// checkpoint needs could be pruned. `None` when that is no later than `done`.
    pub(crate) fn begin_checkpoint(&self, wanted: Timestamp, done: Timestamp) -> Option<Timestamp> {
        let mut inner = self.inner.lock();
        let at = self.raise(&mut inner, wanted);
        inner.checkpoint = (at > done).then_some(at);
        self.set_prune(&inner);
        inner.checkpoint
    }

    /// Ends what [`Registry::begin_checkpoint`] began.
    pub(crate) fn end_checkpoint(&self) {
        let mut inner = self.inner.lock();
        inner.checkpoint = None;
        self.set_prune(&inner);
    }

    /// Takes back pins older than `age_max` and says how many.
    pub(crate) fn expire(&self, age_max: Duration) -> usize {
        let now = self.look_at_clock();
        let age_max = u64::try_from(age_max.as_millis()).unwrap_or(u64::MAX);
        self.take_back(|_, since| now.saturating_sub(since) >= age_max)
    }

    /// Goes back to `to`: pins after it are taken back, and nobody can pin a later time until it is committed again.
    /// The caller holds a pin at `to`, and the commit section.
    pub(crate) fn roll_back(&self, to: Timestamp) {
        self.set_committed(to);
        self.take_back(|at, _| at > to);
    }

    fn take_back(&self, doomed: impl Fn(Timestamp, u64) -> bool) -> usize {
        let mut expired = Vec::new();
        let mut inner = self.inner.lock();
        inner.listed.retain(|(at, _), (since, pin)| {
            let keep = !doomed(*at, *since);
            if !keep && let Some(pin) = pin.upgrade() {
                // Flag before the floor can rise: whoever reads checks it after the read.
                if let Place::Listed { expired, .. } = &pin.place {
                    expired.store(true, Release);
                }
                expired.push(pin);
            }
            keep
        });
        let taken = |(slot, at): &(&Slot, Timestamp)| {
            let since = slot.since.load(Acquire);
            doomed(*at, since) && slot.at.compare_exchange(at.0, EXPIRED, SeqCst, Relaxed).is_ok()
        };
        let count = self.held().filter(taken).count();
        // A pin's drop takes the same lock.
        drop(inner);
        count + expired.len()
    }

    /// The oldest time that somebody reads now, or the newest commit.
    pub(crate) fn oldest_read(&self) -> Timestamp {
        let inner = self.inner.lock();
        let committed = self.committed();
        self.oldest_pin(&inner).map_or(committed, |oldest| committed.min(oldest))
    }

    /// Number of pins and the oldest.
    pub(crate) fn oldest(&self) -> (usize, Option<Timestamp>) {
        let inner = self.inner.lock();
        (self.held().count() + inner.listed.len(), self.oldest_pin(&inner))
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

    #[test]
    fn pins_beyond_the_slots_hold_as_well() {
        let registry = Arc::new(Registry::default());
        registry.set_committed(Timestamp(3));
        let pins: Vec<_> = (0..SLOTS * 2).map(|_| registry.pin_latest()).collect();
        assert_eq!(registry.oldest(), (SLOTS * 2, Some(Timestamp(3))));
        registry.set_committed(Timestamp(7));
        let late = registry.pin_latest();
        assert_eq!(registry.raise_floor(Timestamp(6)), Timestamp(3));
        registry.roll_back(Timestamp(3));
        assert!(late.expired() && !pins.iter().any(|pin| pin.expired()));
        assert_eq!(registry.expire(Duration::ZERO), SLOTS * 2);
        assert!(pins.iter().all(|pin| pin.expired()));
        drop((pins, late));
        assert_eq!(registry.oldest(), (0, None));
        assert_eq!(registry.pin_latest().at, Timestamp(3));
    }

    #[test]
    fn nobody_reads_below_the_floor() {
        let registry = Arc::new(Registry::default());
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !stop.load(Relaxed) {
                        let pin = registry.pin_latest();
                        let floor = registry.floor();
                        assert!(pin.at >= floor, "pinned {} below {floor}", pin.at);
                    }
                });
            }
            for at in 1..50_000 {
                registry.set_committed(Timestamp(at));
                registry.raise_floor(Timestamp(at));
            }
            stop.store(true, Relaxed);
        });
    }
}
