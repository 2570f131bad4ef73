//! Sorts items in memory, up to a number of bytes; with a limit it keeps no more than that many items.
//! Items of equal keys come out in the order they went in.

use super::Sort;
use bson::RawDocument;
use std::cmp::Ordering;
use std::collections::BinaryHeap;
use types::{Code, Fault};

/// What one kept item costs besides its bytes and its key.
const ENTRY_BYTES: usize = 64;

/// Collects items, then hands them out in order.
#[derive(Debug)]
pub struct Sorter<T> {
    sort: Sort,
    limit: Option<usize>,
    bytes: usize,
    bytes_max: usize,
    pushed: u64,
    kept: Kept<T>,
}

#[derive(Debug)]
enum Kept<T> {
    All(Vec<Entry<T>>),
    /// The least ones so far, the greatest of them on top.
    Least(BinaryHeap<Entry<T>>),
}

#[derive(Debug)]
struct Entry<T> {
    key: Vec<u8>,
    sequence: u64,
    bytes: usize,
    item: T,
}

impl<T> Entry<T> {
    fn order(&self) -> (&[u8], u64) {
        (&self.key, self.sequence)
    }
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Entry<T>) -> bool {
        self.order() == other.order()
    }
}

impl<T> Eq for Entry<T> {}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Entry<T>) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Entry<T>) -> Ordering {
        self.order().cmp(&other.order())
    }
}

impl<T> Sorter<T> {
    /// A sorter that hands out at most `limit` items and holds at most `bytes_max`.
    pub fn new(sort: Sort, limit: Option<usize>, bytes_max: usize) -> Sorter<T> {
        let kept = match limit {
            Some(_) => Kept::Least(BinaryHeap::new()),
            None => Kept::All(Vec::new()),
        };
        Sorter { sort, limit, bytes: 0, bytes_max, pushed: 0, kept }
    }

    /// Takes an item that sorts as `doc`. `bytes` is what keeping the item costs.
    ///
    /// # Errors
    /// QueryExceededMemoryLimitNoDiskUseAllowed past the bound; those of [`Sort::key`].
    pub fn push(&mut self, doc: &RawDocument, item: T, bytes: usize) -> Result<(), Fault> {
        let key = self.sort.key(doc)?;
        self.push_keyed(key, item, bytes)
    }

    /// Takes an item whose key is known, such as one that a shard sent along.
    ///
    /// # Errors
    /// QueryExceededMemoryLimitNoDiskUseAllowed past the bound.
    pub fn push_keyed(&mut self, key: Vec<u8>, item: T, bytes: usize) -> Result<(), Fault> {
        let entry = Entry { bytes: bytes + key.len() + ENTRY_BYTES, key, sequence: self.pushed, item };
        self.pushed += 1;
        self.bytes += entry.bytes;
        match &mut self.kept {
            Kept::All(entries) => entries.push(entry),
            Kept::Least(heap) => {
                let limit = self.limit.unwrap_or(usize::MAX);
                if heap.len() < limit {
                    heap.push(entry);
                } else {
                    // Replaces the greatest one, or is dropped itself.
                    let dropped = match heap.peek_mut() {
                        Some(mut greatest) if entry < *greatest => std::mem::replace(&mut *greatest, entry),
                        _ => entry,
                    };
                    self.bytes -= dropped.bytes;
                }
            }
        }
        if self.bytes > self.bytes_max {
            return Err(Fault::new(
                Code::QueryExceededMemoryLimitNoDiskUseAllowed,
                format!(
                    "Sort exceeded memory limit of {} bytes, but did not opt in to external sorting.",
                    self.bytes_max
                ),
            ));
        }
        Ok(())
    }

    /// Whether an item of this key would be kept now, so that a caller can spare its copy.
    pub fn wants(&self, key: &[u8]) -> bool {
        match (&self.kept, self.limit) {
            (Kept::Least(heap), Some(limit)) if heap.len() >= limit => {
                heap.peek().is_some_and(|greatest| key < greatest.key.as_slice())
            }
            _ => true,
        }
    }

    /// Bytes held at the moment.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The items in order.
    pub fn finish(self) -> Sorted<T> {
        let entries = match self.kept {
            Kept::All(mut entries) => {
                entries.sort_unstable();
                entries
            }
            Kept::Least(heap) => heap.into_sorted_vec(),
        };
        Sorted { entries: entries.into_iter() }
    }
}

/// Sorted items; each is released as it is handed out.
#[derive(Debug)]
pub struct Sorted<T> {
    entries: std::vec::IntoIter<Entry<T>>,
}

impl<T> Sorted<T> {
    /// The next item with its key.
    pub fn next_keyed(&mut self) -> Option<(Vec<u8>, T)> {
        self.entries.next().map(|entry| (entry.key, entry.item))
    }
}

impl<T> Iterator for Sorted<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.entries.next().map(|entry| entry.item)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.entries.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::{RawDocumentBuf, doc};

    fn run(limit: Option<usize>, values: &[(i32, &'static str)]) -> Vec<&'static str> {
        let sort = Sort::parse(&RawDocumentBuf::try_from(&doc! {"a": 1}).unwrap()).unwrap();
        let mut sorter = Sorter::new(sort, limit, 10_000);
        for (value, item) in values {
            sorter.push(&RawDocumentBuf::try_from(&doc! {"a": value}).unwrap(), *item, 10).unwrap();
        }
        sorter.finish().collect()
    }

    #[test]
    fn sorts_stably_with_and_without_limit() {
        let values = [(3, "x"), (1, "a"), (2, "b"), (1, "c"), (0, "z"), (1, "d")];
        assert_eq!(run(None, &values), ["z", "a", "c", "d", "b", "x"]);
        assert_eq!(run(Some(3), &values), ["z", "a", "c"]);
        assert_eq!(run(Some(0), &values), [""; 0]);
        assert_eq!(run(Some(100), &values).len(), 6);
    }

    #[test]
    fn memory_is_bounded() {
        let sort = Sort::default();
        let mut all = Sorter::new(sort.clone(), None, 1_000);
        let fault = (0..100).find_map(|i| all.push_keyed(vec![i], (), 50).err()).unwrap();
        assert_eq!(fault.code.number(), 292);
        let mut top = Sorter::new(sort, Some(5), 1_000);
        assert!((0..100).all(|i| top.push_keyed(vec![i], (), 50).is_ok()));
    }
}
