//! The log after a time, narrowed to one collection and a range of its record keys: with a snapshot scan of the same range, what
//! copies a collection or a chunk and keeps the copy up to date.
//! Record keys are those of the collection: of the `_id`, or in a capped collection the number of the record.
//! A record that leaves nothing of the range is passed over; a commit of several writes is handed out as those that are inside.

use super::fields::Fields;
use super::read::{OplogCursor, OplogReader};
use crate::Error;
use crate::collection::{Collection, RecordKey};
use bson::{RawBsonRef, RawDocument};
use types::{OpTime, Timestamp};
use value::SharedDoc;
use value::interval::KeyRange;

/// What happened to one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    Insert,
    Update,
    Delete,
}

/// One write inside the range.
#[derive(Debug, Clone)]
pub struct Change {
    pub op_time: OpTime,
    pub kind: ChangeKind,
    pub record_key: RecordKey,
    /// The write as the log has it: `{op, ns, ui, o, o2}`.
    pub op: SharedDoc,
}

/// The log after a time, narrowed. At the end `next` is `None`; called again later it goes on.
pub struct Changes {
    cursor: OplogCursor,
    collection: Collection,
    range: KeyRange,
    /// Of one commit, the next one last.
    pending: Vec<Change>,
}

impl OplogReader {
    /// Writes to the records of a range later than `after`, oldest first. Commands on the collection are not among them.
    ///
    /// # Errors
    /// As [`OplogReader::after`].
    pub fn changes(
        &self,
        after: Timestamp,
        collection: &Collection,
        range: &KeyRange,
    ) -> Result<Changes, Error> {
        let cursor = self.after(after)?;
        Ok(Changes { cursor, collection: collection.clone(), range: range.clone(), pending: Vec::new() })
    }
}

impl Changes {
    /// Up to where the log was looked through: everything of the range up to there was handed out, unless `next` said otherwise.
    pub fn position(&self) -> Timestamp {
        self.cursor.position()
    }

    fn take(&mut self, op_time: OpTime, doc: &RawDocument) -> Result<(), Error> {
        let bad = |what: &str| Fields::bad(op_time, what);
        let fields = Fields::of(doc, op_time)?;
        let kind = match fields.op {
            "i" => ChangeKind::Insert,
            "u" => ChangeKind::Update,
            "d" => ChangeKind::Delete,
            "c" => {
                let o = fields.o.ok_or_else(|| bad("o"))?;
                for part in o.get_array("applyOps").ok().into_iter().flatten() {
                    let Ok(RawBsonRef::Document(part)) = part else { return Err(bad("applyOps")) };
                    self.take(op_time, part)?;
                }
                return Ok(());
            }
            _ => return Ok(()),
        };
        if fields.uuid != Some(self.collection.uuid) {
            return Ok(());
        }
        let record_key = fields.record_key(&self.collection, op_time)?;
        let inside = record_key.as_ref() >= self.range.start.as_slice()
            && self.range.end.as_ref().is_none_or(|end| record_key.as_ref() < end.as_slice());
        if inside {
            let op = crate::snapshot::document(bytes::Bytes::copy_from_slice(doc.as_bytes()))?;
            self.pending.push(Change { op_time, kind, record_key, op });
        }
        Ok(())
    }
}

impl Iterator for Changes {
    type Item = Result<Change, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(change) = self.pending.pop() {
                return Some(Ok(change));
            }
            let taken = match self.cursor.next()? {
                Ok(entry) => self.take(entry.op_time, &entry.doc),
                Err(error) => Err(error),
            };
            if let Err(error) = taken {
                return Some(Err(error));
            }
            self.pending.reverse();
        }
    }
}
