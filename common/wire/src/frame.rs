//! Cutting a byte stream into whole messages.

use crate::header::{HEADER_BYTES, check_length};
use crate::{Error, Header};
use bytes::{Bytes, BytesMut};

/// A whole message. `message` includes the header, because a checksum covers it.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    pub header: Header,
    pub message: Bytes,
}

impl Frame {
    /// A frame from the bytes of exactly one message.
    ///
    /// # Errors
    /// [`Error::MessageLength`] if the length field disagrees with the bytes.
    pub fn from_message(message: Bytes, message_bytes_max: usize) -> Result<Frame, Error> {
        let header = Header::parse(&message, message_bytes_max)?;
        if header.message_length as usize != message.len() {
            return Err(Error::MessageLength(header.message_length.cast_signed()));
        }
        Ok(Frame { header, message })
    }

    /// What follows the header, sharing the message's bytes.
    pub fn body(&self) -> Bytes {
        self.message.slice(HEADER_BYTES.min(self.message.len())..)
    }
}

/// What a buffer of received bytes holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Split {
    /// One message, taken out of the buffer.
    Frame(Frame),
    /// That many bytes more are needed; until the length word is there, to the end of the header.
    Need(usize),
}

/// Takes the first whole message out of `buffer`. A bad length is refused as soon as its four bytes are there.
///
/// # Errors
/// [`Error::MessageLength`]: nothing that follows can be trusted.
pub fn split(buffer: &mut BytesMut, message_bytes_max: usize) -> Result<Split, Error> {
    let Some(word) = buffer.first_chunk::<4>() else {
        return Ok(Split::Need(HEADER_BYTES - buffer.len()));
    };
    let length = check_length(i32::from_le_bytes(*word), message_bytes_max)? as usize;
    if buffer.len() < length {
        return Ok(Split::Need(length - buffer.len()));
    }
    let header = Header::parse(buffer, message_bytes_max)?;
    Ok(Split::Frame(Frame { header, message: buffer.split_to(length).freeze() }))
}
