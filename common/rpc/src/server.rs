//! The answering side: reads operations off a peer's stream, runs each in a task of its own, sends replies as they get ready.
//! Everything else of a connection shares one task (see [`crate::together`]).

use crate::together::Together;
use crate::{
    CONNECTION_WINDOW_BYTES, KEEP_ALIVE_INTERVAL, KEEP_ALIVE_TIMEOUT, MESSAGE_BYTES_MAX, OUTBOX_COUNT_MAX,
    STREAM_COUNT_MAX, STREAM_OPERATION_COUNT_MAX, STREAM_WINDOW_BYTES, convert,
};
use command::{BoxFuture, Reply, Request, Routing};
use futures::StreamExt;
use hyper_util::rt::{TokioIo, TokioTimer};
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use parking_lot::Mutex;
use proto::cluster as pb;
use proto::cluster::cluster_server::{Cluster, ClusterServer};
use runtime::{Tasks, clock};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::Routes;
use tower::Service as _;
use tracing::Instrument;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use types::{Fault, Timestamp};

/// An operation as it arrived from a peer.
#[derive(Debug)]
pub struct Call {
    pub request: Request,
    pub routing: Option<Arc<Routing>>,
    pub deadline: Option<Instant>,
    /// Set when the peer no longer waits.
    pub killed: Arc<AtomicBool>,
    pub remote: Option<SocketAddr>,
}

/// A server that runs operations for its peers.
pub trait Operations: Send + Sync + 'static {
    /// Runs one operation.
    fn operate(self: Arc<Self>, call: Call) -> BoxFuture<Result<Reply, Fault>>;

    /// The cluster time and the time of the last write, for gossip.
    fn times(&self) -> (Timestamp, Timestamp);
}

/// Serves operations, and `more` services, on the connections that `incoming` yields, until the tasks stop.
pub fn serve<O, I, C>(operations: Arc<O>, more: Option<Routes>, incoming: I, tasks: &Tasks)
where
    O: Operations,
    I: futures::Stream<Item = std::io::Result<C>> + Send + 'static,
    C: tokio::io::AsyncRead
        + tokio::io::AsyncWrite
        + tonic::transport::server::Connected
        + Unpin
        + Send
        + 'static,
    C::ConnectInfo: Clone + Send + Sync + 'static,
{
    let service = ClusterServer::new(Service { operations, tasks: tasks.clone() })
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let routes = more.unwrap_or_default().add_service(service).prepare();
    let (owner, stop) = (tasks.clone(), tasks.token());
    tasks.spawn("grpc", async move {
        let mut incoming = std::pin::pin!(incoming);
        loop {
            let accepted = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                accepted = incoming.next() => accepted,
            };
            match accepted {
                Some(Ok(stream)) => serve_connection(stream, &routes, &owner),
                Some(Err(error)) => tracing::debug!(%error, "connection of a peer lost"),
                None => return,
            }
        }
    });
}

/// Serves one connection until the peer leaves or the tasks stop.
fn serve_connection<C>(stream: C, routes: &Routes, tasks: &Tasks)
where
    C: tokio::io::AsyncRead
        + tokio::io::AsyncWrite
        + tonic::transport::server::Connected
        + Unpin
        + Send
        + 'static,
    C::ConnectInfo: Clone + Send + Sync + 'static,
{
    let together = Together::new("peer-connection", tasks);
    let (info, routes, own) = (stream.connect_info(), routes.clone(), together.clone());
    let service = hyper::service::service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let mut request = request.map(tonic::body::Body::new);
        request.extensions_mut().insert(info.clone());
        request.extensions_mut().insert(own.clone());
        routes.clone().call(request)
    });
    let connection = hyper::server::conn::http2::Builder::new(together.clone())
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(STREAM_COUNT_MAX)
        .keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    together.add(async move {
        if let Err(error) = connection.await {
            tracing::debug!(?error, "connection of a peer ended");
        }
    });
}

struct Service<O> {
    operations: Arc<O>,
    tasks: Tasks,
}

#[tonic::async_trait]
impl<O: Operations> Cluster for Service<O> {
    type OperateStream = ReceiverStream<Result<pb::Reply, tonic::Status>>;

    async fn operate(
        &self,
        request: tonic::Request<tonic::Streaming<pb::Request>>,
    ) -> Result<tonic::Response<Self::OperateStream>, tonic::Status> {
        let together = Together::of(&request);
        let together = together.ok_or_else(|| tonic::Status::internal("connection without a task"))?;
        let (outbox, replies) = mpsc::channel(OUTBOX_COUNT_MAX);
        let session = Arc::new(Session {
            operations: self.operations.clone(),
            outbox,
            running: Mutex::default(),
            remote: request.remote_addr(),
            together: together.clone(),
        });
        let killed = KillWhenDropped(session.clone());
        let tasks = self.tasks.clone();
        let requests = request.into_inner();
        together.add(async move {
            session.read(requests, tasks).await;
            drop(killed);
        });
        Ok(tonic::Response::new(ReceiverStream::new(replies)))
    }
}

/// Stops what runs for a peer that is gone.
struct KillWhenDropped<O: Operations>(Arc<Session<O>>);

impl<O: Operations> Drop for KillWhenDropped<O> {
    fn drop(&mut self) {
        self.0.kill_all();
    }
}

/// One peer's stream.
struct Session<O> {
    operations: Arc<O>,
    outbox: mpsc::Sender<Result<pb::Reply, tonic::Status>>,
    /// Kill switches of what runs now.
    running: Mutex<HashMap<u64, Arc<AtomicBool>>>,
    remote: Option<SocketAddr>,
    together: Together,
}

impl<O: Operations> Session<O> {
    async fn read(self: Arc<Self>, mut requests: tonic::Streaming<pb::Request>, tasks: Tasks) {
        let slots = Arc::new(Semaphore::new(STREAM_OPERATION_COUNT_MAX));
        loop {
            let operation = match requests.message().await {
                Ok(Some(pb::Request { kind: Some(pb::request::Kind::Operation(operation)) })) => operation,
                Ok(Some(pb::Request { kind: Some(pb::request::Kind::Cancel(cancel)) })) => {
                    if let Some(killed) = self.running.lock().get(&cancel.id) {
                        killed.store(true, Ordering::Relaxed);
                    }
                    continue;
                }
                Ok(Some(pb::Request { kind: None })) => continue,
                Ok(None) => return,
                Err(status) => {
                    tracing::debug!(%status, remote = ?self.remote, "peer stream ended");
                    return;
                }
            };
            let Ok(slot) = slots.clone().acquire_owned().await else { return };
            let session = self.clone();
            tasks.spawn("operation", async move {
                session.run(operation).await;
                drop(slot);
            });
        }
    }

    async fn run(&self, operation: pb::Operation) {
        let id = operation.id;
        let killed = Arc::new(AtomicBool::new(false));
        {
            let mut running = self.running.lock();
            running.insert(id, killed.clone());
            self.together.note_operations(running.len());
        }
        let span = operation_span(&operation.traceparent);
        let result = if span.is_disabled() {
            self.answer(operation, killed).await
        } else {
            self.answer(operation, killed).instrument(span).await
        };
        {
            let mut running = self.running.lock();
            running.remove(&id);
            self.together.note_operations(running.len());
        }
        let (cluster_time, operation_time) = self.operations.times();
        let result = match result {
            Ok(reply) => pb::reply::Result::Body(reply.doc.into_bytes().into()),
            Err(fault) => pb::reply::Result::Fault(convert::fault_to_proto(&fault)),
        };
        let reply = pb::Reply {
            id,
            result: Some(result),
            cluster_time: cluster_time.0,
            operation_time: operation_time.0,
        };
        self.outbox.send(Ok(reply)).await.ok(); // the peer is gone, and its operations are killed
    }

    async fn answer(&self, operation: pb::Operation, killed: Arc<AtomicBool>) -> Result<Reply, Fault> {
        let deadline = (operation.deadline_ms > 0)
            .then(|| clock::now() + Duration::from_millis(u64::from(operation.deadline_ms)));
        let call = Call {
            request: convert::request(operation.body, operation.sequences)?,
            routing: operation.routing.as_ref().map(convert::routing).transpose()?.map(Arc::new),
            deadline,
            killed,
            remote: self.remote,
        };
        self.operations.clone().operate(call).await
    }

    fn kill_all(&self) {
        for killed in self.running.lock().values() {
            killed.store(true, Ordering::Relaxed);
        }
    }
}

/// The span of an operation, as a child of the router's where it sent one.
fn operation_span(traceparent: &str) -> tracing::Span {
    struct Header<'a>(&'a str);
    impl Extractor for Header<'_> {
        fn get(&self, key: &str) -> Option<&str> {
            (key == "traceparent").then_some(self.0)
        }
        fn keys(&self) -> Vec<&str> {
            vec!["traceparent"]
        }
    }
    let span = tracing::debug_span!(target: "shoal::op", "operate");
    if !span.is_disabled() && !traceparent.is_empty() {
        let parent = crate::peer::trace_context().extract(&Header(traceparent));
        if let Err(error) = span.set_parent(parent) {
            tracing::debug!(?error, "trace could not be continued");
        }
    }
    span
}
