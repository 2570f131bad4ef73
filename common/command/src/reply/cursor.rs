//! `{cursor: {firstBatch | nextBatch, id, ns}}`, written straight into one buffer.

/// A cursor reply under construction.
#[derive(Debug)]
pub struct CursorReply {
    pub(crate) bytes: Vec<u8>,
}
