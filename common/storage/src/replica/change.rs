//! One change of one record: its version, the entries of every index, counts. What a recovery does once more from the own log,
//! done here for the first time from the log of another member.

use crate::Error;
use crate::batch::{check_key, entry_value, index_change_accepted};
use crate::collection::{Collection, IndexId};
use crate::counts::{Count, Delta};
use crate::keyspace::{self, Ident};
use crate::oplog::diff;
use crate::store::Shared;
use crate::versions::Value;
use bson::RawDocument;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use types::Timestamp;

/// What becomes of a record.
#[derive(Clone)]
pub(super) enum Content<'a> {
    /// It was not there before.
    Fresh(&'a RawDocument),
    Whole(Bytes),
    Difference(&'a RawDocument),
    Gone,
}

/// A change of one record.
#[derive(Clone)]
pub(super) struct Part<'a> {
    /// Which record of the log says so.
    pub record: u32,
    pub at: Timestamp,
    pub collection: Arc<Collection>,
    /// The full key.
    pub key: Bytes,
    pub content: Content<'a>,
}

/// What changes did beside the versions that they wrote.
#[derive(Default)]
pub(super) struct Done {
    pub deltas: Vec<(u32, Delta)>,
    /// Record of the log, collection, index, and fields that crossed an array for the first time.
    pub marks: Vec<(u32, Ident, IndexId, u64)>,
}

impl Done {
    pub(super) fn add(&mut self, other: Done) {
        self.deltas.extend(other.deltas);
        self.marks.extend(other.marks);
    }
}

/// The value before a change.
enum Before {
    Value(Value),
    /// What is there is no older than the change, which it has therefore.
    Newer,
}

/// Makes changes one after the other.
pub(super) struct Worker<'s> {
    shared: &'s Shared,
    /// Whether records may be newer than the log says, having been copied later.
    imported: bool,
    prune_limit: Timestamp,
    done: Done,
    /// Writes of the record of the log in progress, where it has several changes: they have one time.
    own: BTreeMap<Bytes, Value>,
}

impl<'s> Worker<'s> {
    pub(super) fn new(shared: &'s Shared, imported: bool) -> Worker<'s> {
        let prune_limit = shared.pins.prune_limit();
        Worker { shared, imported, prune_limit, done: Done::default(), own: BTreeMap::new() }
    }

    /// In the order of the log.
    pub(super) fn run<'p, 'a: 'p>(
        mut self,
        parts: impl Iterator<Item = &'p Part<'a>>,
    ) -> Result<Done, Error> {
        let mut parts = parts.peekable();
        let mut record = None;
        while let Some(part) = parts.next() {
            let goes_on = parts.peek().is_some_and(|next| next.record == part.record);
            let several = goes_on || record == Some(part.record);
            record = Some(part.record);
            self.change(part, several)?;
            if several && !goes_on {
                for (key, value) in std::mem::take(&mut self.own) {
                    self.put_version(&key, part.at, value);
                }
            }
        }
        Ok(self.done)
    }

    fn before(&self, part: &Part<'_>, several: bool) -> Result<Before, Error> {
        if several && let Some(own) = self.own.get(&part.key) {
            return Ok(Before::Value(own.clone()));
        }
        if matches!(part.content, Content::Fresh(_)) && !self.imported {
            return Ok(Before::Value(None));
        }
        let shared = self.shared;
        // Nothing newer is there but what this group wrote, which is in order.
        let newest = match shared.spill.newest_of(&shared.versions, &part.key, Timestamp::MAX)? {
            Some((time, value)) => Some((time, value)),
            None => shared.base_value(&part.key)?.map(|(time, value)| (time, Some(value))),
        };
        Ok(match newest {
            Some((time, _)) if time >= part.at => Before::Newer,
            Some((_, value)) => Before::Value(value),
            None => Before::Value(None),
        })
    }

    fn change(&mut self, part: &Part<'_>, several: bool) -> Result<(), Error> {
        let bad = |what: &str| Error::Damaged(format!("oplog entry at {}: {what}", part.at));
        let old = match self.before(part, several)? {
            Before::Value(old) => old,
            Before::Newer if self.imported => return Ok(()),
            Before::Newer => return Err(bad("its record was changed later already")),
        };
        let old_doc = old.as_ref().map(|bytes| RawDocument::from_bytes(bytes)).transpose();
        let old_doc = old_doc.map_err(|error| bad(&error.to_string()))?;
        let new: Value = match &part.content {
            Content::Fresh(doc) => Some(Bytes::copy_from_slice(doc.as_bytes())),
            Content::Whole(bytes) => Some(bytes.clone()),
            Content::Difference(difference) => match old_doc {
                Some(old) => {
                    let updated = diff::apply(old, difference);
                    Some(Bytes::from(updated.ok_or_else(|| bad("the update does not fit"))?.into_bytes()))
                }
                // It was copied after its removal, which comes.
                None if self.imported => return Ok(()),
                None => return Err(bad("the updated record is not there")),
            },
            Content::Gone => None,
        };
        let new_doc = new.as_ref().map(|bytes| RawDocument::from_bytes(bytes)).transpose();
        let new_doc = new_doc.map_err(|error| bad(&error.to_string()))?;
        let record_key = keyspace::strip(part.key.clone());
        for index in part.collection.secondary() {
            let change = index_change_accepted(index, &record_key, old_doc, new_doc)?;
            let mut count = Count::default();
            for key in change.removed {
                count.add(Count { records: -1, bytes: -(key.len() as i64) });
                self.put(key, part, None, several);
            }
            for (key, prefix_len) in change.added {
                check_key(self.shared, key.len())?;
                count.add(Count { records: 1, bytes: key.len() as i64 });
                self.put(key, part, Some(entry_value(prefix_len)), several);
            }
            if !count.is_zero() {
                self.done.deltas.push((part.record, (index.id.0, count)));
            }
            let fresh = change.multikey & !index.multikey_fields();
            if fresh != 0 {
                self.done.marks.push((part.record, part.collection.id.0, index.id, fresh));
            }
        }
        check_key(self.shared, part.key.len())?;
        let mut count = Count::default();
        if let Some(new) = &new {
            count.add(Count { records: 1, bytes: new.len() as i64 });
        }
        if let Some(old) = &old {
            count.add(Count { records: -1, bytes: -(old.len() as i64) });
        }
        if !count.is_zero() {
            self.done.deltas.push((part.record, (part.collection.id.0, count)));
        }
        self.put(part.key.clone(), part, new, several);
        Ok(())
    }

    /// What it supersedes goes at once, if no reader can want it: hot keys would fill memory between checkpoints.
    fn put_version(&self, key: &[u8], at: Timestamp, value: Value) {
        self.shared.versions.put_over(key, at, value, self.prune_limit);
    }

    fn put(&mut self, key: Bytes, part: &Part<'_>, value: Value, several: bool) {
        if several {
            self.own.insert(key, value);
        } else {
            self.put_version(&key, part.at, value);
        }
    }
}
