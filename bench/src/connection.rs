//! A client on one blocking socket: as little work as possible between two operations, so that servers are what is measured.

use crate::Result;
use bson::{Document, RawDocument, RawDocumentBuf, doc};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;
use wire::op_msg::{self, PRELUDE_BYTES};

/// An answer that takes longer than this is a hang.
const ANSWER_WAIT: Duration = Duration::from_secs(60);

/// One connection.
pub(crate) struct Connection {
    stream: TcpStream,
    out: Vec<u8>,
    reply: Vec<u8>,
}

impl Connection {
    /// Connects to `host:port` and greets, as drivers do.
    pub(crate) fn open(host: &str) -> Result<Connection> {
        let stream = TcpStream::connect(host).map_err(|error| format!("connecting to {host}: {error}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_WAIT))?;
        let mut connection = Connection { stream, out: Vec::new(), reply: Vec::new() };
        connection.run("admin", doc! { "hello": 1 })?;
        Ok(connection)
    }

    /// Runs a command given as a document.
    pub(crate) fn run(&mut self, db: &str, mut command: Document) -> Result<Document> {
        command.insert("$db", db);
        let reply = self.exchange(&RawDocumentBuf::try_from(&command)?)?;
        Ok(Document::try_from(reply)?)
    }

    /// Runs a whole command, `$db` included; `ok: 0` and write errors are errors.
    pub(crate) fn exchange(&mut self, command: &RawDocument) -> Result<&RawDocument> {
        self.out.clear();
        op_msg::encode_into(&mut self.out, 1, 0, 0, command, [])?;
        self.stream.write_all(&self.out)?;
        self.receive()?;
        let reply = RawDocument::from_bytes(self.reply.get(PRELUDE_BYTES..).ok_or("short reply")?)?;
        let ok = reply.get("ok")?.and_then(|ok| ok.as_f64());
        if ok != Some(1.0) || reply.get("writeErrors")?.is_some() {
            return Err(format!("{command:?} answered {reply:?}").into());
        }
        Ok(reply)
    }

    /// Takes one message in.
    fn receive(&mut self) -> Result<()> {
        self.reply.resize(self.reply.capacity().max(4096), 0);
        let (mut have, mut need) = (0, PRELUDE_BYTES);
        while have < need {
            if need > self.reply.len() {
                self.reply.resize(need, 0);
            }
            let count = self.stream.read(self.reply.get_mut(have..).unwrap_or_default())?;
            if count == 0 {
                return Err("the server closed the connection".into());
            }
            have += count;
            if let Some(length) = self.reply.first_chunk::<4>().filter(|_| have >= 4) {
                need = usize::try_from(i32::from_le_bytes(*length))?.max(PRELUDE_BYTES);
            }
        }
        self.reply.truncate(need);
        Ok(())
    }

    /// All documents of a command that opens a cursor.
    pub(crate) fn all(&mut self, db: &str, command: Document) -> Result<Vec<Document>> {
        let (mut found, mut reply, mut batch) = (Vec::new(), self.run(db, command)?, "firstBatch");
        loop {
            let cursor = reply.get_document("cursor")?;
            found.extend(cursor.get_array(batch)?.iter().filter_map(|one| one.as_document().cloned()));
            let (id, ns) = (cursor.get_i64("id")?, cursor.get_str("ns")?);
            if id == 0 {
                return Ok(found);
            }
            let collection = ns.split_once('.').map_or(ns, |(_, collection)| collection).to_owned();
            reply = self.run(db, doc! { "getMore": id, "collection": collection })?;
            batch = "nextBatch";
        }
    }
}
