//! A logical session and its transaction numbers: what makes a write safe to send twice.

use super::Writer;

/// One session; not shared between threads.
#[derive(Debug)]
pub(crate) struct Session {
    id: [u8; 16],
    next_number: i64,
}

impl Session {
    /// A session with a fresh random id (a version 4 UUID).
    pub(crate) fn start() -> Session {
        let mut id: [u8; 16] = rand::random();
        id[6] = (id[6] & 0x0F) | 0x40;
        id[8] = (id[8] & 0x3F) | 0x80;
        Session { id, next_number: 0 }
    }

    /// Appends `lsid`.
    pub(crate) fn write_id(&self, body: &mut Writer) {
        let lsid = body.begin_document("lsid");
        body.binary("id", 4, &self.id);
        body.end(lsid);
    }

    /// Appends `lsid` and a new `txnNumber`: a repetition of the same bytes is executed once.
    pub(crate) fn write_retryable(&mut self, body: &mut Writer) {
        self.write_id(body);
        self.next_number += 1;
        body.int64("txnNumber", self.next_number);
    }
}
