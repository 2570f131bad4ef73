//! One batch of a cursor: where it ends (documents and bytes), and the sort key that a merging router asks for.
//! Documents are copied once, as bytes.

use bson::{RawDocument, RawDocumentBuf};
use command::{CursorReply, Reply};
use types::{Fault, Namespace, Timestamp, limits};

/// A batch while it grows.
pub(crate) struct Batch {
    reply: CursorReply,
    count_max: usize,
}

impl Batch {
    /// The batch of a command that opens a cursor: `asked` documents, or the default.
    pub(crate) fn first(ns: &Namespace, asked: Option<u64>) -> Batch {
        let count_max = match asked {
            Some(asked) => usize::try_from(asked).unwrap_or(usize::MAX),
            None => limits::FIRST_BATCH_COUNT_DEFAULT,
        };
        Batch { reply: CursorReply::first(ns), count_max }
    }

    /// The batch of a getMore; where nothing is asked, the bytes alone end it.
    pub(crate) fn next(ns: &Namespace, asked: Option<u64>) -> Batch {
        let count_max = asked.map_or(usize::MAX, |asked| usize::try_from(asked).unwrap_or(usize::MAX));
        Batch { reply: CursorReply::next(ns), count_max }
    }

    /// Says at which time the cursor reads.
    pub(crate) fn set_time(&mut self, at: Option<Timestamp>) {
        self.reply.set_time(at);
    }

    /// Whether the batch has all the documents that were asked for.
    pub(crate) fn is_full(&self) -> bool {
        self.reply.len() >= self.count_max || self.reply.batch_bytes() >= limits::REPLY_BATCH_BYTES_MAX
    }

    /// Whether nothing was appended yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.reply.len() == 0
    }

    /// Appends a document; `false`, and nothing is done, where there is no room for it.
    #[must_use]
    pub(crate) fn push(&mut self, doc: &RawDocument, sort_key: Option<&[u8]>) -> bool {
        if self.reply.len() >= self.count_max {
            return false;
        }
        match sort_key {
            None => self.reply.push(doc),
            Some(key) => self.reply.push(&with_sort_key(doc, key)),
        }
    }

    /// Closes the batch; `id` is 0 where no cursor stays open.
    pub(crate) fn finish(self, id: i64) -> Result<Reply, Fault> {
        self.reply.finish(id)
    }
}

/// `doc` with a binary field `$sortKey` at its end.
fn with_sort_key(doc: &RawDocument, sort_key: &[u8]) -> RawDocumentBuf {
    let mut keyed = doc.to_owned();
    let key = bson::raw::RawBinaryRef { subtype: bson::spec::BinarySubtype::Generic, bytes: sort_key };
    keyed.append(bson::cstr!("$sortKey"), key);
    keyed
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::{Document, doc, rawdoc};

    #[test]
    fn a_batch_ends_and_carries_sort_keys() {
        let ns = Namespace::parse("a.b").unwrap();
        let mut batch = Batch::first(&ns, Some(2));
        assert!(batch.push(&rawdoc! {"a": 1}, Some(&[1, 2])));
        assert!(!batch.is_full());
        assert!(batch.push(&rawdoc! {"a": 2}, None));
        assert!(batch.is_full());
        assert!(!batch.push(&rawdoc! {"a": 3}, None));
        let reply = Document::try_from(&*batch.finish(7).unwrap().doc).unwrap();
        let key = bson::Binary { subtype: bson::spec::BinarySubtype::Generic, bytes: vec![1, 2] };
        assert_eq!(
            reply,
            doc! {"cursor": {"firstBatch": [{"a": 1, "$sortKey": key}, {"a": 2}], "id": 7_i64, "ns": "a.b"}}
        );
    }
}
