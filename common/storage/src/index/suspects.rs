//! Keys of a unique index that were met twice while it was being built. Whether they still are is looked at once, when the
//! build is complete: until then nobody is refused because of an index that may never be.

use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::BTreeSet;

/// Space, ident and index key of each.
#[derive(Debug, Default)]
pub(crate) struct Suspects(Mutex<BTreeSet<Bytes>>);

impl Suspects {
    /// Remembers the index key in the first `prefix_len` bytes of an entry.
    pub(crate) fn note(&self, entry: &Bytes, prefix_len: usize) {
        self.0.lock().insert(entry.slice(..prefix_len.min(entry.len())));
    }

    pub(crate) fn take(&self) -> Vec<Bytes> {
        std::mem::take(&mut *self.0.lock()).into_iter().collect()
    }
}
