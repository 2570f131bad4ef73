//! Some keys in order. All of them begin alike, so that beginning is kept once, and the eight bytes after it as a number for each:
//! a search goes through numbers that lie together, and looks at keys only where those are equal.

use super::entry::Entry;
use smallvec::SmallVec;
use std::cmp::Ordering as Order;
use std::ops::Bound;

/// Keys in a leaf: few enough that adding one is cheap. Few in tests, so that leaves come and go.
pub(super) const LEAF_KEYS_MAX: usize = if cfg!(test) { 8 } else { 64 };
/// The longest beginning that is kept.
const COMMON_BYTES_MAX: usize = 31;
const HEAD_BYTES: usize = 8;

/// What all keys of a leaf begin with, or less of it.
#[derive(Default, Clone, Copy)]
struct Common {
    bytes: [u8; COMMON_BYTES_MAX],
    length: u8,
}

impl Common {
    fn of(first: &[u8], last: &[u8]) -> Common {
        let mut common = Common::default();
        let pairs = first.iter().zip(last).zip(&mut common.bytes);
        common.length = pairs
            .take_while(|((left, right), _)| left == right)
            .map(|((byte, _), place)| *place = *byte)
            .count() as u8;
        common
    }

    fn as_slice(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }
}

/// The eight bytes after `skip` as a number, zero where the key is shorter: in the order of the keys, but for what comes later.
fn head(key: &[u8], skip: usize) -> u64 {
    let rest = key.get(skip..).unwrap_or_default();
    match rest.first_chunk::<HEAD_BYTES>() {
        Some(whole) => u64::from_be_bytes(*whole),
        None => {
            let mut padded = [0; HEAD_BYTES];
            for (place, byte) in padded.iter_mut().zip(rest) {
                *place = *byte;
            }
            u64::from_be_bytes(padded)
        }
    }
}

/// Keys in order, all in one piece of memory but for the entries themselves.
#[derive(Default)]
pub(super) struct Leaf {
    common: Common,
    heads: SmallVec<[u64; LEAF_KEYS_MAX]>,
    entries: SmallVec<[Box<Entry>; LEAF_KEYS_MAX]>,
}

impl Leaf {
    /// Finds the beginning anew, after keys came or went in numbers.
    fn refresh(&mut self) {
        self.common = match (self.entries.first(), self.entries.last()) {
            (Some(first), Some(last)) => Common::of(&first.key, &last.key),
            _ => Common::default(),
        };
        self.refresh_heads();
    }

    fn refresh_heads(&mut self) {
        let skip = usize::from(self.common.length);
        self.heads.clear();
        self.heads.extend(self.entries.iter().map(|entry| head(&entry.key, skip)));
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.entries.len() >= LEAF_KEYS_MAX
    }

    pub(super) fn first(&self) -> Option<&Entry> {
        self.entries.first().map(Box::as_ref)
    }

    /// Where a key is, or where it would be.
    pub(super) fn search(&self, key: &[u8]) -> Result<usize, usize> {
        let common = self.common.as_slice();
        let beginning = key.get(..common.len()).unwrap_or(key);
        match beginning.cmp(common) {
            Order::Less => return Err(0),
            Order::Greater => return Err(self.entries.len()),
            Order::Equal => {}
        }
        let wanted = head(key, common.len());
        let from = self.heads.partition_point(|head| *head < wanted);
        let alike = self.heads.get(from..).unwrap_or_default();
        let count = alike.iter().take_while(|head| **head == wanted).count();
        let whole = key.len() <= common.len() + HEAD_BYTES;
        let alike = self.entries.get(from..from + count).unwrap_or_default();
        let place = match alike {
            [] => Err(0),
            // All of both keys was compared.
            [only] if whole && only.key.len() == key.len() => Ok(0),
            alike => alike.binary_search_by(|entry| entry.key.as_ref().cmp(key)),
        };
        place.map(|place| from + place).map_err(|place| from + place)
    }

    pub(super) fn find(&self, key: &[u8]) -> Option<&Entry> {
        self.entries.get(self.search(key).ok()?).map(Box::as_ref)
    }

    pub(super) fn start(&self, bound: Bound<&[u8]>) -> usize {
        match bound {
            Bound::Included(key) => self.search(key).unwrap_or_else(|place| place),
            Bound::Excluded(key) => self.search(key).map_or_else(|place| place, |place| place + 1),
            Bound::Unbounded => 0,
        }
    }

    pub(super) fn entries(&self) -> &[Box<Entry>] {
        &self.entries
    }

    pub(super) fn entry_mut(&mut self, place: usize) -> Option<&mut Entry> {
        self.entries.get_mut(place).map(Box::as_mut)
    }

    /// Adds a key at the place that [`Leaf::search`] gave.
    pub(super) fn insert(&mut self, place: usize, entry: Entry) {
        let key = entry.key.clone();
        self.entries.insert(place, Box::new(entry));
        match self.entries.as_slice() {
            [_] => self.refresh(),
            _ if key.starts_with(self.common.as_slice()) => {
                self.heads.insert(place, head(&key, self.common.length.into()));
            }
            _ => {
                self.common = Common::of(self.common.as_slice(), &key);
                self.refresh_heads();
            }
        }
    }

    pub(super) fn remove(&mut self, place: usize) {
        self.entries.remove(place);
        self.heads.remove(place);
    }

    /// Keeps what `keep` says.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&mut Entry) -> bool) {
        let before = self.entries.len();
        self.entries.retain(|entry| keep(entry));
        if self.entries.len() < before {
            self.refresh();
        }
    }

    /// Takes out the keys from a place on.
    pub(super) fn split_off(&mut self, at: usize) -> Leaf {
        let entries = self.entries.drain(at..).collect();
        self.refresh();
        let mut upper = Leaf { entries, ..Leaf::default() };
        upper.refresh();
        upper
    }

    /// Takes in the keys of the next leaf.
    pub(super) fn append(&mut self, next: &mut Leaf) {
        self.entries.append(&mut next.entries);
        next.refresh();
        self.refresh();
    }
}
