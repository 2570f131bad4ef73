//! Putting replies on a socket.

use super::{Closed, Connection};
use crate::{Host, reply, socket};
use bson::RawDocument;
use types::{Code, Fault};
use wire::{Compressor, op_msg, op_reply};

/// A reply up to this size is copied behind its header, to be written as one piece.
const COPY_BYTES_MAX: usize = 8 * 1024;

/// The form of an answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answer {
    pub(super) response_to: i32,
    pub(super) flags: u32,
    pub(super) compressor: Option<Compressor>,
    /// By OP_REPLY, because the request came by OP_QUERY.
    pub(super) legacy: bool,
}

impl<S: Host> Connection<S> {
    /// Writes a reply; returns its request id.
    pub(super) async fn send(&mut self, answer: Answer, doc: &RawDocument) -> Result<i32, Closed> {
        let request_id = self.next_request_id;
        self.next_request_id = request_id.checked_add(1).unwrap_or(1);
        let Answer { response_to, flags, compressor, legacy } = answer;
        let bytes = doc.as_bytes();
        if legacy {
            let flags = if reply::is_ok(doc) { 0 } else { op_reply::QUERY_FAILURE };
            let message = op_reply::encode(request_id, response_to, flags, doc).map_err(Closed::Input)?;
            self.write(&message, &[]).await?;
            return Ok(request_id);
        }
        let Some(prelude) = op_msg::prelude(request_id, response_to, flags, bytes.len()) else {
            let fault = Fault::new(
                Code::BSONObjectTooLarge,
                format!("reply of {} bytes is larger than a message can be", bytes.len()),
            );
            let doc = reply::fault(self.shared.host.as_ref(), &fault);
            return Box::pin(self.send(answer, &doc)).await;
        };
        let mut out = std::mem::take(&mut self.out);
        out.clear();
        out.extend_from_slice(&prelude);
        match compressor {
            Some(compressor) => {
                out.extend_from_slice(bytes);
                let message = wire::op_compressed::compress(&out, compressor).map_err(Closed::Input)?;
                self.write(&message, &[]).await?;
            }
            None if bytes.len() <= COPY_BYTES_MAX => {
                out.extend_from_slice(bytes);
                self.write(&out, &[]).await?;
            }
            None => self.write(&out, bytes).await?,
        }
        if out.capacity() <= 2 * COPY_BYTES_MAX {
            self.out = out;
        }
        Ok(request_id)
    }

    async fn write(&self, head: &[u8], tail: &[u8]) -> Result<(), Closed> {
        self.front.counters.bytes_out.add((head.len() + tail.len()) as u64);
        Ok(socket::write(&self.stream, head, tail, &self.stop).await?)
    }
}
