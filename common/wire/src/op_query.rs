//! OP_QUERY, only as far as drivers start a connection with it: hello and isMaster on `db.$cmd`.

use crate::frame::Frame;
use crate::header::HEADER_BYTES;
use crate::op_msg::{invalid, shared};
use crate::read::Reader;
use crate::{Error, Header, OpCode};
use bson::{RawBsonRef, RawDocument, RawDocumentBuf};
use bytes::Bytes;
use value::SharedDoc;

/// A handshake command. The body carries `$db`, taken from the namespace, so that it looks like one that came by OP_MSG.
#[derive(Debug, Clone, PartialEq)]
pub struct OpQuery {
    pub db: String,
    pub body: SharedDoc,
}

/// Parses a frame whose operation is OP_QUERY.
///
/// # Errors
/// [`Error::UnsupportedOpQuery`] for anything but a handshake; see [`Error`].
pub fn parse(frame: &Frame) -> Result<OpQuery, Error> {
    let message = &frame.message;
    let mut reader = Reader::new(message);
    reader.take(HEADER_BYTES + 4).ok_or(Error::Truncated)?;
    let namespace = reader.c_string().ok_or(Error::Truncated)?;
    let namespace = String::from_utf8_lossy(namespace).into_owned();
    reader.take(8).ok_or(Error::Truncated)?;
    let query = reader.document().ok_or_else(|| invalid("query length does not fit the message"))?;
    let query = shared(message, query)?;

    let Some(db) = namespace.strip_suffix(".$cmd") else {
        return Err(Error::UnsupportedOpQuery(format!("find on {namespace}")));
    };
    let command = match query.get("$query") {
        Ok(Some(RawBsonRef::Document(inner))) => query.share(inner),
        _ => query,
    };
    let mut body = RawDocumentBuf::new();
    for (index, element) in command.iter().enumerate() {
        let (name, value) = element.map_err(invalid)?;
        if index == 0 && !matches!(name.as_str(), "hello" | "isMaster" | "ismaster") {
            return Err(Error::UnsupportedOpQuery(name.as_str().to_owned()));
        }
        if name.as_str() != "$db" {
            body.append(name, value);
        }
    }
    if body.is_empty() {
        return Err(Error::UnsupportedOpQuery(String::new()));
    }
    body.append(bson::raw::cstr!("$db"), db);
    Ok(OpQuery { db: db.to_owned(), body: SharedDoc::from(body) })
}

/// Builds the handshake of a driver, for clients and tests.
///
/// # Errors
/// [`Error::MessageLength`] if it is longer than a message can be.
pub fn encode(request_id: i32, db: &str, command: &RawDocument) -> Result<Bytes, Error> {
    let namespace = format!("{db}.$cmd");
    let length = HEADER_BYTES + 4 + namespace.len() + 1 + 8 + command.as_bytes().len();
    let message_length = u32::try_from(length).map_err(|_| Error::MessageLength(i32::MAX))?;
    let header = Header { message_length, request_id, response_to: 0, op_code: OpCode::Query };
    let mut out = Vec::with_capacity(length);
    out.extend_from_slice(&header.to_bytes());
    out.extend_from_slice(&0_i32.to_le_bytes());
    out.extend_from_slice(namespace.as_bytes());
    out.push(0);
    out.extend_from_slice(&0_i32.to_le_bytes());
    out.extend_from_slice(&(-1_i32).to_le_bytes());
    out.extend_from_slice(command.as_bytes());
    Ok(Bytes::from(out))
}
