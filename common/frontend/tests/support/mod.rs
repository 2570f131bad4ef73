//! A small server behind the real front end on a real socket, and a client that speaks bytes.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use bson::{Document, RawDocumentBuf, doc};
use bytes::BytesMut;
use command::{Access, BoxFuture, Context, Reply, Request, Spec};
use frontend::operations::Operations;
use frontend::{
    Admitted, Front, FrontOptions, Frontend, Gossip, Hello, Host, Listening, Options, Registry, Role,
};
use runtime::Tasks;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use types::{Code, Fault, SessionId, Timestamp, limits};
use wire::frame::{Split, split};
use wire::{Compressor, Frame, OpCode, op_compressed, op_msg, op_query, op_reply};

pub struct TestHost {
    front: Arc<Front>,
    pub topology: watch::Sender<u64>,
}

impl Host for TestHost {
    fn front(&self) -> &Arc<Front> {
        &self.front
    }

    fn hello(&self) -> Hello {
        Hello { role: Role::Router, read_only: false }
    }

    fn topology(&self) -> watch::Receiver<u64> {
        self.topology.subscribe()
    }

    fn gossip(&self) -> Option<Gossip> {
        Some(Gossip { cluster_time: Timestamp::new(100, 2), operation_time: Timestamp::new(100, 1) })
    }

    fn gossip_settled(&self) -> Option<Gossip> {
        Some(Gossip { cluster_time: Timestamp::new(100, 2), operation_time: Timestamp::new(90, 1) })
    }

    fn admit(
        self: &Arc<TestHost>,
        spec: &Spec<TestHost>,
        _ctx: &Context,
        _request: &Request,
    ) -> Option<BoxFuture<Result<Admitted, Fault>>> {
        let refused = Err(Fault::new(Code::NotWritablePrimary, "not primary"));
        (spec.name == "refused").then(|| Box::pin(std::future::ready(refused)) as BoxFuture<_>)
    }

    fn server_status(&self, status: &mut Document) {
        status.insert("ofTheHost", true);
    }

    fn refresh_sessions(self: &Arc<TestHost>, _sessions: Vec<SessionId>) -> BoxFuture<Result<(), Fault>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn end_sessions(self: &Arc<TestHost>, _sessions: Vec<SessionId>) -> BoxFuture<Result<(), Fault>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn end_all_sessions(self: &Arc<TestHost>) -> BoxFuture<Result<(), Fault>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

fn spec(name: &'static str, run: command::Handler<TestHost>) -> Spec<TestHost> {
    Spec {
        name,
        aliases: &[],
        access: Access::Read,
        admin_only: false,
        internal_only: false,
        names_collection: false,
        help: "for tests",
        run,
    }
}

fn nothing(_: Arc<TestHost>, _: Context, _: Request) -> BoxFuture<Result<Reply, Fault>> {
    Box::pin(std::future::ready(Ok(Reply::ok())))
}

/// What the server knows besides the common commands.
fn specs() -> Vec<Spec<TestHost>> {
    let mut all = frontend::commands::commands();
    all.extend([
        spec("panics", |_, _, request| Box::pin(async move { panic!("asked to, by {}", request.name()) })),
        spec("yields", |_, _, request| {
            Box::pin(async move {
                tokio::task::yield_now().await;
                Ok(Reply::from(&*request.body))
            })
        }),
        spec("runsUntilKilled", |_, ctx, _| {
            Box::pin(async move {
                while !ctx.killed.load(Ordering::Relaxed) {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                ctx.check(std::time::Instant::now())?;
                Ok(Reply::ok())
            })
        }),
        spec("large", |_, _, _| {
            Box::pin(async move { Reply::try_from(doc! { "text": "x".repeat(16 * 1024 * 1024) }) })
        }),
        spec("tooLarge", |_, _, _| {
            Box::pin(async move { Reply::try_from(doc! { "text": "x".repeat(limits::MESSAGE_BYTES_MAX) }) })
        }),
        spec("refused", nothing),
        Spec { access: Access::Write, ..spec("insert", nothing) },
        Spec {
            access: Access::Write,
            ..spec("update", |_, _, _| {
                Box::pin(
                    async move { Reply::try_from(doc! { "n": 1, "writeConcernError": { "code": 189 } }) },
                )
            })
        },
        Spec { admin_only: true, ..spec("onAdmin", nothing) },
        Spec { internal_only: true, ..spec("forPeers", nothing) },
        Spec { access: Access::Missing, ..spec("mapReduce", nothing) },
    ]);
    all
}

pub struct Server {
    pub host: Arc<TestHost>,
    pub listening: Listening,
    pub tasks: Tasks,
}

impl Server {
    pub async fn start() -> Server {
        Server::with_connections(None).await
    }

    pub async fn with_connections(connections_max: Option<usize>) -> Server {
        let front = Front::new(FrontOptions {
            process: "test",
            host: "localhost:1".to_owned(),
            startup_warnings: vec!["only a test".to_owned()],
            ..FrontOptions::default()
        });
        let host = Arc::new(TestHost { front, topology: watch::Sender::new(0) });
        let tasks = Tasks::new();
        let registry = Arc::new(Registry::new(specs()).unwrap());
        let options = Options { port: 0, connections_max, ..Options::default() };
        let listening = Frontend::start(Arc::clone(&host), registry, options, &tasks).await.unwrap();
        Server { host, listening, tasks }
    }

    pub fn address(&self) -> SocketAddr {
        *self.listening.addresses.first().unwrap()
    }

    pub async fn connect(&self) -> Peer {
        let stream = TcpStream::connect(self.address()).await.unwrap();
        Peer { stream, buffer: BytesMut::new(), next_id: 1 }
    }

    pub fn bad_input(&self) -> u64 {
        self.host.front.counters.bad_input.get()
    }

    pub fn panics(&self) -> u64 {
        self.host.front.counters.panics.get()
    }

    pub fn operations(&self) -> Arc<Operations> {
        Arc::clone(&self.host.front.operations)
    }

    pub fn connections(&self) -> usize {
        self.host.front.connection_count()
    }
}

pub fn raw(doc: &Document) -> RawDocumentBuf {
    RawDocumentBuf::try_from(doc).unwrap()
}

/// One connection to the server.
pub struct Peer {
    pub stream: TcpStream,
    buffer: BytesMut,
    next_id: i32,
}

/// A reply as it came.
#[derive(Debug)]
pub struct Answer {
    pub request_id: i32,
    pub response_to: i32,
    pub flags: u32,
    pub compressor: Option<Compressor>,
    pub doc: Document,
}

impl Peer {
    pub async fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    pub async fn send(&mut self, flags: u32, body: &Document) -> i32 {
        let id = self.next_id;
        self.next_id += 1;
        let message = op_msg::encode(id, 0, flags, &raw(body), []).unwrap();
        self.send_bytes(&message).await;
        id
    }

    pub async fn send_compressed(&mut self, compressor: Compressor, body: &Document) {
        let message = op_msg::encode(77, 0, 0, &raw(body), []).unwrap();
        let message = op_compressed::compress(&message, compressor).unwrap();
        self.send_bytes(&message).await;
    }

    pub async fn run(&mut self, body: Document) -> Document {
        let id = self.send(0, &body).await;
        let answer = self.receive().await.unwrap();
        assert_eq!(answer.response_to, id, "{body}");
        answer.doc
    }

    pub async fn run_legacy(&mut self, db: &str, body: &Document) -> (u32, Document) {
        let message = op_query::encode(9, db, &raw(body)).unwrap();
        self.send_bytes(&message).await;
        let frame = self.frame().await.unwrap();
        assert_eq!((frame.header.op_code, frame.header.response_to), (OpCode::Reply, 9));
        let reply = op_reply::parse(&frame).unwrap();
        (reply.flags, Document::try_from(&**reply.documents.first().unwrap()).unwrap())
    }

    /// The next reply; `None` once the server has closed.
    pub async fn receive(&mut self) -> Option<Answer> {
        let mut frame = self.frame().await?;
        let mut compressor = None;
        if frame.header.op_code == OpCode::Compressed {
            let (inner, by) = op_compressed::decompress(&frame, limits::MESSAGE_BYTES_MAX, |_| true).unwrap();
            (frame, compressor) = (inner, Some(by));
        }
        let message = op_msg::parse(&frame).unwrap();
        Some(Answer {
            request_id: frame.header.request_id,
            response_to: frame.header.response_to,
            flags: message.flags,
            compressor,
            doc: Document::try_from(&*message.body).unwrap(),
        })
    }

    async fn frame(&mut self) -> Option<Frame> {
        loop {
            match split(&mut self.buffer, limits::MESSAGE_BYTES_MAX).unwrap() {
                Split::Frame(frame) => return Some(frame),
                Split::Need(_) => match self.stream.read_buf(&mut self.buffer).await {
                    Ok(count) if count > 0 => {}
                    _ => return None,
                },
            }
        }
    }

    /// Everything up to the end of the stream.
    pub async fn rest(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        // A reset after data that nobody read is an end as well.
        self.stream.read_to_end(&mut all).await.ok();
        all
    }
}

/// Waits until `condition` holds.
pub async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..100_000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("{what} did not happen");
}
