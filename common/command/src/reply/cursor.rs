//! `{cursor: {firstBatch | nextBatch, id, ns}}`, written straight into one buffer, and read back by routers.

use crate::Reply;
use bson::{RawBsonRef, RawDocument, RawDocumentBuf};
use types::{Code, Fault, Namespace, Timestamp, limits};
use value::SharedDoc;

/// A cursor reply under construction: documents are copied once, to where they are sent from.
#[derive(Debug)]
pub struct CursorReply {
    bytes: Vec<u8>,
    ns: Namespace,
    /// Where the batch array begins; the cursor document begins at a fixed place.
    array: usize,
    count: usize,
    limit_bytes: usize,
    at_cluster_time: Option<Timestamp>,
}

/// Total length, type, "cursor" and NUL.
const CURSOR_AT: usize = 4 + 1 + 7;

impl CursorReply {
    /// The reply that opens a cursor: `firstBatch`.
    pub fn first(ns: &Namespace) -> CursorReply {
        CursorReply::new(ns, b"firstBatch\0")
    }

    /// The reply of getMore: `nextBatch`.
    pub fn next(ns: &Namespace) -> CursorReply {
        CursorReply::new(ns, b"nextBatch\0")
    }

    fn new(ns: &Namespace, batch: &[u8]) -> CursorReply {
        let mut bytes = Vec::with_capacity(512);
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(b"\x03cursor\0");
        bytes.extend_from_slice(&[0; 4]);
        bytes.push(0x04);
        bytes.extend_from_slice(batch);
        let array = bytes.len();
        bytes.extend_from_slice(&[0; 4]);
        CursorReply {
            bytes,
            ns: ns.clone(),
            array,
            count: 0,
            limit_bytes: limits::REPLY_BATCH_BYTES_MAX,
            at_cluster_time: None,
        }
    }

    /// Says at which one time the cursor reads.
    pub fn set_time(&mut self, at: Option<Timestamp>) {
        self.at_cluster_time = at;
    }

    /// Adds a document. `false`, and nothing is added, where it would make the batch longer than
    /// [`limits::REPLY_BATCH_BYTES_MAX`]; the first document always fits.
    #[must_use]
    pub fn push(&mut self, doc: &RawDocument) -> bool {
        self.push_bytes(doc.as_bytes())
    }

    fn push_bytes(&mut self, doc: &[u8]) -> bool {
        if self.count > 0 && self.batch_bytes() + doc.len() > self.limit_bytes {
            return false;
        }
        self.bytes.push(0x03);
        let mut digits = [0_u8; 20];
        let mut at = digits.len();
        let mut rest = self.count;
        loop {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        self.bytes.extend_from_slice(&digits[at..]);
        self.bytes.push(0);
        self.bytes.extend_from_slice(doc);
        self.count += 1;
        true
    }

    /// How many documents the batch has.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether the batch has no document.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes of the batch so far.
    pub fn batch_bytes(&self) -> usize {
        self.bytes.len() - self.array
    }

    /// The reply; `cursor_id` is 0 where there is nothing more to come.
    ///
    /// # Errors
    /// `InternalError` where what was written is no document.
    pub fn finish(mut self, cursor_id: i64) -> Result<Reply, Fault> {
        self.bytes.push(0);
        self.close(self.array);
        if let Some(at) = self.at_cluster_time {
            self.bytes.extend_from_slice(b"\x11atClusterTime\0");
            self.bytes.extend_from_slice(&at.0.to_le_bytes());
        }
        self.bytes.extend_from_slice(b"\x12id\0");
        self.bytes.extend_from_slice(&cursor_id.to_le_bytes());
        self.bytes.extend_from_slice(b"\x02ns\0");
        let ns = self.ns.as_str();
        let length = u32::try_from(ns.len() + 1).unwrap_or(u32::MAX);
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(ns.as_bytes());
        self.bytes.extend_from_slice(b"\0\0");
        self.close(CURSOR_AT);
        self.bytes.push(0);
        self.close(0);
        RawDocumentBuf::from_bytes(self.bytes)
            .map(Reply::from)
            .map_err(|error| Fault::internal(format!("cursor reply does not encode: {error}")))
    }

    /// Writes the length of the document or array that began at `start` and ends here.
    fn close(&mut self, start: usize) {
        let length = u32::try_from(self.bytes.len() - start).unwrap_or(u32::MAX).to_le_bytes();
        if let Some(place) = self.bytes.get_mut(start..start + 4) {
            place.copy_from_slice(&length);
        }
    }
}

/// A batch as a server sent it.
#[derive(Debug, Clone, PartialEq)]
pub struct CursorBatch {
    /// 0 where the cursor is exhausted.
    pub id: i64,
    pub ns: Namespace,
    /// Share the bytes of the reply.
    pub documents: Vec<SharedDoc>,
}

impl CursorBatch {
    /// Reads `{cursor: {…}}`. Errors of the reply itself (`ok: 0`) are the caller's.
    ///
    /// # Errors
    /// `FailedToParse` (9) where the reply has another shape.
    pub fn parse(reply: &SharedDoc) -> Result<CursorBatch, Fault> {
        let bad = |what: &str| Fault::new(Code::FailedToParse, format!("cursor reply without {what}"));
        let Ok(Some(RawBsonRef::Document(cursor))) = reply.get("cursor") else { return Err(bad("cursor")) };
        let (mut id, mut ns, mut documents) = (None, None, None);
        for element in cursor.iter() {
            let (name, value) = element.map_err(|error| Fault::new(Code::InvalidBSON, error.to_string()))?;
            match (name.as_str(), value) {
                ("id", RawBsonRef::Int64(number)) => id = Some(number),
                ("ns", RawBsonRef::String(name)) => {
                    let (db, collection) = name.split_once('.').ok_or_else(|| bad("ns"))?;
                    ns = Some(crate::crud::get_more::cursor_namespace(db, collection)?);
                }
                ("firstBatch" | "nextBatch", RawBsonRef::Array(batch)) => {
                    let mut list = Vec::new();
                    for document in batch {
                        match document.map_err(|error| Fault::new(Code::InvalidBSON, error.to_string()))? {
                            RawBsonRef::Document(document) => list.push(reply.share(document)),
                            _ => return Err(bad("documents")),
                        }
                    }
                    documents = Some(list);
                }
                _ => {}
            }
        }
        Ok(CursorBatch {
            id: id.ok_or_else(|| bad("id"))?,
            ns: ns.ok_or_else(|| bad("ns"))?,
            documents: documents.ok_or_else(|| bad("batch"))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::{Document, doc, rawdoc};

    #[test]
    fn a_reply_reads_back() {
        let ns = Namespace::parse("d.c").unwrap();
        let mut reply = CursorReply::first(&ns);
        for number in 0..12 {
            assert!(reply.push(&rawdoc! {"n": number}));
        }
        assert_eq!(reply.len(), 12);
        let reply = reply.finish(77).unwrap();
        let batch: Vec<Document> = (0..12).map(|number| doc! {"n": number}).collect();
        assert_eq!(
            Document::try_from(&*reply.doc).unwrap(),
            doc! {"cursor": {"firstBatch": batch, "id": 77_i64, "ns": "d.c"}}
        );
        let read = CursorBatch::parse(&reply.doc.into()).unwrap();
        assert_eq!((read.id, read.ns, read.documents.len()), (77, ns.clone(), 12));

        let empty = CursorReply::next(&ns).finish(0).unwrap();
        assert_eq!(
            Document::try_from(&*empty.doc).unwrap(),
            doc! {"cursor": {"nextBatch": [], "id": 0_i64, "ns": "d.c"}}
        );
    }

    #[test]
    fn a_batch_has_an_end() {
        let mut reply =
            CursorReply { limit_bytes: 100, ..CursorReply::first(&Namespace::parse("d.c").unwrap()) };
        assert!(reply.push(&rawdoc! {"long": "x".repeat(200)}), "the first always fits");
        assert!(!reply.push(&rawdoc! {}));
        assert_eq!(reply.len(), 1);
    }
}
