//! Bytes to messages and back: frames, OP_MSG, OP_QUERY for the handshake, OP_REPLY, OP_COMPRESSED.
//! Pure: no sockets, no clock. Whatever the bytes are, the answer is a value or an [`Error`], and the error says whether the
//! peer gets a reply and whether the connection can go on. Nothing is allocated on the word of a length field.

pub mod checksum;
pub mod compressor;
pub mod error;
pub mod frame;
pub mod header;
pub mod op_compressed;
pub mod op_msg;
pub mod op_query;
pub mod op_reply;
mod read;

pub use compressor::Compressor;
pub use error::{Error, Reaction};
pub use frame::Frame;
pub use header::{Header, OpCode};
pub use op_msg::{OpMsg, Sequence};
pub use op_query::OpQuery;
pub use op_reply::OpReply;
