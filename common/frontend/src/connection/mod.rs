//! One driver's connection: one task, requests in order, no hand-over between tasks. While a command runs, the socket is
//! watched, so that a peer that went away stops its command.

mod input;
mod output;

use self::input::first_bytes;
use self::output::Answer;
use crate::dispatch::{Call, dispatch};
use crate::front::Connected;
use crate::listener::Slot;
use crate::sniff::{HTTP_ANSWER, Speaker};
use crate::{Front, Host, PrefixedStream, Registry, exhaust, reply, socket};
use bson::RawDocumentBuf;
use bytes::BytesMut;
use command::{Access, Client, Reply, Request, Sequence};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use types::{Code, Fault, limits};
use wire::{Compressor, OpCode, OpMsg, Reaction, op_msg, op_query};

/// Requests that arrive while another one runs are read up to this size; the rest waits in the socket.
const READ_AHEAD_BYTES_MAX: usize = 64 * 1024;
/// Why a connection ends.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Closed {
    #[error("by peer")]
    Peer,
    #[error("by peer inside a message")]
    Cut,
    #[error("server stops")]
    Stopping,
    #[error("no complete message in time")]
    Slow,
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Input(wire::Error),
    /// As [`Closed::Input`], but answered and counted already.
    #[error("{0}")]
    Refused(wire::Error),
    #[error("TLS hello on a port without TLS")]
    Tls,
    #[error("HTTP request")]
    Http,
    #[error("no service takes gRPC here")]
    NoGrpc,
}

/// What a connection shares with the others.
pub(crate) struct Shared<S: Host> {
    pub(crate) host: Arc<S>,
    pub(crate) registry: Arc<Registry<S>>,
    pub(crate) grpc: mpsc::Sender<PrefixedStream>,
}

/// Serves a fresh socket until it ends, or hands it to gRPC.
pub(crate) async fn serve<S: Host>(
    shared: Arc<Shared<S>>,
    mut stream: TcpStream,
    client: Client,
    slot: Slot,
    stop: CancellationToken,
) {
    let (connection_id, remote) = (client.connection_id, client.remote);
    let mut buffer = BytesMut::new();
    let opened = Instant::now();
    let first = first_bytes(&mut stream, &mut buffer, &stop).await;
    let ended = match first {
        Err(closed) => closed,
        Ok(Speaker::Grpc) => {
            let stream = PrefixedStream::new(buffer.freeze(), stream, slot);
            match shared.grpc.send(stream).await {
                Ok(()) => return,
                Err(_) => Closed::NoGrpc,
            }
        }
        Ok(Speaker::Http) => match socket::write(&stream, HTTP_ANSWER, &[], &stop).await {
            Ok(()) => Closed::Http,
            Err(error) => Closed::Io(error),
        },
        Ok(Speaker::Wire) => {
            let front = Arc::clone(shared.host.front());
            let client = Arc::new(client);
            let connected = front.enter(&client);
            let connection = Connection {
                shared,
                front,
                client,
                stream,
                buffer,
                out: Vec::new(),
                negotiated: Vec::new(),
                next_request_id: 1,
                opened,
                greeted: false,
                stop,
                _connected: connected,
                _slot: slot,
            };
            return connection.run().await;
        }
    };
    tracing::debug!(connection_id, %remote, reason = %ended, "connection ended before its first message");
}

struct Connection<S: Host> {
    shared: Arc<Shared<S>>,
    front: Arc<Front>,
    client: Arc<Client>,
    stream: TcpStream,
    /// What was read and not yet taken as a message.
    buffer: BytesMut,
    /// Room for replies, reused.
    out: Vec<u8>,
    negotiated: Vec<Compressor>,
    next_request_id: i32,
    opened: Instant,
    /// Whether a whole message has arrived.
    greeted: bool,
    stop: CancellationToken,
    _connected: Connected,
    _slot: Slot,
}

impl<S: Host> Connection<S> {
    async fn run(mut self) {
        let ended = loop {
            if let Err(closed) = self.step().await {
                break closed;
            }
        };
        let (connection_id, remote) = (self.client.connection_id, self.client.remote);
        match ended {
            Closed::Input(_) | Closed::Refused(_) | Closed::Tls => {
                if !matches!(ended, Closed::Refused(_)) {
                    self.front.counters.bad_input.increment();
                }
                tracing::info!(connection_id, %remote, reason = %ended, "connection closed for bad input");
            }
            Closed::Slow => tracing::info!(connection_id, %remote, reason = %ended, "connection closed"),
            _ => tracing::debug!(connection_id, %remote, reason = %ended, "connection ended"),
        }
    }

    /// Serves one message.
    async fn step(&mut self) -> Result<(), Closed> {
        let frame = self.next_frame().await?;
        self.front.counters.bytes_in.add(frame.message.len() as u64);
        let (frame, compressor) = match frame.header.op_code {
            OpCode::Compressed => {
                let allowed = |compressor| self.negotiated.contains(&compressor);
                wire::op_compressed::decompress(&frame, limits::MESSAGE_BYTES_MAX, allowed)
                    .map(|(frame, compressor)| (frame, Some(compressor)))
                    .map_err(Closed::Input)?
            }
            _ => (frame, None),
        };
        let header = frame.header;
        let answer = Answer { response_to: header.request_id, flags: 0, compressor, legacy: false };
        match header.op_code {
            OpCode::Msg => match op_msg::parse(&frame) {
                Ok(message) => {
                    drop(frame);
                    self.serve_message(answer, message).await
                }
                Err(error) => {
                    let silent = op_msg::flags(&frame).is_some_and(|flags| flags & op_msg::MORE_TO_COME != 0);
                    self.refuse(answer, error, silent).await
                }
            },
            OpCode::Query => {
                let answer = Answer { legacy: true, ..answer };
                match op_query::parse(&frame) {
                    Ok(query) => {
                        let request = Request::from_body(query.body);
                        let doc = self.call(request, true).await?;
                        self.send(answer, &doc).await.map(|_| ())
                    }
                    Err(error) => self.refuse(answer, error, false).await,
                }
            }
            OpCode::Reply => Err(Closed::Input(wire::Error::UnexpectedReply)),
            OpCode::Compressed => Err(Closed::Input(wire::Error::NestedCompression)),
            OpCode::Legacy(number) => Err(Closed::Input(wire::Error::LegacyOpCode(number))),
            OpCode::Unknown(number) => Err(Closed::Input(wire::Error::UnknownOpCode(number))),
        }
    }

    async fn serve_message(&mut self, mut answer: Answer, message: OpMsg) -> Result<(), Closed> {
        let silent = message.has(op_msg::MORE_TO_COME);
        let exhaust = message.has(op_msg::EXHAUST_ALLOWED);
        let sequences = message
            .sequences
            .into_iter()
            .map(|sequence| Sequence { name: sequence.name, documents: sequence.documents })
            .collect();
        let mut request = Request { body: message.body, sequences };
        let hello = exhaust::is_hello(request.name());
        if !hello {
            let doc = self.call(request, false).await?;
            if silent {
                return Ok(());
            }
            return self.send(answer, &doc).await.map(|_| ());
        }
        let streams = exhaust && !silent && exhaust::awaits(&request.body);
        loop {
            let body = request.body.clone();
            let doc = self.call(request, true).await?;
            if silent {
                return Ok(());
            }
            // A peer that sends something new has had enough of this stream.
            let goes_on = streams && reply::is_ok(&doc) && self.buffer.is_empty();
            let next = if goes_on { exhaust::next_request(&body, &doc) } else { None };
            answer.flags = if next.is_some() { op_msg::MORE_TO_COME } else { 0 };
            let sent = self.send(answer, &doc).await?;
            match next {
                Some(body) => {
                    request = Request::from_body(body);
                    answer.response_to = sent;
                }
                None => return Ok(()),
            }
        }
    }

    /// Runs a command and yields its reply, `ok: 0` included.
    async fn call(&mut self, request: Request, hello: bool) -> Result<RawDocumentBuf, Closed> {
        let result = self.run_command(request, hello).await?;
        let doc = match result {
            Ok(answer) => answer.doc,
            Err(fault) => reply::fault(self.shared.host.as_ref(), &fault),
        };
        if hello && let Ok(names) = doc.get_array("compression") {
            self.negotiated =
                names.into_iter().filter_map(|name| Compressor::from_name(name.ok()?.as_str()?)).collect();
        }
        Ok(doc)
    }

    async fn run_command(&mut self, request: Request, hello: bool) -> Result<Result<Reply, Fault>, Closed> {
        let Connection { shared, client, stream, buffer, stop, .. } = self;
        let killed = Arc::new(AtomicBool::new(false));
        // What only looks at the process may simply be dropped when nobody waits for it, and hello may wait for long.
        let droppable = hello
            || shared.registry.find(request.name()).is_some_and(|spec| spec.access == Access::Handshake);
        let call = Call { killed: Arc::clone(&killed), ..Call::new(Arc::clone(client), request) };
        let mut work = pin!(dispatch(&shared.host, &shared.registry, call));
        let (mut watching, mut stopping) = (true, false);
        loop {
            watching &= buffer.len() < READ_AHEAD_BYTES_MAX;
            tokio::select! {
                biased;
                result = &mut work => return Ok(result.map_err(|fault| interrupted(fault, stopping))),
                read = socket::fill(stream, buffer, 1), if watching => {
                    if !matches!(read, Ok(count) if count > 0) {
                        killed.store(true, Ordering::Relaxed);
                        watching = false;
                        if droppable {
                            return Err(Closed::Peer);
                        }
                    }
                }
                () = stop.cancelled(), if !stopping => {
                    killed.store(true, Ordering::Relaxed);
                    stopping = true;
                    if droppable {
                        return Err(Closed::Stopping);
                    }
                }
            }
        }
    }

    /// Answers a message that was none, as far as its error allows.
    async fn refuse(&mut self, answer: Answer, error: wire::Error, silent: bool) -> Result<(), Closed> {
        let (fault, close) = match error.reaction() {
            Reaction::Close => return Err(Closed::Input(error)),
            Reaction::ReplyThenClose(fault) => (fault, true),
            Reaction::Reply(fault) => (fault, false),
        };
        self.front.counters.requests.increment();
        self.front.counters.faults.increment();
        self.front.counters.bad_input.increment();
        if !silent {
            let doc = reply::fault(self.shared.host.as_ref(), &fault);
            self.send(answer, &doc).await?;
        }
        if close {
            socket::linger(&mut self.stream, &mut self.buffer).await;
            return Err(Closed::Refused(error));
        }
        Ok(())
    }
}

/// An operation that was stopped because the server stops says so: drivers then try it elsewhere.
fn interrupted(fault: Fault, stopping: bool) -> Fault {
    if stopping && fault.code == Code::Interrupted {
        return Fault { code: Code::InterruptedAtShutdown, ..fault };
    }
    fault
}
