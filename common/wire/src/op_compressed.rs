//! OP_COMPRESSED: another message in compressed form. Never nested.

use crate::frame::Frame;
use crate::header::HEADER_BYTES;
use crate::read::Reader;
use crate::{Compressor, Error, Header, OpCode};
use bytes::Bytes;
use types::limits;

/// Bytes before the compressed data: original operation, size, compressor.
const PREFIX_BYTES: usize = 9;

/// Restores the message inside. `allowed` tells whether a compressor was negotiated; `message_bytes_max` bounds the result.
///
/// # Errors
/// All of them end the connection: see the variants of [`Error`] about compression.
pub fn decompress(
    frame: &Frame,
    message_bytes_max: usize,
    allowed: impl Fn(Compressor) -> bool,
) -> Result<(Frame, Compressor), Error> {
    let body = frame.body();
    let short = Error::CompressedTooShort(body.len());
    if body.len() < PREFIX_BYTES {
        return Err(short);
    }
    let mut reader = Reader::new(&body);
    let (Some(op_code), Some(size), Some(id)) = (reader.i32(), reader.i32(), reader.u8()) else {
        return Err(short);
    };
    let op_code = OpCode::from_number(op_code);
    if op_code == OpCode::Compressed {
        return Err(Error::NestedCompression);
    }
    let compressor = Compressor::from_id(id).filter(|found| allowed(*found)).ok_or(Error::Compressor(id))?;
    let room = message_bytes_max.min(limits::MESSAGE_BYTES_MAX).saturating_sub(HEADER_BYTES);
    let wanted =
        usize::try_from(size).ok().filter(|size| *size <= room).ok_or(Error::UncompressedSize(size))?;
    let content = compressor.decompress(reader.rest(), wanted)?;
    let header = Header {
        message_length: length_of(HEADER_BYTES + content.len())?,
        request_id: frame.header.request_id,
        response_to: frame.header.response_to,
        op_code,
    };
    let mut message = Vec::with_capacity(HEADER_BYTES + content.len());
    message.extend_from_slice(&header.to_bytes());
    message.extend_from_slice(&content);
    Ok((Frame { header, message: Bytes::from(message) }, compressor))
}

/// Wraps a whole message.
///
/// # Errors
/// [`Error::Truncated`] if `message` has no header, [`Error::Compression`] if the library fails.
pub fn compress(message: &[u8], compressor: Compressor) -> Result<Bytes, Error> {
    let header = Header::parse(message, limits::MESSAGE_BYTES_MAX)?;
    let content = message.get(HEADER_BYTES..).ok_or(Error::Truncated)?;
    let data = compressor.compress(content)?;
    let length = HEADER_BYTES + PREFIX_BYTES + data.len();
    let outer = Header { message_length: length_of(length)?, op_code: OpCode::Compressed, ..header };
    let mut out = Vec::with_capacity(length);
    out.extend_from_slice(&outer.to_bytes());
    out.extend_from_slice(&header.op_code.number().to_le_bytes());
    let size = i32::try_from(content.len()).map_err(|_| Error::UncompressedSize(i32::MAX))?;
    out.extend_from_slice(&size.to_le_bytes());
    out.push(compressor.id());
    out.extend_from_slice(&data);
    Ok(Bytes::from(out))
}

fn length_of(bytes: usize) -> Result<u32, Error> {
    u32::try_from(bytes).map_err(|_| Error::MessageLength(i32::MAX))
}
