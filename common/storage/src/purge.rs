//! Removes what dropped collections and indexes left in memory and base, once no snapshot can read them.
//! A mark stays in the base until all of it is gone, so a crash in between only means doing it again. It goes round by round, with the
//! checkpoint's turn in between, and ends with the store, however much there is.

use crate::Error;
use crate::base::Write;
use crate::keyspace::{self, Ident, Range};
use crate::scan::Direction;
use crate::snapshot::split_base;
use crate::store::Shared;
use bytes::Bytes;
use parking_lot::Mutex;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};

const ROUND_KEYS: usize = 4096;
/// After each checkpoint; the rest goes when nothing else is to be done.
const PASS_ROUNDS: usize = 4;

/// How far it is.
#[derive(Debug)]
pub(crate) struct Purge {
    place: Mutex<Option<Place>>,
    is_due: AtomicBool,
}

/// Where the next round goes on: an engine that keeps what was removed for a while would step over all of it again from the start.
#[derive(Debug)]
struct Place {
    ident: Ident,
    mark: Bytes,
    /// What is still to be gone through.
    rest: Vec<(Bound<Bytes>, Bytes)>,
}

impl Default for Purge {
    /// A run before may have left something.
    fn default() -> Purge {
        Purge { place: Mutex::default(), is_due: AtomicBool::new(true) }
    }
}

impl Purge {
    /// Whether something is left to be removed.
    pub(crate) fn is_due(&self) -> bool {
        self.is_due.load(Ordering::Acquire)
    }

    /// After everything was removed.
    pub(crate) fn reset(&self) {
        *self.place.lock() = None;
    }
}

impl Shared {
    /// After a checkpoint: some of what was dropped up to then.
    pub(crate) fn purge_dropped(&self) -> Result<(), Error> {
        self.purge.is_due.store(true, Ordering::Release);
        (0..PASS_ROUNDS).try_for_each(|_| self.purge_round())
    }

    /// One round, while no checkpoint is being written.
    pub(crate) fn purge_next(&self) -> Result<(), Error> {
        let _pass = self.checkpointer.pass.lock();
        self.purge_round()
    }

    fn purge_round(&self) -> Result<(), Error> {
        if !self.purge.is_due() || self.closed.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut held = self.purge.place.lock();
        let mut place = match held.take() {
            Some(place) => place,
            None => match self.next_dropped()? {
                Some(place) => place,
                None => {
                    self.purge.is_due.store(false, Ordering::Release);
                    return Ok(());
                }
            },
        };
        if let Some((from, end)) = place.rest.pop() {
            if let Some(last) = self.remove_round(from, end.clone())? {
                place.rest.push((Bound::Excluded(last), end));
            }
            *held = Some(place);
            return Ok(());
        }
        self.base.write(&[
            Write { key: Bytes::from(keyspace::count(place.ident)), value: None },
            Write { key: place.mark, value: None },
        ])?;
        self.counts.forget(place.ident);
        tracing::debug!(ident = place.ident, "dropped keys removed");
        Ok(())
    }

    /// Something dropped before the last complete checkpoint: no snapshot reads it, and no rollback brings it back.
    fn next_dropped(&self) -> Result<Option<Place>, Error> {
        let space = keyspace::dropped_space();
        let bounds = (Bound::Included(Bytes::from(space.start)), Bound::Excluded(Bytes::from(space.end)));
        let at = self.checkpointer.at();
        for pair in self.base.range(bounds, Direction::Forward) {
            let (mark, stored) = pair?;
            let Some(ident) = keyspace::ident_of(&mark) else { continue };
            if split_base(&mark, &stored)?.0 > at {
                continue;
            }
            let mut rest = Vec::new();
            for prefix in [keyspace::record_prefix(ident), keyspace::index_prefix(ident)] {
                let range = Range::prefix(prefix);
                self.versions.remove_range(&range.start, &range.end);
                rest.push((Bound::Included(Bytes::from(range.start)), Bytes::from(range.end)));
            }
            return Ok(Some(Place { ident, mark, rest }));
        }
        Ok(None)
    }

    /// Removes the next keys of a range from the base. The last one, `None` if there were none.
    pub(crate) fn remove_round(&self, from: Bound<Bytes>, end: Bytes) -> Result<Option<Bytes>, Error> {
        let pairs = self.base.range((from, Bound::Excluded(end)), Direction::Forward).take(ROUND_KEYS);
        let writes = pairs
            .map(|pair| pair.map(|(key, _)| Write { key, value: None }))
            .collect::<Result<Vec<_>, Error>>()?;
        let last = writes.last().map(|write| write.key.clone());
        self.base.write(&writes)?;
        Ok(last)
    }
}
