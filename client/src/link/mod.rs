//! The client's own end of the MongoDB wire protocol: one blocking socket per connection, one request at a time.
//! Replies are read without decoding whole documents. Knows nothing of clusters or files.

mod connection;
mod cursor;
mod error;
mod message;
mod reply;
mod session;
pub(crate) mod uri;
mod write_concern;
mod writer;

#[cfg(test)]
pub(crate) mod fake;

pub(crate) use connection::Connection;
pub(crate) use error::{Error, ServerError};
pub(crate) use message::Message;
pub(crate) use reply::{WriteReply, first_batch};
pub(crate) use session::Session;
pub(crate) use uri::{Target, Uri};
pub(crate) use write_concern::WriteConcernFlags;
pub(crate) use writer::Writer;
