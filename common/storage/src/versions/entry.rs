//! A key with its versions, and what they cost.

use super::{Value, Visible};
use bytes::Bytes;
use std::cmp::Ordering as Order;
use types::Timestamp;

/// What a key costs beside its bytes: entry, slot in a leaf that is not full, what shares the key.
const KEY_OVERHEAD_BYTES: usize = 176;
/// What a version costs beside its value.
const VERSION_OVERHEAD_BYTES: usize = 16;
/// What shares a value.
const VALUE_OVERHEAD_BYTES: usize = 32;

pub(super) type Version = (Timestamp, Value);

/// A key with its versions; at least one.
pub(super) struct Entry {
    pub(super) key: Bytes,
    pub(super) newest: Version,
    /// Ascending by time.
    pub(super) older: Vec<Version>,
}

impl Entry {
    pub(super) fn at(&self, at: Timestamp) -> Option<&Version> {
        if self.newest.0 <= at {
            return Some(&self.newest);
        }
        let newer = self.older.partition_point(|(time, _)| *time <= at);
        self.older.get(newer.checked_sub(1)?)
    }

    pub(super) fn visible(&self, at: Timestamp) -> Option<Visible> {
        self.at(at).map(|(time, value)| Visible { key: self.key.clone(), value: value.clone(), time: *time })
    }

    /// Adds a version; returns the one it replaces, of the same time.
    pub(super) fn put(&mut self, version: Version) -> Option<Version> {
        match version.0.cmp(&self.newest.0) {
            Order::Greater => {
                let before = std::mem::replace(&mut self.newest, version);
                self.older.push(before);
                None
            }
            Order::Equal => Some(std::mem::replace(&mut self.newest, version)),
            Order::Less => match self.older.binary_search_by(|(time, _)| time.cmp(&version.0)) {
                Ok(place) => self.older.get_mut(place).map(|older| std::mem::replace(older, version)),
                Err(place) => {
                    self.older.insert(place, version);
                    None
                }
            },
        }
    }

    /// Removes what the newest version no newer than `limit` supersedes.
    pub(super) fn supersede(&mut self, gone: &mut Gone, limit: Timestamp) {
        if let Some(keep) = self.older.first().and_then(|_| self.at(limit)).map(|(time, _)| *time) {
            self.remove(gone, |time| time < keep);
        }
    }

    /// Removes what `doomed` says. Returns whether nothing is left, and adds up what went.
    pub(super) fn remove(&mut self, gone: &mut Gone, doomed: impl Fn(Timestamp) -> bool) -> bool {
        self.older.retain(|(time, value)| {
            let keep = !doomed(*time);
            if !keep {
                gone.version(value);
            }
            keep
        });
        if doomed(self.newest.0) {
            gone.version(&self.newest.1);
            match self.older.pop() {
                Some(next) => self.newest = next,
                None => {
                    gone.bytes += key_cost(&self.key);
                    return true;
                }
            }
        }
        if self.older.is_empty() && self.older.capacity() > 0 {
            self.older = Vec::new();
        }
        false
    }
}

/// What was removed.
#[derive(Default)]
pub(super) struct Gone {
    pub(super) bytes: usize,
    pub(super) versions: usize,
}

impl Gone {
    pub(super) fn version(&mut self, value: &Value) {
        self.bytes += version_cost(value);
        self.versions += 1;
    }
}

pub(super) fn key_cost(key: &[u8]) -> usize {
    allocated(key.len()) + KEY_OVERHEAD_BYTES
}

/// What a key with one version takes.
pub(crate) fn entry_cost(key: &[u8], value: &Value) -> usize {
    key_cost(key) + version_cost(value)
}

pub(super) fn version_cost(value: &Value) -> usize {
    let value = value.as_ref().map_or(0, |value| allocated(value.len()) + VALUE_OVERHEAD_BYTES);
    value + VERSION_OVERHEAD_BYTES
}

/// What an allocator hands out for so many bytes: four sizes for each power of two.
fn allocated(length: usize) -> usize {
    let step = (length.max(64).next_power_of_two() / 8).max(16);
    length.next_multiple_of(step)
}
