//! What storage asks of a base engine.

use crate::Error;
use crate::scan::Direction;
use crate::snapshot::take_base;
use bytes::Bytes;
use std::ops::Bound;
use types::Timestamp;

/// Bounds of a range of keys.
pub(crate) type Bounds = (Bound<Bytes>, Bound<Bytes>);
/// Pairs of a range in order. May or may not show writes that happen meanwhile.
pub(crate) type BaseIter = Box<dyn Iterator<Item = Result<(Bytes, Bytes), Error>> + Send>;

/// A put, or a removal where the value is `None`.
#[derive(Debug, Clone)]
pub(crate) struct Write {
    pub key: Bytes,
    pub value: Option<Bytes>,
}

/// Ordered keys and values.
pub(crate) trait Engine: Send + Sync {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error>;

    /// A value with the time of its last change, checked.
    fn value(&self, key: &[u8]) -> Result<Option<(Timestamp, Bytes)>, Error> {
        self.get(key)?.map(|stored| take_base(key, stored)).transpose()
    }

    fn range(&self, bounds: Bounds, direction: Direction) -> BaseIter;

    /// Writes in the order given. After a crash a prefix of all writes since the last flush is there.
    fn write(&self, writes: &[Write]) -> Result<(), Error>;

    /// Returns when everything written before is on disk and synced.
    ///
    /// # Errors
    /// [`Error::Unsynced`] where a sync failed: systems tell that once, and show what they could not write as if it were there. To
    /// sync again says nothing then. Else it could not even be handed to the system.
    fn flush(&self) -> Result<(), Error>;

    /// Bytes on disk.
    fn size(&self) -> u64;

    /// How many times the size of what it holds its files may have before its writer should wait for it to clean up; `None` if it
    /// holds its writer back by itself.
    fn cleans_beyond(&self) -> Option<f64>;

    /// Whether everything that comes from its disk was compared with a checksum by the engine itself: then scans need not look at
    /// all of every value once more. Point reads, and whatever copies or validates, do all the same.
    fn checks_reads(&self) -> bool;

    /// Somebody found that what was read is not what was written.
    fn report(&self, _error: &Error) {}
}
