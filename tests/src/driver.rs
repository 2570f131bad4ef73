//! A client on one socket: commands as documents, and for bad input, bytes as they are. No retries, no pool, no session
//! of its own, so that a test decides about each of them.

use bson::{Bson, Document, RawDocument, RawDocumentBuf, doc};
use bytes::{Bytes, BytesMut};
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;
use types::limits::MESSAGE_BYTES_MAX;
use wire::frame::{Split, split};
use wire::{Frame, OpCode, op_compressed, op_msg, op_reply};

/// An answer that takes longer than this is a hang.
const ANSWER_WAIT: Duration = Duration::from_secs(60);
const READ_BYTES: usize = 64 * 1024;

/// An answer with `ok: 0`.
#[derive(Debug, Clone, PartialEq)]
pub struct Error {
    pub code: i32,
    pub name: String,
    pub message: String,
    pub labels: Vec<String>,
    pub reply: Box<Document>,
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}: {}", self.code, self.name, self.message)
    }
}

/// What came back on a socket.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    Document(Document),
    /// The server closed the connection.
    Closed,
}

/// One connection.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    buffer: BytesMut,
    next_id: i32,
}

impl Connection {
    /// Connects to `host:port`.
    pub fn open(address: &str) -> Connection {
        Connection::try_open(address).unwrap_or_else(|error| panic!("connecting to {address}: {error}"))
    }

    /// Connects, or tells why not.
    pub fn try_open(address: &str) -> io::Result<Connection> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_WAIT))?;
        stream.set_write_timeout(Some(ANSWER_WAIT))?;
        Ok(Connection { stream, buffer: BytesMut::new(), next_id: 1 })
    }

    /// Sends a command and returns its answer.
    ///
    /// # Panics
    /// If the answer is an error, or none comes.
    pub fn run(&mut self, db: &str, command: Document) -> Document {
        let shown = shorten(&command.to_string());
        self.command(db, command).unwrap_or_else(|error| panic!("{shown}\n  answered {error}"))
    }

    /// Sends a command that must fail, and returns the error.
    ///
    /// # Panics
    /// If it succeeds, or no answer comes.
    pub fn fail(&mut self, db: &str, command: Document) -> Error {
        let shown = shorten(&command.to_string());
        match self.command(db, command) {
            Ok(reply) => panic!("{shown}\n  should fail, but answered {reply}"),
            Err(error) => error,
        }
    }

    /// Sends a command; `ok: 0` is an error.
    ///
    /// # Errors
    /// The server's.
    ///
    /// # Panics
    /// If no answer comes.
    pub fn command(&mut self, db: &str, command: Document) -> Result<Document, Error> {
        let shown = shorten(&command.to_string());
        match self.exchange(db, command) {
            Ok(Answer::Document(reply)) => verdict(reply),
            Ok(Answer::Closed) => panic!("{shown}\n  the server closed the connection"),
            Err(error) => panic!("{shown}\n  no answer: {error}"),
        }
    }

    /// Sends a command and takes what comes.
    ///
    /// # Errors
    /// If the connection breaks or nothing comes in time.
    pub fn exchange(&mut self, db: &str, mut command: Document) -> io::Result<Answer> {
        command.insert("$db", db);
        self.send(0, &raw(&command))?;
        self.receive()
    }

    /// Sends an OP_MSG with the flags and body.
    pub fn send(&mut self, flags: u32, body: &RawDocument) -> io::Result<()> {
        self.next_id += 1;
        let message = op_msg::encode(self.next_id, 0, flags, body, []).map_err(io::Error::other)?;
        self.send_bytes(&message)
    }

    /// Sends bytes as they are.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// No more is sent; the server sees the end of the stream.
    pub fn end_sending(&mut self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }

    /// How long [`Connection::receive`] waits.
    pub fn set_patience(&mut self, patience: Duration) {
        self.stream.set_read_timeout(Some(patience)).unwrap();
    }

    /// The next whole message, or `None` when the server closed the connection.
    pub fn receive_frame(&mut self) -> io::Result<Option<Frame>> {
        loop {
            if let Split::Frame(frame) =
                split(&mut self.buffer, MESSAGE_BYTES_MAX).map_err(io::Error::other)?
            {
                return Ok(Some(frame));
            }
            if !self.read_some()? {
                return Ok(None);
            }
        }
    }

    /// The next answer.
    pub fn receive(&mut self) -> io::Result<Answer> {
        match self.receive_frame()? {
            Some(frame) => document_of(&frame).map(Answer::Document),
            None => Ok(Answer::Closed),
        }
    }

    /// All bytes up to the end of the stream.
    pub fn rest(&mut self) -> io::Result<Bytes> {
        while self.read_some()? {}
        Ok(self.buffer.split().freeze())
    }

    /// Reads what is there; a reset is as good as a close.
    fn read_some(&mut self) -> io::Result<bool> {
        let mut chunk = [0; READ_BYTES];
        match self.stream.read(&mut chunk) {
            Ok(0) => Ok(false),
            Ok(count) => {
                self.buffer.extend_from_slice(&chunk[..count]);
                Ok(true)
            }
            Err(error)
                if matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe) =>
            {
                Ok(false)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => self.read_some(),
            Err(error) => Err(error),
        }
    }

    /// All documents of a command that opens a cursor.
    ///
    /// # Panics
    /// As [`Connection::run`].
    pub fn all(&mut self, db: &str, command: Document) -> Vec<Document> {
        self.batches(db, command).into_iter().flatten().collect()
    }

    /// The batches of a command that opens a cursor; `batchSize` of its `getMore`s is that of the command.
    ///
    /// # Panics
    /// As [`Connection::run`].
    pub fn batches(&mut self, db: &str, command: Document) -> Vec<Vec<Document>> {
        let batch_size = command
            .get("batchSize")
            .or_else(|| command.get_document("cursor").ok().and_then(|cursor| cursor.get("batchSize")))
            .cloned();
        let reply = self.run(db, command);
        let mut cursor = Cursor::of(&reply, "firstBatch");
        let mut batches = vec![std::mem::take(&mut cursor.documents)];
        while cursor.id != 0 {
            let mut more = doc! { "getMore": cursor.id, "collection": &cursor.collection };
            if let Some(size) = &batch_size {
                more.insert("batchSize", size.clone());
            }
            cursor = Cursor::of(&self.run(db, more), "nextBatch");
            batches.push(std::mem::take(&mut cursor.documents));
        }
        batches
    }
}

/// The part of an answer that is a cursor.
#[derive(Debug, Clone, PartialEq)]
pub struct Cursor {
    pub id: i64,
    pub collection: String,
    pub documents: Vec<Document>,
}

impl Cursor {
    /// Reads it; `batch` is `firstBatch` or `nextBatch`.
    ///
    /// # Panics
    /// If the answer has no cursor.
    pub fn of(reply: &Document, batch: &str) -> Cursor {
        let cursor = reply.get_document("cursor").unwrap_or_else(|_| panic!("no cursor in {reply}"));
        let ns = cursor.get_str("ns").unwrap();
        Cursor {
            id: cursor.get_i64("id").unwrap(),
            collection: ns.split_once('.').unwrap().1.to_owned(),
            documents: cursor
                .get_array(batch)
                .unwrap_or_else(|_| panic!("no {batch} in {reply}"))
                .iter()
                .map(|document| document.as_document().unwrap().clone())
                .collect(),
        }
    }
}

/// `Err` for `ok: 0`.
///
/// # Errors
/// The server's error.
pub fn verdict(reply: Document) -> Result<Document, Error> {
    if number(&reply, "ok") == 1.0 {
        return Ok(reply);
    }
    Err(Error {
        code: reply.get_i32("code").unwrap_or_default(),
        name: reply.get_str("codeName").unwrap_or_default().to_owned(),
        message: reply.get_str("errmsg").unwrap_or_default().to_owned(),
        labels: reply
            .get_array("errorLabels")
            .map(|labels| labels.iter().filter_map(|label| label.as_str().map(str::to_owned)).collect())
            .unwrap_or_default(),
        reply: Box::new(reply),
    })
}

/// A number of any width.
///
/// # Panics
/// If the field is missing or not a number.
pub fn number(document: &Document, name: &str) -> f64 {
    match document.get(name) {
        Some(Bson::Int32(number)) => f64::from(*number),
        Some(Bson::Int64(number)) => *number as f64,
        Some(Bson::Double(number)) => *number,
        other => panic!("{name} is {other:?} in {document}"),
    }
}

/// A document as raw bytes.
///
/// # Panics
/// If it has no form in BSON, as with a NUL in a field name.
pub fn raw(document: &Document) -> RawDocumentBuf {
    RawDocumentBuf::try_from(document).unwrap()
}

fn document_of(frame: &Frame) -> io::Result<Document> {
    let body = match frame.header.op_code {
        OpCode::Compressed => {
            let inner = op_compressed::decompress(frame, MESSAGE_BYTES_MAX, |_| true);
            return document_of(&inner.map_err(io::Error::other)?.0);
        }
        OpCode::Reply => {
            let reply = op_reply::parse(frame).map_err(io::Error::other)?;
            reply.documents.into_iter().next().ok_or_else(|| io::Error::other("an empty OP_REPLY"))?
        }
        _ => op_msg::parse(frame).map_err(io::Error::other)?.body,
    };
    Document::try_from(&*body).map_err(io::Error::other)
}

fn shorten(text: &str) -> String {
    const LENGTH_MAX: usize = 400;
    match text.char_indices().nth(LENGTH_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
