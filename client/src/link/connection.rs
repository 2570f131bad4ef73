//! One blocking connection: handshake, then one request and its reply at a time.
//! After an error that ends it (see [`Error::ends_connection`]) a connection is dropped and a new one made by the caller.

use super::{Error, Message, Uri, WriteReply, reply};
use bson::{Bson, Document, RawDocument, doc};
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;
use types::limits;
use wire::{Compressor, Frame, Header, OpCode, header::HEADER_BYTES, op_compressed, op_msg};

/// The first read asks for this much: most replies come in one call.
const READ_BYTES: usize = 64 * 1024;
/// Wire version 6 is MongoDB 3.6, the first with OP_MSG and retryable writes.
const WIRE_VERSION_NEEDED: i32 = 6;
const COMMAND_NOT_FOUND: i32 = 59;

/// What the server said about itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hello {
    /// It is a router of a sharded cluster.
    pub(crate) is_router: bool,
    /// The replica set it is an initiated member of.
    pub(crate) set_name: Option<String>,
    /// It takes writes.
    pub(crate) is_writable: bool,
    /// It follows a primary and has all that its set had when it joined.
    pub(crate) is_secondary: bool,
    /// It knows logical sessions.
    pub(crate) has_sessions: bool,
}

impl Hello {
    /// Whether a write that carries a transaction number may be sent again.
    pub(crate) fn retries_writes(&self) -> bool {
        self.has_sessions && (self.is_router || self.set_name.is_some())
    }
}

/// A connection to one server.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    address: String,
    hello: Hello,
    compressor: Option<Compressor>,
    timeout: Duration,
    last_request: i32,
    received: Vec<u8>,
}

impl Connection {
    /// Connects to one of the hosts, beginning with the `nth`, so that several connections spread over several routers.
    ///
    /// # Errors
    /// The error of the last host tried.
    pub(crate) fn open(uri: &Uri, nth: usize) -> Result<Connection, Error> {
        let mut result = Connection::open_at(&uri.address(nth), uri);
        for step in 1..uri.hosts.len() {
            if result.is_ok() {
                break;
            }
            result = Connection::open_at(&uri.address(nth + step), uri);
        }
        result
    }

    fn open_at(address: &str, uri: &Uri) -> Result<Connection, Error> {
        let options = &uri.options;
        let stream = connect_socket(address, options.connect_timeout)
            .map_err(|source| Error::Connect { address: address.to_owned(), source })?;
        let mut connection = Connection {
            stream,
            address: address.to_owned(),
            hello: Hello::default(),
            compressor: None,
            timeout: options.connect_timeout,
            last_request: 0,
            received: vec![0; READ_BYTES],
        };
        let configured = connection
            .stream
            .set_nodelay(true)
            .and_then(|()| connection.stream.set_read_timeout(Some(options.connect_timeout)))
            .and_then(|()| connection.stream.set_write_timeout(Some(options.socket_timeout)));
        configured.map_err(|source| connection.lost(source))?;
        connection.shake_hands(uri)?;
        connection.set_timeout(options.socket_timeout)?;
        Ok(connection)
    }

    /// How long a reply may take from now on.
    pub(crate) fn set_timeout(&mut self, timeout: Duration) -> Result<(), Error> {
        self.timeout = timeout;
        self.stream.set_read_timeout(Some(timeout)).map_err(|source| self.lost(source))
    }

    /// What the server said about itself when the connection was made.
    pub(crate) fn hello(&self) -> &Hello {
        &self.hello
    }

    /// The peer, as `host:port`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    fn shake_hands(&mut self, uri: &Uri) -> Result<(), Error> {
        let metadata = doc! {
            "application": { "name": &uri.options.app_name },
            "driver": { "name": "shoal", "version": env!("CARGO_PKG_VERSION") },
            "os": { "type": std::env::consts::OS, "architecture": std::env::consts::ARCH },
        };
        let offered: Vec<&str> = uri.options.compressors.iter().map(|compressor| compressor.name()).collect();
        let command = doc! { "hello": 1, "helloOk": true, "client": metadata, "compression": offered };
        let answer = match self.run("admin", &command) {
            // Servers before 4.4.2 know it by its old name only.
            Err(Error::Server(error)) if error.code == COMMAND_NOT_FOUND => {
                let mut older = doc! { "isMaster": 1 };
                older.extend(
                    command.into_iter().filter(|(name, _)| name == "client" || name == "compression"),
                );
                self.run("admin", &older)?
            }
            other => other?,
        };
        let max = answer.get("maxWireVersion").and_then(as_i64).unwrap_or(0);
        if max < i64::from(WIRE_VERSION_NEEDED) {
            return Err(
                self.rejected(format!("its wire version is {max}; {WIRE_VERSION_NEEDED} or later is needed"))
            );
        }
        self.hello = Hello {
            is_router: answer.get_str("msg").is_ok_and(|msg| msg == "isdbgrid"),
            set_name: answer.get_str("setName").ok().map(str::to_owned),
            is_secondary: answer.get_bool("secondary").unwrap_or(false),
            is_writable: answer
                .get_bool("isWritablePrimary")
                .or_else(|_| answer.get_bool("ismaster"))
                .unwrap_or(false),
            has_sessions: answer.contains_key("logicalSessionTimeoutMinutes"),
        };
        if let Some(wanted) = &uri.options.replica_set
            && self.hello.set_name.as_ref() != Some(wanted)
        {
            let found = self.hello.set_name.as_deref().unwrap_or("no replica set").to_owned();
            return Err(
                self.rejected(format!("it belongs to {found}, the connection string asks for {wanted}"))
            );
        }
        let accepted = answer.get_array("compression").cloned().unwrap_or_default();
        self.compressor = uri
            .options
            .compressors
            .iter()
            .copied()
            .find(|ours| accepted.iter().any(|theirs| theirs.as_str() == Some(ours.name())));
        Ok(())
    }

    /// Runs a command and decodes its reply. For everything that is not a hot path.
    ///
    /// # Errors
    /// Also [`Error::Server`] if the command failed, or a write error or write concern error is in the reply.
    pub(crate) fn run(&mut self, db: &str, command: &Document) -> Result<Document, Error> {
        let mut message = Message::of(db, command)
            .map_err(|error| Error::Protocol { address: self.address.clone(), reason: error.to_string() })?;
        let address = self.address.clone();
        let reply = self.exchange(&mut message)?;
        let written = WriteReply::read(reply)?;
        if let Some(error) =
            written.write_errors.into_iter().map(|(_, error)| error).next().or(written.concern_error)
        {
            return Err(error.into());
        }
        Document::try_from(reply).map_err(|error| Error::Protocol {
            address,
            reason: format!("the reply is not valid BSON: {error}"),
        })
    }

    /// Sends a request and waits for its reply. The reply's bytes live in the connection until the next request.
    ///
    /// # Errors
    /// [`Error::Server`] if the command failed as a whole.
    pub(crate) fn exchange(&mut self, message: &mut Message) -> Result<&RawDocument, Error> {
        let bytes = message.len();
        if bytes > limits::MESSAGE_BYTES_MAX {
            return Err(Error::TooLarge { bytes, limit: limits::MESSAGE_BYTES_MAX });
        }
        self.last_request = self.last_request.wrapping_add(1);
        let sealed = message.seal(self.last_request);
        let sent = match self.compressor {
            None => self.stream.write_all(sealed),
            Some(compressor) => match op_compressed::compress(sealed, compressor) {
                Ok(smaller) => self.stream.write_all(&smaller),
                Err(error) => return Err(self.malformed(error.to_string())),
            },
        };
        sent.map_err(|source| self.lost(source))?;
        let body = self.receive()?;
        let raw = self.received.get(body.clone()).and_then(|bytes| RawDocument::from_bytes(bytes).ok());
        let Some(document) = raw else {
            return Err(self.malformed("the reply is not a document".to_owned()));
        };
        reply::check(document)?;
        Ok(document)
    }

    /// Reads one message and returns where its body document lies in `received`.
    fn receive(&mut self) -> Result<std::ops::Range<usize>, Error> {
        let mut filled = 0;
        while filled < HEADER_BYTES {
            filled += self.read_at(filled)?;
        }
        let header = self.header()?;
        let length = header.message_length as usize;
        while filled < length {
            if self.received.len() < length {
                self.received.resize(length, 0);
            }
            filled += self.read_at(filled)?;
        }
        if filled > length {
            return Err(self.malformed("it sent more than one reply".to_owned()));
        }
        if header.response_to != self.last_request {
            return Err(self.malformed("its reply is to another request".to_owned()));
        }
        match header.op_code {
            OpCode::Msg => self.body(length),
            OpCode::Compressed => {
                let length = self.decompress(length)?;
                self.body(length)
            }
            other => Err(self.malformed(format!("its reply has operation code {}", other.number()))),
        }
    }

    fn read_at(&mut self, filled: usize) -> Result<usize, Error> {
        let Some(room) = self.received.get_mut(filled..) else { return Ok(0) };
        loop {
            return match self.stream.read(room) {
                Ok(0) => Err(self.lost(io::Error::new(io::ErrorKind::UnexpectedEof, "closed by the server"))),
                Ok(count) => Ok(count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Err(self.lost(error)),
            };
        }
    }

    fn header(&self) -> Result<Header, Error> {
        let bytes = self.received.get(..HEADER_BYTES).unwrap_or_default();
        Header::parse(bytes, limits::MESSAGE_BYTES_MAX).map_err(|error| self.malformed(error.to_string()))
    }

    fn decompress(&mut self, length: usize) -> Result<usize, Error> {
        let whole = bytes::Bytes::copy_from_slice(self.received.get(..length).unwrap_or_default());
        let plain = Frame::from_message(whole, limits::MESSAGE_BYTES_MAX)
            .and_then(|frame| op_compressed::decompress(&frame, limits::MESSAGE_BYTES_MAX, |_| true))
            .map_err(|error| self.malformed(error.to_string()))?;
        let message = &plain.0.message;
        if plain.0.header.op_code != OpCode::Msg {
            return Err(self.malformed("the compressed reply is not an OP_MSG".to_owned()));
        }
        if self.received.len() < message.len() {
            self.received.resize(message.len(), 0);
        }
        if let Some(place) = self.received.get_mut(..message.len()) {
            place.copy_from_slice(message);
        }
        Ok(message.len())
    }

    /// Finds the body of an OP_MSG; replies have one section.
    fn body(&self, length: usize) -> Result<std::ops::Range<usize>, Error> {
        let start = op_msg::PRELUDE_BYTES;
        let bytes = self.received.get(..length).unwrap_or_default();
        let (Some(flags), Some(0), Some(size)) =
            (word(bytes, HEADER_BYTES), bytes.get(start - 1).copied(), word(bytes, start))
        else {
            return Err(self.malformed("its reply has no body".to_owned()));
        };
        let checksum = if flags & op_msg::CHECKSUM_PRESENT != 0 { 4 } else { 0 };
        if size as usize + start + checksum != length {
            return Err(self.malformed("its reply is not one document".to_owned()));
        }
        Ok(start..start + size as usize)
    }

    fn lost(&self, source: io::Error) -> Error {
        match source.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                Error::TimedOut { address: self.address.clone(), after: self.timeout }
            }
            _ => Error::Lost { address: self.address.clone(), source },
        }
    }

    fn malformed(&self, reason: String) -> Error {
        Error::Protocol { address: self.address.clone(), reason }
    }

    fn rejected(&self, reason: String) -> Error {
        Error::Rejected { address: self.address.clone(), reason }
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes)
}

fn as_i64(value: &Bson) -> Option<i64> {
    match value {
        Bson::Int32(number) => Some(i64::from(*number)),
        Bson::Int64(number) => Some(*number),
        Bson::Double(number) => Some(*number as i64),
        _ => None,
    }
}

fn connect_socket(address: &str, timeout: Duration) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for candidate in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&candidate, timeout) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::fake::{Answer, Fake};

    #[test]
    fn commands_and_errors() {
        let fake = Fake::start(|command| match command.iter().next().map(|(name, _)| name.as_str()) {
            Some("ping") => Answer::Reply(doc! { "ok": 1.0, "db": command.get_str("$db").unwrap() }),
            Some("slow") => Answer::Nothing,
            Some("die") => Answer::Close,
            Some("junk") => Answer::Bytes(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()),
            _ => Answer::Reply(
                doc! { "ok": 0.0, "errmsg": "no such command", "code": 59, "codeName": "CommandNotFound" },
            ),
        });
        let uri: Uri = fake.uri().parse().unwrap();
        let open = || Connection::open(&uri, 0).unwrap();
        let mut connection = open();
        assert!(connection.hello().is_router && connection.hello().retries_writes());
        assert_eq!(connection.run("x", &doc! { "ping": 1 }).unwrap().get_str("db").unwrap(), "x");
        match connection.run("x", &doc! { "zing": 1 }) {
            Err(error @ Error::Server(_)) => {
                assert!(!error.ends_connection() && error.cause() == "CommandNotFound")
            }
            other => panic!("{other:?}"),
        }
        assert!(connection.run("x", &doc! { "ping": 1 }).is_ok(), "goes on after an error");
        connection.set_timeout(Duration::from_millis(50)).unwrap();
        assert!(matches!(connection.run("x", &doc! { "slow": 1 }), Err(Error::TimedOut { .. })));
        assert!(matches!(open().run("x", &doc! { "die": 1 }), Err(Error::Lost { .. })));
        assert!(matches!(open().run("x", &doc! { "junk": 1 }), Err(Error::Protocol { .. })));
    }

    #[test]
    fn compression_is_negotiated() {
        let fake = Fake::start(|_| Answer::Reply(doc! { "ok": 1, "text": "x".repeat(10_000) }));
        for name in ["snappy", "zlib", "zstd"] {
            let uri: Uri = format!("{}?compressors={name}", fake.uri()).parse().unwrap();
            let mut connection = Connection::open(&uri, 0).unwrap();
            assert_eq!(connection.compressor.map(Compressor::name), Some(name));
            assert_eq!(
                connection.run("a", &doc! { "ping": 1 }).unwrap().get_str("text").unwrap().len(),
                10_000
            );
        }
    }

    #[test]
    fn hosts_are_tried_in_turn() {
        let fake = Fake::start(|_| Answer::Reply(doc! { "ok": 1 }));
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let uri: Uri = format!("mongodb://{closed},{}/", fake.address()).parse().unwrap();
        for nth in 0..3 {
            assert_eq!(Connection::open(&uri, nth).unwrap().address(), fake.address());
        }
        let uri: Uri = format!("mongodb://{closed}/").parse().unwrap();
        assert!(matches!(Connection::open(&uri, 0), Err(Error::Connect { .. })));
        let uri: Uri = format!("{}?replicaSet=rs7", fake.uri()).parse().unwrap();
        assert!(matches!(Connection::open(&uri, 0), Err(Error::Rejected { .. })));
    }
}
