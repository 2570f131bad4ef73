//! OP_REPLY, the answer to a handshake that came by OP_QUERY.

use crate::frame::Frame;
use crate::header::HEADER_BYTES;
use crate::op_msg::{invalid, shared};
use crate::read::Reader;
use crate::{Error, Header, OpCode};
use bson::RawDocument;
use bytes::Bytes;
use value::SharedDoc;

/// Set in a reply whose document is an error.
pub const QUERY_FAILURE: u32 = 1 << 1;
/// Set by every server since 1.6.
pub const AWAIT_CAPABLE: u32 = 1 << 3;
/// Bytes between header and documents.
const PREFIX_BYTES: usize = 20;

/// A parsed OP_REPLY.
#[derive(Debug, Clone, PartialEq)]
pub struct OpReply {
    pub flags: u32,
    pub cursor_id: i64,
    pub starting_from: i32,
    pub documents: Vec<SharedDoc>,
}

/// Builds a reply of one document.
///
/// # Errors
/// [`Error::MessageLength`] if it is longer than a message can be.
pub fn encode(request_id: i32, response_to: i32, flags: u32, document: &RawDocument) -> Result<Bytes, Error> {
    let length = HEADER_BYTES + PREFIX_BYTES + document.as_bytes().len();
    let message_length = u32::try_from(length).map_err(|_| Error::MessageLength(i32::MAX))?;
    let header = Header { message_length, request_id, response_to, op_code: OpCode::Reply };
    let mut out = Vec::with_capacity(length);
    out.extend_from_slice(&header.to_bytes());
    out.extend_from_slice(&(flags | AWAIT_CAPABLE).to_le_bytes());
    out.extend_from_slice(&0_i64.to_le_bytes());
    out.extend_from_slice(&0_i32.to_le_bytes());
    out.extend_from_slice(&1_i32.to_le_bytes());
    out.extend_from_slice(document.as_bytes());
    Ok(Bytes::from(out))
}

/// Parses a frame whose operation is OP_REPLY; for clients.
///
/// # Errors
/// See [`Error`].
pub fn parse(frame: &Frame) -> Result<OpReply, Error> {
    let message = &frame.message;
    let mut reader = Reader::new(message);
    reader.take(HEADER_BYTES).ok_or(Error::Truncated)?;
    let flags = reader.u32().ok_or(Error::Truncated)?;
    let cursor_id = reader.i64().ok_or(Error::Truncated)?;
    let starting_from = reader.i32().ok_or(Error::Truncated)?;
    let count = reader.i32().ok_or(Error::Truncated)?;
    let mut documents = Vec::new();
    for _ in 0..count {
        let bytes = reader.document().ok_or_else(|| invalid("reply document does not fit the message"))?;
        documents.push(shared(message, bytes)?);
    }
    Ok(OpReply { flags, cursor_id, starting_from, documents })
}
