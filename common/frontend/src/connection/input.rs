//! Taking messages off a socket, each within its time.

use super::{Closed, Connection};
use crate::Host;
use crate::sniff::{SNIFF_BYTES, Speaker, is_tls, speaker};
use crate::socket;
use bytes::BytesMut;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use types::limits;
use wire::frame::Split;
use wire::header::HEADER_BYTES;
use wire::{Frame, Header, OpCode};

/// A new connection must have sent its first header so long after its first byte.
const FIRST_HEADER_MAX: Duration = Duration::from_secs(10);
/// A new connection must have sent its first byte, and a first message of the size of a handshake, in this time.
const HANDSHAKE_MAX: Duration = Duration::from_secs(30);
/// A first message up to this size is a handshake.
const HANDSHAKE_BYTES_MAX: usize = 64 * 1024;
/// A message that has begun must go on within this time.
const READ_PROGRESS_MAX: Duration = Duration::from_secs(60);

/// Reads enough to tell who speaks.
pub(super) async fn first_bytes(
    stream: &mut TcpStream,
    buffer: &mut BytesMut,
    stop: &CancellationToken,
) -> Result<Speaker, Closed> {
    let mut bound = HANDSHAKE_MAX;
    let opened = Instant::now();
    while buffer.len() < SNIFF_BYTES {
        let left = bound.saturating_sub(opened.elapsed());
        let count = tokio::select! {
            biased;
            read = tokio::time::timeout(left, socket::fill(stream, buffer, SNIFF_BYTES)) => {
                read.map_err(|_| Closed::Slow)??
            }
            () = stop.cancelled() => return Err(Closed::Stopping),
        };
        if count == 0 {
            return Err(if buffer.is_empty() { Closed::Peer } else { Closed::Cut });
        }
        bound = bound.min(opened.elapsed() + FIRST_HEADER_MAX);
    }
    Ok(speaker(buffer))
}

impl<S: Host> Connection<S> {
    /// Waits for the next whole message.
    pub(super) async fn next_frame(&mut self) -> Result<Frame, Closed> {
        let mut first_byte: Option<Instant> = None;
        loop {
            let missing = match wire::frame::split(&mut self.buffer, limits::MESSAGE_BYTES_MAX) {
                Ok(Split::Frame(frame)) => {
                    self.greeted = true;
                    socket::trim(&mut self.buffer, frame.message.len());
                    return Ok(frame);
                }
                Ok(Split::Need(missing)) => missing,
                Err(_) if !self.greeted && is_tls(&self.buffer) => return Err(Closed::Tls),
                Err(error) => return Err(Closed::Input(error)),
            };
            self.refuse_operation()?;
            if self.buffer.is_empty() && self.greeted {
                self.fill(missing, None).await?;
                continue;
            }
            let first_byte = *first_byte.get_or_insert_with(Instant::now);
            let bound = self.bound(first_byte, missing);
            self.fill(missing, Some(bound)).await?;
        }
    }

    /// How long the message that has begun may take to its next byte.
    fn bound(&self, first_byte: Instant, missing: usize) -> Duration {
        if self.greeted {
            return READ_PROGRESS_MAX;
        }
        let handshake = HANDSHAKE_MAX.saturating_sub(self.opened.elapsed());
        if self.buffer.len() < HEADER_BYTES {
            FIRST_HEADER_MAX.saturating_sub(first_byte.elapsed()).min(handshake)
        } else if self.buffer.len() + missing <= HANDSHAKE_BYTES_MAX {
            handshake
        } else {
            READ_PROGRESS_MAX
        }
    }

    /// Refuses by its header a message that would be refused anyway: its content need not come in first.
    fn refuse_operation(&self) -> Result<(), Closed> {
        if self.buffer.len() < HEADER_BYTES {
            return Ok(());
        }
        let header = Header::parse(&self.buffer, limits::MESSAGE_BYTES_MAX).map_err(Closed::Input)?;
        match header.op_code {
            OpCode::Msg | OpCode::Query | OpCode::Compressed => Ok(()),
            OpCode::Unknown(_) if !self.greeted && is_tls(&self.buffer) => Err(Closed::Tls),
            OpCode::Unknown(number) => Err(Closed::Input(wire::Error::UnknownOpCode(number))),
            OpCode::Legacy(number) => Err(Closed::Input(wire::Error::LegacyOpCode(number))),
            OpCode::Reply => Err(Closed::Input(wire::Error::UnexpectedReply)),
        }
    }

    async fn fill(&mut self, missing: usize, bound: Option<Duration>) -> Result<(), Closed> {
        let Connection { stream, buffer, stop, .. } = self;
        let was_empty = buffer.is_empty();
        let read = socket::fill(stream, buffer, missing);
        let bounded = async {
            match bound {
                Some(bound) => {
                    tokio::time::timeout(bound, read).await.map_err(|_| Closed::Slow)?.map_err(Closed::Io)
                }
                None => read.await.map_err(Closed::Io),
            }
        };
        let count = tokio::select! {
            biased;
            count = bounded => count?,
            () = stop.cancelled() => return Err(Closed::Stopping),
        };
        match count {
            0 if was_empty => Err(Closed::Peer),
            0 => Err(Closed::Cut),
            _ => Ok(()),
        }
    }
}
