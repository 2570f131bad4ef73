//! Reading into and writing from a socket, with bounds: no buffer grows on the word of a length field, no wait is endless
//! where the peer owes us something.

use bytes::BytesMut;
use std::io::{self, ErrorKind, IoSlice};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// Room offered to one read between messages.
const READ_BYTES: usize = 8 * 1024;
/// Room offered at least while a large message is coming in; beyond it the buffer at most doubles what has arrived.
const READ_LARGE_BYTES: usize = 64 * 1024;
/// A buffer that held a message of more than this is given back.
const KEEP_BYTES_MAX: usize = 64 * 1024;
/// A peer that takes nothing for so long is gone.
const WRITE_PROGRESS_MAX: Duration = Duration::from_secs(60);

/// Reads what is there, waiting for at least a byte; zero at the end of the stream. `wanted` is how much the current message lacks.
/// Cancel-safe: nothing that was read is lost.
pub(crate) async fn fill(stream: &mut TcpStream, buffer: &mut BytesMut, wanted: usize) -> io::Result<usize> {
    buffer.reserve(wanted.min(buffer.len().max(READ_LARGE_BYTES)).max(READ_BYTES));
    stream.read_buf(buffer).await
}

/// Gives a large buffer back once its message is out of it.
pub(crate) fn trim(buffer: &mut BytesMut, message_bytes: usize) {
    if message_bytes > KEEP_BYTES_MAX {
        *buffer = BytesMut::from(buffer.as_ref());
    }
}

/// Writes both parts, usually with one system call and without a timer.
pub(crate) async fn write(stream: &TcpStream, mut head: &[u8], mut tail: &[u8]) -> io::Result<()> {
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
                tokio::time::timeout(WRITE_PROGRESS_MAX, stream.writable())
                    .await
                    .map_err(|_| io::Error::new(ErrorKind::TimedOut, "peer does not read"))??;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
