//! The simulated network in the places where the product has TCP.

use command::BoxFuture;
use parking_lot::Mutex;
use rpc::{Connection, Network};
use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use turmoil::net::{TcpListener, TcpStream};

pub(super) const PORT: u16 = 27018;

#[derive(Debug, Default)]
struct Table {
    next: u64,
    open: BTreeMap<u64, TcpStream>,
    is_dying: bool,
}

/// The connections of one process, as the system's table of its files: when it dies they are closed in the order in which they were
/// opened. (The runtime drops a dead process's tasks in an order that depends on what else ran in the test's process.)
#[derive(Debug, Clone, Default)]
pub(super) struct Sockets(Arc<Mutex<Table>>);

impl Sockets {
    /// The process is about to be killed.
    pub(super) fn die(&self) {
        self.0.lock().is_dying = true;
    }

    fn open(&self, stream: TcpStream) -> Socket {
        let mut table = self.0.lock();
        table.next += 1;
        let number = table.next;
        table.open.insert(number, stream);
        Socket { number, of: self.clone() }
    }

    /// The connections that come to this host.
    pub(super) async fn listen(
        self,
    ) -> io::Result<impl futures::Stream<Item = io::Result<Socket>> + Send + 'static> {
        let listener = TcpListener::bind(("0.0.0.0", PORT)).await?;
        Ok(futures::stream::unfold((listener, self), |(listener, sockets)| async move {
            let accepted = listener.accept().await.map(|(stream, _)| sockets.open(stream));
            Some((accepted, (listener, sockets)))
        }))
    }
}

impl Network for Sockets {
    fn connect(&self, host: Arc<str>) -> BoxFuture<io::Result<Box<dyn Connection>>> {
        let sockets = self.clone();
        Box::pin(async move {
            let stream = TcpStream::connect(&*host).await?;
            Ok(Box::new(sockets.open(stream)) as Box<dyn Connection>)
        })
    }
}

/// A connection of a process.
#[derive(Debug)]
pub(super) struct Socket {
    number: u64,
    of: Sockets,
}

impl Socket {
    fn with<T>(&self, act: impl FnOnce(Pin<&mut TcpStream>) -> Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match self.of.0.lock().open.get_mut(&self.number) {
            Some(stream) => act(Pin::new(stream)),
            None => Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into())),
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let mut table = self.of.0.lock();
        if table.is_dying {
            while table.open.pop_first().is_some() {}
        } else {
            table.open.remove(&self.number);
        }
    }
}

impl tonic::transport::server::Connected for Socket {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.with(|stream| stream.poll_read(context, buf))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.with(|stream| stream.poll_write(context, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|stream| stream.poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|stream| stream.poll_shutdown(context))
    }
}
