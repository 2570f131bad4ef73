//! Removes what dropped collections and indexes left in memory and base, once no snapshot can read them.
//! A mark stays in the base until all of it is gone, so a crash in between only means doing it again.

use crate::Error;
use crate::base::Write;
use crate::keyspace::{self, Ident, Range};
use crate::scan::Direction;
use crate::store::Shared;
use bytes::Bytes;
use std::ops::Bound;
use types::Timestamp;

const ROUND_KEYS: usize = 4096;

impl Shared {
    /// After a checkpoint at `at`: everything dropped up to then.
    pub(crate) fn purge_dropped(&self, at: Timestamp) -> Result<(), Error> {
        let space = keyspace::dropped_space();
        let bounds = (Bound::Included(Bytes::from(space.start)), Bound::Excluded(Bytes::from(space.end)));
        let marks: Vec<Bytes> = self
            .base
            .range(bounds, Direction::Forward)
            .map(|pair| pair.map(|(key, _)| key))
            .collect::<Result<_, _>>()?;
        for mark in marks {
            // The mark came with a checkpoint, so its drop is no newer than the floor.
            let Some(ident) = keyspace::ident_of(&mark) else { continue };
            self.purge(ident)?;
            self.base.write(&[
                Write { key: Bytes::from(keyspace::count(ident)), value: None },
                Write { key: mark, value: None },
            ])?;
            self.counts.forget(ident);
            tracing::debug!(ident, %at, "dropped keys removed");
        }
        Ok(())
    }

    fn purge(&self, ident: Ident) -> Result<(), Error> {
        for prefix in [keyspace::index_prefix(ident), keyspace::record_prefix(ident)] {
            let range = Range::prefix(prefix);
            self.versions.remove_range(&range.start, &range.end);
            loop {
                let start = Bound::Included(Bytes::from(range.start.clone()));
                let bounds = (start, Bound::Excluded(Bytes::from(range.end.clone())));
                let pairs = self.base.range(bounds, Direction::Forward).take(ROUND_KEYS);
                let writes = pairs
                    .map(|pair| pair.map(|(key, _)| Write { key, value: None }))
                    .collect::<Result<Vec<_>, Error>>()?;
                if writes.is_empty() {
                    break;
                }
                self.base.write(&writes)?;
            }
        }
        Ok(())
    }
}
