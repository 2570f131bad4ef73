//! A server that we call: opens its stream when first needed and again after it broke.

use crate::link::Link;
use crate::network::{Connection, Network, Tcp};
use crate::together::Together;
use crate::{
    CONNECT_TIMEOUT, CONNECTION_WINDOW_BYTES, KEEP_ALIVE_INTERVAL, KEEP_ALIVE_TIMEOUT, MESSAGE_BYTES_MAX,
    OUTBOX_COUNT_MAX, STREAM_WINDOW_BYTES, convert,
};
use command::{Reply, Request, Routing};
use hyper_util::rt::TokioIo;
use opentelemetry::propagation::{Injector, TextMapPropagator};
use parking_lot::Mutex;
use proto::cluster as pb;
use proto::cluster::cluster_client::ClusterClient;
use proto::cluster::config_client::ConfigClient;
use proto::replication::replication_client::ReplicationClient;
use runtime::{Tasks, clock};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint, Uri};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use types::{Code, Fault, Timestamp};

/// What came back, with the peer's times to be gossiped on.
#[derive(Debug)]
pub struct Answer {
    pub reply: Reply,
    /// Highest cluster time the peer has seen.
    pub cluster_time: Timestamp,
    /// Time of the peer's last write, zero where it has none.
    pub operation_time: Timestamp,
}

/// One server, by host and port.
#[derive(Debug)]
pub struct Peer {
    host: Arc<str>,
    channel: Channel,
    link: Mutex<Option<Arc<Link>>>,
    /// Held while a stream is being opened, so that callers share one attempt; when and why the last one failed.
    opening: tokio::sync::Mutex<Option<(Instant, Fault)>>,
    /// Where the channel and the readers of its streams run.
    together: Together,
}

impl Peer {
    /// A peer at `host:port`; nothing is connected yet.
    ///
    /// # Errors
    /// `FailedToParse` (9) where `host` is not a host and port.
    pub fn new(host: &str, tasks: &Tasks) -> Result<Peer, Fault> {
        Peer::over(Arc::new(Tcp), host, tasks)
    }

    /// The same, over that network.
    ///
    /// # Errors
    /// `FailedToParse` (9) where `host` is not a host and port.
    pub fn over(network: Arc<dyn Network>, host: &str, tasks: &Tasks) -> Result<Peer, Fault> {
        let together = Together::new("peer", tasks);
        let endpoint = Endpoint::from_shared(format!("http://{host}"))
            .map_err(|error| Fault::new(Code::FailedToParse, format!("'{host}' is not host:port: {error}")))?
            .tcp_nodelay(true)
            .connect_timeout(CONNECT_TIMEOUT)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
            .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
            .keep_alive_while_idle(true)
            .executor(together.clone());
        Ok(Peer {
            host: Arc::from(host),
            channel: endpoint.connect_with_connector_lazy(connector(network, host)),
            link: Mutex::new(None),
            opening: tokio::sync::Mutex::new(None),
            together,
        })
    }

    /// `host:port`.
    pub fn host(&self) -> &Arc<str> {
        &self.host
    }

    /// Runs a command on the peer.
    ///
    /// # Errors
    /// The peer's own fault; `HostUnreachable` (6) where it cannot be reached or the connection broke, in which case a command that
    /// was on its way may or may not have run; `MaxTimeMSExpired` (50) past the deadline.
    pub async fn call(
        &self,
        request: &Request,
        routing: Option<&Routing>,
        deadline: Option<Instant>,
    ) -> Result<Answer, Fault> {
        let link = match deadline {
            None => self.link().await?,
            Some(deadline) => {
                let left = deadline.saturating_duration_since(clock::now());
                tokio::time::timeout(left, self.link()).await.map_err(|_| self.late())??
            }
        };
        self.call_on(&link, request, routing, deadline).await
    }

    fn late(&self) -> Fault {
        Fault::new(Code::MaxTimeMSExpired, format!("no answer from {} within maxTimeMS", self.host))
    }

    /// As [`Peer::call`], on a stream that is open.
    pub(crate) async fn call_on(
        &self,
        link: &Arc<Link>,
        request: &Request,
        routing: Option<&Routing>,
        deadline: Option<Instant>,
    ) -> Result<Answer, Fault> {
        let mut operation = convert::request_to_proto(0, request, routing);
        operation.traceparent = traceparent();
        match deadline {
            None => self.exchange(link, operation).await,
            Some(deadline) => {
                let left = deadline.saturating_duration_since(clock::now());
                operation.deadline_ms = u32::try_from(left.as_millis()).unwrap_or(u32::MAX).max(1);
                let outcome = tokio::time::timeout(left, self.exchange(link, operation)).await;
                outcome.map_err(|_| self.late())?
            }
        }
    }

    async fn exchange(&self, link: &Arc<Link>, operation: pb::Operation) -> Result<Answer, Fault> {
        let reply = link.call(operation).await?;
        let body = match reply.result {
            Some(pb::reply::Result::Body(body)) => body,
            Some(pb::reply::Result::Fault(fault)) => return Err(convert::fault(fault)),
            None => {
                return Err(Fault::new(Code::ProtocolError, format!("{} sent an empty reply", self.host)));
            }
        };
        let doc = bson::RawDocumentBuf::from_bytes(body.into()).map_err(|error| {
            Fault::new(Code::ProtocolError, format!("{} sent a malformed reply: {error}", self.host))
        })?;
        Ok(Answer {
            reply: Reply { doc },
            cluster_time: Timestamp(reply.cluster_time),
            operation_time: Timestamp(reply.operation_time),
        })
    }

    fn open_link(&self) -> Option<Arc<Link>> {
        self.link.lock().as_ref().filter(|link| !link.is_broken()).cloned()
    }

    /// The open stream; opens one where there is none. Until then nothing is sent.
    pub(crate) async fn link(&self) -> Result<Arc<Link>, Fault> {
        if let Some(link) = self.open_link() {
            return Ok(link);
        }
        let begin = clock::now();
        let mut failed = self.opening.lock().await;
        if let Some(link) = self.open_link() {
            return Ok(link);
        }
        // Who waited while another one tried has the same outcome, and does not try for as long once more.
        if let Some((at, fault)) = &*failed
            && *at >= begin
        {
            return Err(fault.clone());
        }
        let outcome = self.open().await;
        *failed = outcome.as_ref().err().map(|fault| (clock::now(), fault.clone()));
        outcome
    }

    async fn open(&self) -> Result<Arc<Link>, Fault> {
        let (outbox, requests) = tokio::sync::mpsc::channel(OUTBOX_COUNT_MAX);
        let mut client = ClusterClient::new(self.channel.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let opened = tokio::time::timeout(
            CONNECT_TIMEOUT + KEEP_ALIVE_TIMEOUT,
            client.operate(ReceiverStream::new(requests)),
        )
        .await;
        let replies = match opened {
            Ok(Ok(response)) => response.into_inner(),
            Ok(Err(status)) => return Err(convert::status_to_fault(&self.host, &status)),
            Err(_) => {
                return Err(Fault::new(Code::HostUnreachable, format!("{} does not answer", self.host)));
            }
        };
        let link = Arc::new(Link::new(self.host.clone(), outbox, self.together.clone()));
        self.together.add(link.clone().read(replies));
        *self.link.lock() = Some(link.clone());
        Ok(link)
    }

    /// The config server's own service on the same connection.
    pub fn config(&self) -> ConfigClient<Channel> {
        ConfigClient::new(self.channel.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// What members of a replica set ask of each other, on the same connection.
    pub fn replication(&self) -> ReplicationClient<Channel> {
        ReplicationClient::new(self.channel.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// Runs a unary call, bounded in time.
    ///
    /// # Errors
    /// The peer's fault, or `HostUnreachable` (6).
    pub async fn unary<T, F>(&self, bound: Duration, call: F) -> Result<T, Fault>
    where
        F: Future<Output = Result<tonic::Response<T>, tonic::Status>>,
    {
        match tokio::time::timeout(bound, call).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(convert::status_to_fault(&self.host, &status)),
            Err(_) => Err(Fault::new(Code::HostUnreachable, format!("{} does not answer", self.host))),
        }
    }
}

/// How the channel opens its connections.
fn connector(
    network: Arc<dyn Network>,
    host: &str,
) -> impl tower::Service<Uri, Response = TokioIo<Box<dyn Connection>>, Error = io::Error, Future = Opening>
+ Send
+ use<> {
    let host: Arc<str> = Arc::from(host);
    tower::service_fn(move |_: Uri| -> Opening {
        let connecting = network.connect(host.clone());
        Box::pin(async move {
            let connection = tokio::time::timeout(CONNECT_TIMEOUT, connecting).await;
            let late = |_| io::Error::new(io::ErrorKind::TimedOut, "no answer to the connection attempt");
            Ok(TokioIo::new(connection.map_err(late)??))
        })
    })
}

type Opening = command::BoxFuture<io::Result<TokioIo<Box<dyn Connection>>>>;

/// The current trace as a W3C header; empty where none is recorded.
fn traceparent() -> String {
    struct Header(String);
    impl Injector for Header {
        fn set(&mut self, key: &str, value: String) {
            if key == "traceparent" {
                self.0 = value;
            }
        }
    }
    let span = tracing::Span::current();
    if span.is_disabled() {
        return String::new();
    }
    let mut header = Header(String::new());
    trace_context().inject_context(&span.context(), &mut header);
    header.0
}

/// W3C trace context, the one format that our processes speak among themselves.
pub(crate) fn trace_context() -> runtime::telemetry::TraceContextPropagator {
    runtime::telemetry::TraceContextPropagator::new()
}
