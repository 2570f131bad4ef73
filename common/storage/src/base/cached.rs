//! Values of the base that were read lately, by key: read again, they cost neither a walk through the engine nor a checksum.
//! A value is forgotten after each write of its key and before that write is complete, so nobody finds an older one than what has
//! left memory; one that is just being read then is not taken in. Misses are not remembered.

use super::engine::{BaseIter, Bounds, Engine, Write};
use crate::Error;
use crate::scan::Direction;
use crate::snapshot::take_base;
use bytes::Bytes;
use quick_cache::Weighter;
use quick_cache::sync::{Cache, GuardResult};
use std::sync::Arc;
use std::time::Duration;
use types::Timestamp;

/// What an entry costs beside key and value.
const ENTRY_OVERHEAD_BYTES: usize = 160;
/// How large the values are of which so many are expected.
const USUAL_BYTES: usize = 1024;
/// Larger ones would push out too much.
const SHARE_MAX: usize = 16;

#[derive(Debug, Clone)]
struct Weight;

impl Weighter<Vec<u8>, (Timestamp, Bytes)> for Weight {
    fn weight(&self, key: &Vec<u8>, (_, value): &(Timestamp, Bytes)) -> u64 {
        (key.len() + value.len() + ENTRY_OVERHEAD_BYTES) as u64
    }
}

/// An engine with such a cache in front.
pub(crate) struct Cached {
    inner: Arc<dyn Engine>,
    values: Cache<Vec<u8>, (Timestamp, Bytes), Weight>,
    value_bytes_max: usize,
}

impl Cached {
    /// `bytes` is what the values may take.
    pub(crate) fn new(inner: Arc<dyn Engine>, bytes: usize) -> Cached {
        let values = Cache::with_weighter(bytes / USUAL_BYTES, bytes as u64, Weight);
        Cached { inner, values, value_bytes_max: bytes / SHARE_MAX }
    }
}

impl Engine for Cached {
    fn value(&self, key: &[u8]) -> Result<Option<(Timestamp, Bytes)>, Error> {
        let guard = match self.values.get_value_or_guard(key, Some(Duration::ZERO)) {
            GuardResult::Value(value) => return Ok(Some(value)),
            GuardResult::Guard(guard) => Some(guard),
            // Somebody else is reading it just now.
            GuardResult::Timeout => None,
        };
        let Some(stored) = self.inner.get(key)? else { return Ok(None) };
        let (at, value) = take_base(key, stored)?;
        if let Some(guard) = guard
            && value.len() <= self.value_bytes_max
        {
            // Refused if the key was written meanwhile.
            guard.insert((at, value.clone())).ok();
        }
        Ok(Some((at, value)))
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        self.inner.get(key)
    }

    fn range(&self, bounds: Bounds, direction: Direction) -> BaseIter {
        self.inner.range(bounds, direction)
    }

    fn write(&self, writes: &[Write]) -> Result<(), Error> {
        let written = self.inner.write(writes);
        // Also after a failure: part of it may be there.
        for write in writes {
            self.values.remove(write.key.as_ref());
        }
        written
    }

    fn flush(&self) -> Result<(), Error> {
        self.inner.flush()
    }

    fn size(&self) -> u64 {
        self.inner.size()
    }

    fn cleans_beyond(&self) -> Option<f64> {
        self.inner.cleans_beyond()
    }

    fn checks_reads(&self) -> bool {
        self.inner.checks_reads()
    }
}

#[cfg(test)]
mod tests {
    use super::super::memory::Memory;
    use super::*;
    use crate::snapshot::join_base;

    fn write(base: &Cached, at: u64) {
        let key = Bytes::from_static(b"k");
        let value = Some(join_base(&key, Timestamp(at), b"v"));
        base.write(&[Write { key, value }]).unwrap();
    }

    #[test]
    fn a_write_is_seen_at_once_and_a_late_reader_leaves_nothing_old() {
        let base = Cached::new(Arc::new(Memory::default()), 1 << 20);
        assert!(base.value(b"k").unwrap().is_none());
        for at in 1..10 {
            write(&base, at);
            for _ in 0..2 {
                assert_eq!(base.value(b"k").unwrap(), Some((Timestamp(at), Bytes::from_static(b"v"))));
            }
        }
        // It looked before the write, and comes back after it.
        base.values.remove(b"k".as_slice());
        let GuardResult::Guard(late) = base.values.get_value_or_guard(b"k".as_slice(), None) else {
            panic!()
        };
        write(&base, 10);
        assert!(late.insert((Timestamp(9), Bytes::new())).is_err());
        assert_eq!(base.value(b"k").unwrap(), Some((Timestamp(10), Bytes::from_static(b"v"))));
    }
}
