//! A server for tests: answers hello as a router, everything else through a function. One thread per connection.

use bson::{Document, doc};
use bytes::Bytes;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use types::limits::MESSAGE_BYTES_MAX;
use wire::{Compressor, Frame, OpCode, op_compressed, op_msg};

/// What the fake does with a command. Document sequences arrive as arrays of the command.
pub(crate) enum Answer {
    Reply(Document),
    Nothing,
    Close,
    Bytes(Vec<u8>),
}

pub(crate) struct Fake {
    address: String,
}

type Behaviour = dyn Fn(&Document) -> Answer + Send + Sync;

impl Fake {
    pub(crate) fn start(behaviour: impl Fn(&Document) -> Answer + Send + Sync + 'static) -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let behaviour: Arc<Behaviour> = Arc::new(behaviour);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let behaviour = Arc::clone(&behaviour);
                std::thread::spawn(move || serve(stream.unwrap(), &*behaviour));
            }
        });
        Fake { address }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn uri(&self) -> String {
        format!("mongodb://{}/", self.address)
    }
}

fn serve(mut stream: TcpStream, behaviour: &Behaviour) {
    while let Some(message) = read_message(&mut stream) {
        let frame = Frame::from_message(Bytes::from(message), MESSAGE_BYTES_MAX).unwrap();
        let (frame, compressor) = if frame.header.op_code == OpCode::Compressed {
            let (frame, compressor) = op_compressed::decompress(&frame, MESSAGE_BYTES_MAX, |_| true).unwrap();
            (frame, Some(compressor))
        } else {
            (frame, None)
        };
        let request = op_msg::parse(&frame).unwrap();
        let mut command = Document::from_reader(request.body.as_bytes()).unwrap();
        for sequence in &request.sequences {
            let documents: Vec<Document> =
                sequence.documents.iter().map(|one| Document::from_reader(one.as_bytes()).unwrap()).collect();
            command.insert(sequence.name.as_str(), documents);
        }
        let answer = if command.contains_key("hello") {
            let accepted = command.get_array("compression").cloned().unwrap_or_default();
            Answer::Reply(doc! {
                "isWritablePrimary": true, "msg": "isdbgrid", "maxWireVersion": 25, "minWireVersion": 0,
                "logicalSessionTimeoutMinutes": 30, "compression": accepted, "ok": 1.0,
            })
        } else {
            behaviour(&command)
        };
        match answer {
            Answer::Reply(document) => reply(&mut stream, frame.header.request_id, &document, compressor),
            Answer::Bytes(bytes) => stream.write_all(&bytes).unwrap(),
            Answer::Nothing => {}
            Answer::Close => return,
        }
    }
}

fn read_message(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let mut message = vec![0; i32::from_le_bytes(length) as usize];
    message[..4].copy_from_slice(&length);
    stream.read_exact(&mut message[4..]).ok()?;
    Some(message)
}

fn reply(stream: &mut TcpStream, to: i32, document: &Document, compressor: Option<Compressor>) {
    let body = document.to_vec().unwrap();
    let mut message = op_msg::prelude(1, to, 0, body.len()).unwrap().to_vec();
    message.extend_from_slice(&body);
    if let Some(compressor) = compressor {
        message = op_compressed::compress(&message, compressor).unwrap().to_vec();
    }
    // A client that gave up on us is not an error of the test.
    stream.write_all(&message).ok();
}
