//! Reading into and writing from a socket, with bounds: no buffer grows on the word of a length field, no wait is endless
//! where the peer owes us something.

use bytes::BytesMut;
use std::io::{self, ErrorKind, IoSlice};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

/// Room made for reads between messages, used up before it is made again.
const READ_BYTES: usize = 8 * 1024;
/// The least room that is worth a read.
const READ_BYTES_MIN: usize = 1024;
/// Room offered at least while a large message is coming in; beyond it the buffer at most doubles what has arrived.
const READ_LARGE_BYTES: usize = 64 * 1024;
/// A buffer that held a message of more than this is given back.
const KEEP_BYTES_MAX: usize = 64 * 1024;
/// A peer that takes nothing for so long is gone.
const WRITE_PROGRESS_MAX: Duration = Duration::from_secs(60);
/// The same while the server stops.
const STOPPING_MAX: Duration = Duration::from_secs(1);
/// Time and bytes given to a peer to take an error before its connection goes.
const LINGER_MAX: Duration = Duration::from_secs(1);
const LINGER_BYTES_MAX: usize = 1024 * 1024;

/// Reads what is there, waiting for at least a byte; zero at the end of the stream. `wanted` is how much the current message lacks.
/// Cancel-safe: nothing that was read is lost.
pub(crate) async fn fill(stream: &mut TcpStream, buffer: &mut BytesMut, wanted: usize) -> io::Result<usize> {
    let useful = wanted.min(buffer.len().max(READ_LARGE_BYTES)).max(READ_BYTES_MIN);
    if buffer.capacity() - buffer.len() < useful {
        // Once the messages before are gone this reuses the memory; while one of them is alive it has to be new.
        buffer.reserve(useful.max(READ_BYTES));
    }
    stream.read_buf(buffer).await
}

/// Gives a large buffer back once its message is out of it.
pub(crate) fn trim(buffer: &mut BytesMut, message_bytes: usize) {
    if message_bytes > KEEP_BYTES_MAX {
        *buffer = BytesMut::from(buffer.as_ref());
    }
}

/// Writes both parts, usually with one system call and without a timer. A peer that does not read is not waited for once `stop`
/// is cancelled.
pub(crate) async fn write(
    stream: &TcpStream,
    mut head: &[u8],
    mut tail: &[u8],
    stop: &CancellationToken,
) -> io::Result<()> {
    while !head.is_empty() || !tail.is_empty() {
        let result = if tail.is_empty() {
            stream.try_write(head)
        } else {
            stream.try_write_vectored(&[IoSlice::new(head), IoSlice::new(tail)])
        };
        match result {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(count) => {
                let from_head = count.min(head.len());
                head = head.get(from_head..).unwrap_or_default();
                tail = tail.get(count - from_head..).unwrap_or_default();
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let bound = if stop.is_cancelled() { STOPPING_MAX } else { WRITE_PROGRESS_MAX };
                let late = || io::Error::new(ErrorKind::TimedOut, "peer does not read");
                tokio::select! {
                    biased;
                    ready = tokio::time::timeout(bound, stream.writable()) => ready.map_err(|_| late())??,
                    () = stop.cancelled(), if bound == WRITE_PROGRESS_MAX => {}
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Ends the stream so that the last reply arrives: a socket closed with unread bytes resets the connection, and the peer may lose
/// what it had not read yet.
pub(crate) async fn linger(stream: &mut TcpStream, buffer: &mut BytesMut) {
    let drain = async {
        stream.shutdown().await?;
        let mut drained = 0;
        while drained < LINGER_BYTES_MAX {
            buffer.clear();
            match fill(stream, buffer, READ_BYTES).await? {
                0 => break,
                count => drained += count,
            }
        }
        io::Result::Ok(())
    };
    // However it ends, the connection is over.
    tokio::time::timeout(LINGER_MAX, drain).await.ok();
}
