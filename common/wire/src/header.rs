//! The sixteen bytes in front of every message.

use crate::{Error, read::Reader};
use types::limits;

/// Bytes of a header.
pub const HEADER_BYTES: usize = 16;

/// What follows the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OpCode {
    /// 1, the answer to OP_QUERY.
    Reply,
    /// 2004, only for the handshake.
    Query,
    /// 2012, another message in compressed form.
    Compressed,
    /// 2013, everything else.
    Msg,
    /// 2001, 2002, 2005, 2006, 2007: writes and cursors of drivers from before 2016.
    Legacy(i32),
    /// No operation that was ever defined.
    Unknown(i32),
}

impl OpCode {
    /// The number on the wire.
    pub fn number(self) -> i32 {
        match self {
            OpCode::Reply => 1,
            OpCode::Query => 2004,
            OpCode::Compressed => 2012,
            OpCode::Msg => 2013,
            OpCode::Legacy(number) | OpCode::Unknown(number) => number,
        }
    }

    /// The operation of a number.
    pub fn from_number(number: i32) -> OpCode {
        match number {
            1 => OpCode::Reply,
            2004 => OpCode::Query,
            2012 => OpCode::Compressed,
            2013 => OpCode::Msg,
            2001 | 2002 | 2005 | 2006 | 2007 => OpCode::Legacy(number),
            other => OpCode::Unknown(other),
        }
    }
}

/// A message header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Bytes of the whole message, header included.
    pub message_length: u32,
    pub request_id: i32,
    /// The `request_id` that this message answers; 0 in requests.
    pub response_to: i32,
    pub op_code: OpCode,
}

impl Header {
    /// Reads a header and checks its length against `message_bytes_max`.
    ///
    /// # Errors
    /// [`Error::MessageLength`], or [`Error::Truncated`] for fewer than sixteen bytes.
    pub fn parse(bytes: &[u8], message_bytes_max: usize) -> Result<Header, Error> {
        let mut reader = Reader::new(bytes);
        let length = reader.i32().ok_or(Error::Truncated)?;
        let message_length = check_length(length, message_bytes_max)?;
        let request_id = reader.i32().ok_or(Error::Truncated)?;
        let response_to = reader.i32().ok_or(Error::Truncated)?;
        let op_code = OpCode::from_number(reader.i32().ok_or(Error::Truncated)?);
        Ok(Header { message_length, request_id, response_to, op_code })
    }

    /// The header as bytes.
    pub fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        let words =
            [self.message_length.cast_signed(), self.request_id, self.response_to, self.op_code.number()];
        for (place, word) in out.chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        out
    }
}

/// Checks the first word of a message, which can be done before the rest of the header is there.
///
/// # Errors
/// [`Error::MessageLength`] below sixteen, negative, or above the limit.
pub fn check_length(length: i32, message_bytes_max: usize) -> Result<u32, Error> {
    match u32::try_from(length) {
        Ok(checked)
            if checked as usize >= HEADER_BYTES
                && checked as usize <= message_bytes_max.min(limits::MESSAGE_BYTES_MAX) =>
        {
            Ok(checked)
        }
        _ => Err(Error::MessageLength(length)),
    }
}
