//! How a connection to another process is made. The product's way is TCP; a simulation of the whole stack puts its own network in its
//! place, and everything above (HTTP/2, pools, streams, their timeouts) is the same. The answering side takes any stream of connections
//! (see [`crate::serve`]), so it needs nothing here.

use command::BoxFuture;
use std::fmt::Debug;
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// Bytes to and from another process.
pub trait Connection: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Connection for T {}

/// Makes connections.
pub trait Network: Debug + Send + Sync + 'static {
    /// Connects to `host:port`. Who asks bounds it in time.
    fn connect(&self, host: Arc<str>) -> BoxFuture<io::Result<Box<dyn Connection>>>;
}

/// Sockets of the system.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tcp;

impl Network for Tcp {
    fn connect(&self, host: Arc<str>) -> BoxFuture<io::Result<Box<dyn Connection>>> {
        Box::pin(async move { Ok(Box::new(open(&host).await?) as Box<dyn Connection>) })
    }
}

async fn open(host: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(host).await?;
    if stream.local_addr()? == stream.peer_addr()? {
        // Nobody listens, and the system happened to give this end the very port that it connects to. The socket is reset, so that
        // nothing of it keeps the port from the server that should be there.
        stream.set_zero_linger()?;
        return Err(io::Error::new(io::ErrorKind::ConnectionRefused, "nobody listens there"));
    }
    stream.set_nodelay(true)?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ports for outgoing connections are given in turn, so many tries meet the very port that they connect to.
    #[tokio::test]
    async fn a_port_that_nobody_listens_on_is_never_reached() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        // The system gives listeners odd ports and connections even ones, or the other way round, as long as it has enough of both.
        let port = listener.local_addr().unwrap().port() ^ 1;
        drop(listener);
        let host = format!("127.0.0.1:{port}");
        for attempt in 0..30_000 {
            let outcome = open(&host).await;
            assert!(outcome.is_err(), "attempt {attempt} connected to itself");
        }
    }
}
