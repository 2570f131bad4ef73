//! What can be wrong with bytes, and what the peer gets for it.

use std::borrow::Cow;
use types::{Code, Fault};

/// What a server does about an [`Error`].
#[derive(Debug, Clone, PartialEq)]
pub enum Reaction {
    /// Answer with the error; the frame was sound, so the connection goes on.
    Reply(Fault),
    /// Answer with the error, then close: what follows in the stream cannot be trusted.
    ReplyThenClose(Fault),
    /// Close without a word.
    Close,
}

/// Why bytes are not a message.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    #[error("message length {0} is out of range")]
    MessageLength(i32),
    #[error("message ends too early")]
    Truncated,
    #[error("unknown operation code {0}")]
    UnknownOpCode(i32),
    #[error("operation code {0} is of a driver too old for this server")]
    LegacyOpCode(i32),
    #[error("a reply arrived where a request was due")]
    UnexpectedReply,
    #[error("OP_QUERY is only for hello and isMaster, not {0}")]
    UnsupportedOpQuery(String),
    #[error("flags {0:#010x} have unknown required bits")]
    IllegalFlags(u32),
    #[error("checksum {found:#010x} does not match the message, which has {computed:#010x}")]
    Checksum { found: u32, computed: u32 },
    #[error("checksum is announced but there is no room for it")]
    ChecksumMissing,
    #[error("message without body section")]
    NoBody,
    #[error("message with two body sections")]
    TwoBodies,
    #[error("unknown section kind {0}")]
    SectionKind(u8),
    #[error("more than two document sequences")]
    TooManySequences,
    #[error("document sequence {0} appears twice")]
    DuplicateSequence(String),
    #[error("document sequence {0} is also a field of the body")]
    SequenceInBody(String),
    #[error("document sequence of {0} bytes does not fit its message")]
    SequenceSize(i32),
    #[error("name of a document sequence is not text")]
    SequenceName,
    /// A document that is not BSON, nested too deeply, or otherwise refused by `value::validate`.
    #[error("{0}")]
    Document(Fault),
    #[error("compressed message of {0} bytes is too short")]
    CompressedTooShort(usize),
    #[error("compressed message announces {0} bytes")]
    UncompressedSize(i32),
    #[error("compressed message inside a compressed message")]
    NestedCompression,
    #[error("compressor {0} is not known or was not negotiated")]
    Compressor(u8),
    #[error("compressed data are damaged: {0}")]
    Compression(Cow<'static, str>),
}

impl Error {
    /// What a server does about it.
    pub fn reaction(&self) -> Reaction {
        match self {
            Error::MessageLength(_)
            | Error::Truncated
            | Error::UnknownOpCode(_)
            | Error::LegacyOpCode(_)
            | Error::UnexpectedReply
            | Error::ChecksumMissing
            | Error::CompressedTooShort(_)
            | Error::UncompressedSize(_)
            | Error::NestedCompression
            | Error::Compressor(_)
            | Error::Compression(_) => Reaction::Close,
            Error::IllegalFlags(_)
            | Error::Checksum { .. }
            | Error::TooManySequences
            | Error::SequenceSize(_)
            | Error::SequenceName => Reaction::ReplyThenClose(self.fault()),
            Error::UnsupportedOpQuery(_)
            | Error::NoBody
            | Error::TwoBodies
            | Error::SectionKind(_)
            | Error::DuplicateSequence(_)
            | Error::SequenceInBody(_)
            | Error::Document(_) => Reaction::Reply(self.fault()),
        }
    }

    /// The error as a client (or the log) sees it.
    pub fn fault(&self) -> Fault {
        let (code, message) = match self {
            Error::Document(fault) => return fault.clone(),
            Error::MessageLength(_)
            | Error::Truncated
            | Error::UnexpectedReply
            | Error::ChecksumMissing
            | Error::UnknownOpCode(_)
            | Error::LegacyOpCode(_) => (Code::ProtocolError, self.to_string()),
            Error::UnsupportedOpQuery(name) => (
                Code::UnsupportedOpQueryCommand,
                format!("Unsupported OP_QUERY command: {name}. The client driver may require an upgrade."),
            ),
            Error::IllegalFlags(flags) => {
                (Code::IllegalOpMsgFlag, format!("Message contains illegal flags value: {flags:#010x}"))
            }
            Error::Checksum { .. } => {
                (Code::ChecksumMismatch, "OP_MSG checksum does not match contents".to_owned())
            }
            Error::NoBody => (Code::Location(40587), "OP_MSG messages must have a body".to_owned()),
            Error::TwoBodies => (Code::Location(40430), "Multiple body sections in message".to_owned()),
            Error::SectionKind(kind) => (Code::Location(40432), format!("Unknown section kind {kind}")),
            Error::TooManySequences => {
                (Code::TooManyDocumentSequences, "Too many document sequences in OP_MSG".to_owned())
            }
            Error::DuplicateSequence(name) => {
                (Code::Location(40431), format!("Duplicate document sequence: {name}"))
            }
            Error::SequenceInBody(name) => {
                (Code::Location(40433), format!("Duplicate field between body and document sequence {name}"))
            }
            Error::SequenceSize(_) | Error::SequenceName => (Code::ProtocolError, self.to_string()),
            Error::CompressedTooShort(_)
            | Error::UncompressedSize(_)
            | Error::NestedCompression
            | Error::Compressor(_)
            | Error::Compression(_) => (Code::BadValue, self.to_string()),
        };
        Fault::new(code, message)
    }
}
