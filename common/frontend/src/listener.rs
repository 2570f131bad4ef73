//! Sockets that listen, and the bound on how many connections there are.

use crate::connection::{self, Shared};
use crate::{Front, Host, PrefixedStream, Registry};
use command::Client;
use runtime::Tasks;
use socket2::{SockRef, TcpKeepalive};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use types::limits;

/// Connections kept free for administrators on the machine itself.
const RESERVED_FOR_LOOPBACK: usize = 5;
/// Connections that the kernel holds ready for us.
const BACKLOG: u32 = 1024;
/// gRPC connections that wait to be taken.
const GRPC_QUEUE: usize = 128;
/// Wait after an accept that failed for want of descriptors or memory.
const ACCEPT_BACK_OFF: Duration = Duration::from_millis(100);
/// An idle peer is asked whether it is still there after this time, and then at this interval.
const KEEP_ALIVE_IDLE: Duration = Duration::from_secs(120);
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// The same trouble is logged once in this time.
const ACCEPT_LOG_INTERVAL: Duration = Duration::from_secs(1);

/// Where and how to listen.
#[derive(Debug, Clone)]
pub struct Options {
    /// Host names or addresses, as `--bind_ip` lists them.
    pub bind: Vec<String>,
    /// 0 lets the system choose; all addresses get the same.
    pub port: u16,
    /// Also bind IPv6 addresses of names that have both.
    pub ipv6: bool,
    /// All connections, both doors; `None` for [`limits::CONNECTION_COUNT_MAX`] or 80 % of the descriptor limit.
    pub connections_max: Option<usize>,
}

impl Default for Options {
    fn default() -> Options {
        Options { bind: vec!["127.0.0.1".to_owned()], port: 27017, ipv6: false, connections_max: None }
    }
}

/// Why listening failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot resolve bind address {host}: {source}")]
    Resolve { host: String, source: io::Error },
    #[error("cannot listen on {address}: {source}")]
    Bind { address: SocketAddr, source: io::Error },
    #[error("no address to listen on")]
    NoAddress,
}

/// The sockets of a server, as long as its tasks run.
#[derive(Debug)]
pub struct Listening {
    /// What was bound, with real ports.
    pub addresses: Vec<SocketAddr>,
    /// Connections that speak gRPC.
    pub grpc_incoming: GrpcIncoming,
}

/// The front end of a server.
#[derive(Debug)]
pub struct Frontend;

impl Frontend {
    /// Listens, and serves wire clients until the tasks stop. When this returns, clients can connect.
    ///
    /// # Errors
    /// If an address cannot be resolved or bound.
    pub async fn start<S: Host>(
        host: Arc<S>,
        registry: Arc<Registry<S>>,
        options: Options,
        tasks: &Tasks,
    ) -> Result<Listening, Error> {
        host.front().publish(registry.catalogue());
        let listeners = bind(&options).await?;
        let addresses: Vec<SocketAddr> =
            listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect();
        let max = options.connections_max.unwrap_or_else(connections_max);
        host.front().connections_max.store(max as u64, Ordering::Relaxed);
        let slots = Arc::new(Slots { used: AtomicUsize::new(0), max });
        let (grpc, receiver) = mpsc::channel(GRPC_QUEUE);
        let shared = Arc::new(Shared { host, registry, grpc });
        for listener in listeners {
            let accepting = Accepting {
                shared: Arc::clone(&shared),
                slots: Arc::clone(&slots),
                tasks: tasks.clone(),
                stop: tasks.token(),
            };
            tasks.spawn("listener", accepting.run(listener));
        }
        Ok(Listening { addresses, grpc_incoming: GrpcIncoming { receiver } })
    }
}

async fn bind(options: &Options) -> Result<Vec<TcpListener>, Error> {
    let mut addresses = Vec::new();
    for host in &options.bind {
        let found = tokio::net::lookup_host((host.as_str(), options.port))
            .await
            .map_err(|source| Error::Resolve { host: host.clone(), source })?;
        let found: Vec<SocketAddr> = found.collect();
        let has_v4 = found.iter().any(SocketAddr::is_ipv4);
        for address in found {
            let wanted = address.is_ipv4() || options.ipv6 || !has_v4;
            if wanted && !addresses.contains(&address) {
                addresses.push(address);
            }
        }
    }
    let mut listeners = Vec::new();
    let mut port = options.port;
    for mut address in addresses {
        address.set_port(port);
        let listener = listen(address).map_err(|source| Error::Bind { address, source })?;
        if port == 0 {
            port = listener.local_addr().map_err(|source| Error::Bind { address, source })?.port();
        }
        listeners.push(listener);
    }
    if listeners.is_empty() { Err(Error::NoAddress) } else { Ok(listeners) }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// The default bound on connections: 80 % of the descriptors that this process may have.
fn connections_max() -> usize {
    let limits_text = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let descriptors = limits_text
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))
        .and_then(|rest| rest.split_whitespace().next()?.parse::<usize>().ok())
        .unwrap_or(usize::MAX);
    (descriptors / 5).saturating_mul(4).min(limits::CONNECTION_COUNT_MAX)
}

struct Slots {
    used: AtomicUsize,
    max: usize,
}

/// One of the connections that there may be; free again when dropped.
pub(crate) struct Slot(Arc<Slots>);

impl Slot {
    fn take(slots: &Arc<Slots>, loopback: bool) -> Option<Slot> {
        let reserved = if loopback { 0 } else { RESERVED_FOR_LOOPBACK.min(slots.max / 2) };
        let max = slots.max.saturating_sub(reserved);
        slots
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| (used < max).then_some(used + 1))
            .is_ok()
            .then(|| Slot(Arc::clone(slots)))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.used.fetch_sub(1, Ordering::Relaxed);
    }
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Slot({} of {})", self.0.used.load(Ordering::Relaxed), self.0.max)
    }
}

/// One listening socket's loop.
struct Accepting<S: Host> {
    shared: Arc<Shared<S>>,
    slots: Arc<Slots>,
    tasks: Tasks,
    stop: CancellationToken,
}

impl<S: Host> Accepting<S> {
    async fn run(self, listener: TcpListener) {
        let mut logged: Option<Instant> = None;
        let mut unlogged = 0_u64;
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, remote)) => self.admit(stream, remote),
                Err(error) if is_shortage(&error) => {
                    self.front().counters.accept_failures.increment();
                    unlogged += 1;
                    if logged.is_none_or(|at| at.elapsed() >= ACCEPT_LOG_INTERVAL) {
                        tracing::warn!(%error, times = unlogged, "cannot accept connections");
                        (logged, unlogged) = (Some(Instant::now()), 0);
                    }
                    tokio::time::sleep(ACCEPT_BACK_OFF).await;
                }
                // The peer went away while it waited in the queue.
                Err(error) => tracing::debug!(%error, "connection lost before it was accepted"),
            }
        }
    }

    fn admit(&self, stream: TcpStream, remote: SocketAddr) {
        let front = self.front();
        let Some(slot) = Slot::take(&self.slots, remote.ip().is_loopback()) else {
            front.counters.connections_rejected.increment();
            tracing::debug!(%remote, max = self.slots.max, "connection refused: too many");
            return;
        };
        let local = match prepare(&stream) {
            Ok(local) => local,
            Err(error) => return tracing::debug!(%remote, %error, "connection lost when it was accepted"),
        };
        front.counters.connections_created.increment();
        let client = Client {
            connection_id: front.next_connection_id(),
            remote,
            local,
            internal: false,
            metadata: OnceLock::new(),
        };
        let shared = Arc::clone(&self.shared);
        self.tasks
            .spawn("connection", connection::serve(shared, stream, client, slot, self.stop.child_token()));
    }

    fn front(&self) -> &Arc<Front> {
        self.shared.host.front()
    }
}

/// Sets a socket up: small replies leave at once, and a peer that vanished without a word is noticed.
fn prepare(stream: &TcpStream) -> io::Result<SocketAddr> {
    stream.set_nodelay(true)?;
    let keep_alive = TcpKeepalive::new().with_time(KEEP_ALIVE_IDLE).with_interval(KEEP_ALIVE_INTERVAL);
    SockRef::from(stream).set_tcp_keepalive(&keep_alive)?;
    stream.local_addr()
}

/// Whether an accept failed for want of something that comes back: descriptors, buffers, memory.
fn is_shortage(error: &io::Error) -> bool {
    // ENOMEM, ENFILE, EMFILE, ENOBUFS.
    matches!(error.raw_os_error(), Some(12 | 23 | 24 | 105))
}

/// The connections that speak gRPC, for `serve_with_incoming`.
#[derive(Debug)]
pub struct GrpcIncoming {
    receiver: mpsc::Receiver<PrefixedStream>,
}

impl tokio_stream::Stream for GrpcIncoming {
    type Item = io::Result<PrefixedStream>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.receiver.poll_recv(context).map(|stream| stream.map(Ok))
    }
}
