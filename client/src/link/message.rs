//! One OP_MSG request in a reused buffer: header, body, and at most one document sequence.

use super::Writer;
use super::writer::Open;
use bson::Document;
use wire::OpCode;

/// A request that is being built, or that waits to be sent again.
#[derive(Debug, Default)]
pub(crate) struct Message {
    writer: Writer,
    sequence: Option<usize>,
}

impl Message {
    /// Begins a new request in the same buffer: header and an open body. End the body with [`Writer::end`].
    pub(crate) fn start(&mut self) -> (&mut Writer, Open) {
        self.sequence = None;
        self.writer.bytes.clear();
        self.prelude();
        let open = self.writer.begin();
        (&mut self.writer, open)
    }

    /// A whole request from a command document.
    pub(crate) fn of(db: &str, command: &Document) -> Result<Message, bson::error::Error> {
        let mut whole = command.clone();
        whole.insert("$db", db);
        let mut message = Message::default();
        message.prelude();
        message.writer.bytes.extend_from_slice(&whole.to_vec()?);
        Ok(message)
    }

    /// The header, its lengths and ids still open, no flags, and the kind of the body section.
    fn prelude(&mut self) {
        let bytes = &mut self.writer.bytes;
        bytes.extend_from_slice(&[0; 12]);
        bytes.extend_from_slice(&OpCode::Msg.number().to_le_bytes());
        bytes.extend_from_slice(&[0; 5]);
    }

    /// Begins the document sequence; documents are appended to [`Message::writer`].
    pub(crate) fn begin_sequence(&mut self, name: &str) {
        self.writer.bytes.push(1);
        self.sequence = Some(self.writer.bytes.len());
        self.writer.bytes.extend_from_slice(&[0; 4]);
        self.writer.bytes.extend_from_slice(name.as_bytes());
        self.writer.bytes.push(0);
    }

    /// Where the next document of the sequence goes.
    pub(crate) fn writer(&mut self) -> &mut Writer {
        &mut self.writer
    }

    /// The whole message so far.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.writer.bytes
    }

    /// Bytes so far.
    pub(crate) fn len(&self) -> usize {
        self.writer.bytes.len()
    }

    /// Completes the lengths and the id: ready to be written to a socket.
    pub(crate) fn seal(&mut self, request_id: i32) -> &[u8] {
        if let Some(at) = self.sequence {
            self.writer.patch_length(at);
        }
        self.writer.patch_length(0);
        if let Some(place) = self.writer.bytes.get_mut(4..8) {
            place.copy_from_slice(&request_id.to_le_bytes());
        }
        &self.writer.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::doc;

    #[test]
    fn lengths_are_patched() {
        let mut message = Message::default();
        let (body, open) = message.start();
        body.string("insert", "c");
        body.string("$db", "d");
        body.end(open);
        message.begin_sequence("documents");
        let one = doc! { "_id": 1 }.to_vec().unwrap();
        message.writer().bytes.extend_from_slice(&one);
        let bytes = message.seal(7).to_vec();
        assert_eq!(i32::from_le_bytes(bytes[0..4].try_into().unwrap()) as usize, bytes.len());
        assert_eq!(bytes[4..8], 7_i32.to_le_bytes());
        let body = doc! { "insert": "c", "$db": "d" }.to_vec().unwrap();
        assert_eq!(bytes[21..21 + body.len()], body[..]);
        let sequence = &bytes[21 + body.len()..];
        assert_eq!(sequence[0], 1);
        assert_eq!(i32::from_le_bytes(sequence[1..5].try_into().unwrap()) as usize, sequence.len() - 1);
        assert_eq!(&sequence[5..15], b"documents\0");
        assert_eq!(sequence[15..], one[..]);
    }
}
