//! OP_MSG: flags, one body document, up to two document sequences, perhaps a checksum.

use crate::frame::Frame;
use crate::header::HEADER_BYTES;
use crate::read::Reader;
use crate::{Error, Header, OpCode, checksum};
use bson::RawDocument;
use bytes::Bytes;
use types::{Code, Fault, limits};
use value::SharedDoc;

/// The last four bytes are a CRC-32C of everything before them.
pub const CHECKSUM_PRESENT: u32 = 1;
/// In a request: no reply is wanted. In a reply: another one follows without being asked for.
pub const MORE_TO_COME: u32 = 1 << 1;
/// In a request: the client can take replies with [`MORE_TO_COME`].
pub const EXHAUST_ALLOWED: u32 = 1 << 16;
/// The bits that a receiver must understand; the rest may be ignored.
const REQUIRED_BITS: u32 = 0xFFFF;
/// Sequences in one message: `bulkWrite` has two, nothing has more.
const SEQUENCE_COUNT_MAX: usize = 2;

/// Documents under a name, beside the body.
#[derive(Debug, Clone, PartialEq)]
pub struct Sequence {
    pub name: String,
    pub documents: Vec<SharedDoc>,
}

/// A parsed OP_MSG. Its documents share the bytes of the message; who keeps one for long should copy it.
#[derive(Debug, Clone, PartialEq)]
pub struct OpMsg {
    pub flags: u32,
    pub body: SharedDoc,
    pub sequences: Vec<Sequence>,
}

impl OpMsg {
    /// Whether `bit` is set.
    pub fn has(&self, bit: u32) -> bool {
        self.flags & bit != 0
    }
}

/// The flags of an OP_MSG frame, however damaged the rest is: a bad message that wants no reply gets none.
pub fn flags(frame: &Frame) -> Option<u32> {
    Reader::new(frame.message.get(HEADER_BYTES..)?).u32()
}

/// Parses a frame whose operation is OP_MSG. Body and sequence documents are valid BSON afterwards.
///
/// # Errors
/// See [`Error`]; its [`Error::reaction`] says what to do.
pub fn parse(frame: &Frame) -> Result<OpMsg, Error> {
    let message = &frame.message;
    let mut reader = Reader::new(message);
    reader.take(HEADER_BYTES).ok_or(Error::Truncated)?;
    let flags = reader.u32().ok_or(Error::Truncated)?;
    let known = CHECKSUM_PRESENT | MORE_TO_COME;
    if flags & REQUIRED_BITS & !known != 0 {
        return Err(Error::IllegalFlags(flags));
    }
    if flags & CHECKSUM_PRESENT != 0 {
        let (sections, found) = reader.rest().split_last_chunk::<4>().ok_or(Error::ChecksumMissing)?;
        let covered = message.get(..message.len() - 4).ok_or(Error::ChecksumMissing)?;
        let (found, computed) = (u32::from_le_bytes(*found), checksum::crc32c(covered));
        if found != computed {
            return Err(Error::Checksum { found, computed });
        }
        reader = Reader::new(sections);
    }

    let mut body = None;
    let mut sequences: Vec<Sequence> = Vec::new();
    while let Some(kind) = reader.u8() {
        match kind {
            0 => {
                if body.is_some() {
                    return Err(Error::TwoBodies);
                }
                body = Some(document(message, &mut reader)?);
            }
            1 => {
                if sequences.len() == SEQUENCE_COUNT_MAX {
                    return Err(Error::TooManySequences);
                }
                let sequence = sequence(message, &mut reader)?;
                if sequences.iter().any(|other| other.name == sequence.name) {
                    return Err(Error::DuplicateSequence(sequence.name));
                }
                sequences.push(sequence);
            }
            other => return Err(Error::SectionKind(other)),
        }
    }
    let body = body.ok_or(Error::NoBody)?;
    if !sequences.is_empty() {
        for element in body.iter_elements() {
            let element = element.map_err(invalid)?;
            let name = element.key().as_str();
            if let Some(both) = sequences.iter().find(|sequence| sequence.name == name) {
                return Err(Error::SequenceInBody(both.name.clone()));
            }
        }
    }
    Ok(OpMsg { flags, body, sequences })
}

fn sequence(message: &Bytes, reader: &mut Reader<'_>) -> Result<Sequence, Error> {
    let size = reader.i32().ok_or(Error::SequenceSize(0))?;
    // The size counts its own four bytes and at least the NUL of the name.
    let content = usize::try_from(size)
        .ok()
        .filter(|size| *size >= 5)
        .and_then(|size| reader.take(size - 4))
        .ok_or(Error::SequenceSize(size))?;
    let mut content = Reader::new(content);
    let name = content.c_string().ok_or(Error::SequenceName)?;
    let name = std::str::from_utf8(name).map_err(|_| Error::SequenceName)?.to_owned();
    let mut documents = Vec::new();
    while !content.is_empty() {
        documents.push(document(message, &mut content)?);
    }
    Ok(Sequence { name, documents })
}

fn document(message: &Bytes, reader: &mut Reader<'_>) -> Result<SharedDoc, Error> {
    let bytes =
        reader.document().ok_or_else(|| invalid("document length does not fit the section that holds it"))?;
    shared(message, bytes)
}

/// A validated document as a share of the message's bytes, from which `bytes` must borrow.
pub(crate) fn shared(message: &Bytes, bytes: &[u8]) -> Result<SharedDoc, Error> {
    value::validate::document(bytes, limits::BSON_DEPTH_MAX).map_err(Error::Document)?;
    SharedDoc::new(message.slice_ref(bytes)).map_err(invalid)
}

pub(crate) fn invalid(why: impl ToString) -> Error {
    Error::Document(Fault::new(Code::InvalidBSON, why.to_string()))
}

/// Bytes before the body document: header, flags, section kind.
pub const PRELUDE_BYTES: usize = HEADER_BYTES + 5;

/// The bytes in front of the body of a message that has no sequences and no checksum, so that header and document can be
/// written to a socket without being copied together. `None` if the document is longer than a message can be.
pub fn prelude(
    request_id: i32,
    response_to: i32,
    flags: u32,
    body_bytes: usize,
) -> Option<[u8; PRELUDE_BYTES]> {
    let length = u32::try_from(PRELUDE_BYTES.checked_add(body_bytes)?).ok()?;
    if length as usize > limits::MESSAGE_BYTES_MAX {
        return None;
    }
    let header = Header { message_length: length, request_id, response_to, op_code: OpCode::Msg };
    let mut out = [0; PRELUDE_BYTES];
    let (head, rest) = out.split_first_chunk_mut::<HEADER_BYTES>()?;
    *head = header.to_bytes();
    *rest.first_chunk_mut::<4>()? = (flags & !CHECKSUM_PRESENT).to_le_bytes();
    Some(out)
}

/// Builds a message. With [`CHECKSUM_PRESENT`] in `flags` the checksum is computed and appended.
///
/// # Errors
/// [`Error::MessageLength`] if it is longer than a message can be.
pub fn encode<'a>(
    request_id: i32,
    response_to: i32,
    flags: u32,
    body: &RawDocument,
    sequences: impl IntoIterator<Item = (&'a str, &'a [SharedDoc])>,
) -> Result<Bytes, Error> {
    let mut out = Vec::with_capacity(PRELUDE_BYTES + body.as_bytes().len());
    encode_into(&mut out, request_id, response_to, flags, body, sequences)?;
    Ok(Bytes::from(out))
}

/// As [`encode`], at the end of a buffer that may already hold messages.
///
/// # Errors
/// As [`encode`]; `out` is as it was before.
pub fn encode_into<'a>(
    out: &mut Vec<u8>,
    request_id: i32,
    response_to: i32,
    flags: u32,
    body: &RawDocument,
    sequences: impl IntoIterator<Item = (&'a str, &'a [SharedDoc])>,
) -> Result<(), Error> {
    let start = out.len();
    let header = Header { message_length: 0, request_id, response_to, op_code: OpCode::Msg };
    out.extend_from_slice(&header.to_bytes());
    out.extend_from_slice(&flags.to_le_bytes());
    out.push(0);
    out.extend_from_slice(body.as_bytes());
    for (name, documents) in sequences {
        let documents_bytes: usize = documents.iter().map(|document| document.as_bytes().len()).sum();
        let size = 4 + name.len() + 1 + documents_bytes;
        out.push(1);
        out.extend_from_slice(&i32::try_from(size).unwrap_or(i32::MAX).to_le_bytes());
        out.extend_from_slice(name.as_bytes());
        out.push(0);
        for document in documents {
            out.extend_from_slice(document.as_bytes());
        }
    }
    let has_checksum = flags & CHECKSUM_PRESENT != 0;
    let length = out.len() - start + if has_checksum { 4 } else { 0 };
    if length > limits::MESSAGE_BYTES_MAX {
        out.truncate(start);
        return Err(Error::MessageLength(i32::try_from(length).unwrap_or(i32::MAX)));
    }
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    if let Some(place) = out.get_mut(start..).and_then(|message| message.first_chunk_mut::<4>()) {
        *place = length.to_le_bytes();
    }
    if has_checksum {
        let sum = checksum::crc32c(out.get(start..).unwrap_or_default());
        out.extend_from_slice(&sum.to_le_bytes());
    }
    Ok(())
}
