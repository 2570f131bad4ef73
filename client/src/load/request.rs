//! Builds the requests of a load into one reused buffer, the same bytes that a driver would send: session ids on all,
//! transaction numbers on writes where the server retries them.

use super::distribution::write_key;
use crate::link::{Connection, Error, Message, Session, Uri, WriteConcernFlags, Writer};
use bson::{RawBsonRef, RawDocument};
use rand::Rng;
use rand::rngs::SmallRng;
use types::Namespace;

/// How the records look and how they are written.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    pub(crate) ns: Namespace,
    pub(crate) fields: usize,
    pub(crate) field_bytes: usize,
    pub(crate) concern: WriteConcernFlags,
}

/// One client: a connection, its session, and the buffers of a request.
pub(crate) struct Client<'a> {
    uri: &'a Uri,
    nth: usize,
    connection: Option<Connection>,
    session: Option<Session>,
    is_retryable: bool,
    message: Message,
    key: String,
}

impl<'a> Client<'a> {
    /// Connects.
    pub(crate) fn open(uri: &'a Uri, nth: usize) -> Result<Client<'a>, Error> {
        let connection = Connection::open(uri, nth)?;
        Ok(Client {
            uri,
            nth,
            session: connection.hello().has_sessions.then(Session::start),
            is_retryable: uri.options.retry_writes && connection.hello().retries_writes(),
            connection: Some(connection),
            message: Message::default(),
            key: String::new(),
        })
    }

    /// Whether the next request can go out, connecting anew if the connection was lost.
    pub(crate) fn reconnect(&mut self) -> Result<(), Error> {
        if self.connection.is_none() {
            self.connection = Some(Connection::open(self.uri, self.nth)?);
        }
        Ok(())
    }

    /// Sends the request that was built last, and reads the reply with `read`.
    pub(crate) fn send<T>(
        &mut self,
        read: impl FnOnce(&RawDocument) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.reconnect()?;
        let Some(connection) = &mut self.connection else {
            return Err(Error::Connect {
                address: self.uri.address(self.nth),
                source: std::io::ErrorKind::NotConnected.into(),
            });
        };
        let result = connection.exchange(&mut self.message).and_then(read);
        if result.as_ref().is_err_and(Error::ends_connection) {
            self.connection = None;
        }
        result
    }

    /// The command's head, through `fill`, and the fields that every request carries.
    fn body(&mut self, db: &str, is_write: bool, fill: impl FnOnce(&mut Writer, &str)) {
        let (body, open) = self.message.start();
        fill(body, &self.key);
        match &mut self.session {
            Some(session) if is_write && self.is_retryable => session.write_retryable(body),
            Some(session) => session.write_id(body),
            None => {}
        }
        body.string("$db", db);
        body.end(open);
    }

    /// A ping.
    pub(crate) fn ping(&mut self) {
        self.body("admin", false, |body, _| body.int32("ping", 1));
    }

    /// A find of at most one document whose `field` equals the value.
    pub(crate) fn find_value(&mut self, ns: &Namespace, field: &str, value: RawBsonRef<'_>) {
        self.body(ns.db(), false, |body, _| {
            body.string("find", ns.collection());
            let filter = body.begin_document("filter");
            body.value(field, value);
            body.end(filter);
            body.int32("limit", 1);
            body.boolean("singleBatch", true);
        });
    }

    /// A read of one record.
    pub(crate) fn read(&mut self, ns: &Namespace, number: u64) {
        write_key(number, &mut self.key);
        self.body(ns.db(), false, |body, key| {
            body.string("find", ns.collection());
            let filter = body.begin_document("filter");
            body.string("_id", key);
            body.end(filter);
            body.int32("limit", 1);
            body.boolean("singleBatch", true);
        });
    }

    /// A scan of `length` records in the order of their keys.
    pub(crate) fn scan(&mut self, ns: &Namespace, number: u64, length: i32) {
        write_key(number, &mut self.key);
        self.body(ns.db(), false, |body, key| {
            body.string("find", ns.collection());
            let filter = body.begin_document("filter");
            let from = body.begin_document("_id");
            body.string("$gte", key);
            body.end(from);
            body.end(filter);
            let sort = body.begin_document("sort");
            body.int32("_id", 1);
            body.end(sort);
            body.int32("limit", length);
            body.int32("batchSize", length);
            body.boolean("singleBatch", true);
        });
    }

    /// An update that sets one field of one record.
    pub(crate) fn update(&mut self, shape: &Shape, number: u64, rng: &mut SmallRng) {
        write_key(number, &mut self.key);
        self.body(shape.ns.db(), true, |body, _| {
            body.string("update", shape.ns.collection());
            body.boolean("ordered", true);
            shape.concern.write(body);
        });
        let field = rng.next_u64() as usize % shape.fields.max(1);
        self.message.begin_sequence("updates");
        let out = self.message.writer();
        let statement = out.begin();
        let query = out.begin_document("q");
        out.string("_id", &self.key);
        out.end(query);
        let update = out.begin_document("u");
        let set = out.begin_document("$set");
        write_field(out, field, shape.field_bytes, rng);
        out.end(set);
        out.end(update);
        out.end(statement);
    }

    /// An insert of records.
    pub(crate) fn insert(&mut self, shape: &Shape, numbers: impl Iterator<Item = u64>, rng: &mut SmallRng) {
        self.body(shape.ns.db(), true, |body, _| {
            body.string("insert", shape.ns.collection());
            body.boolean("ordered", false);
            shape.concern.write(body);
        });
        self.message.begin_sequence("documents");
        for number in numbers {
            write_key(number, &mut self.key);
            let out = self.message.writer();
            let document = out.begin();
            out.string("_id", &self.key);
            for field in 0..shape.fields {
                write_field(out, field, shape.field_bytes, rng);
            }
            out.end(document);
        }
    }
}

/// `fieldN` with random printable bytes, as binary, which is what YCSB's MongoDB binding stores.
fn write_field(out: &mut Writer, field: usize, bytes: usize, rng: &mut SmallRng) {
    let mut name = [0; 24];
    out.binary(field_name(field, &mut name), 0, &[]);
    // The length of the value follows its 5 bytes of length and subtype.
    let length_at = out.bytes.len() - 5;
    let start = out.bytes.len();
    while out.bytes.len() - start < bytes {
        // Eight characters from space to underscore.
        let chunk = (rng.next_u64() & 0x3F3F_3F3F_3F3F_3F3F) + 0x2020_2020_2020_2020;
        let chunk = chunk.to_le_bytes();
        let left = bytes - (out.bytes.len() - start);
        out.bytes.extend_from_slice(chunk.get(..left.min(8)).unwrap_or(&chunk));
    }
    let length = i32::try_from(bytes).unwrap_or(i32::MAX);
    if let Some(place) = out.bytes.get_mut(length_at..length_at + 4) {
        place.copy_from_slice(&length.to_le_bytes());
    }
}

/// `fieldN` without an allocation.
fn field_name(field: usize, buffer: &mut [u8; 24]) -> &str {
    use std::io::Write;
    let mut rest = &mut buffer[..];
    let size = rest.len();
    // "field" and a number of at most 19 digits fit.
    write!(rest, "field{field}").ok();
    let used = size - rest.len();
    buffer.get(..used).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or("field")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::fake::{Answer, Fake};
    use bson::{Document, doc};
    use rand::SeedableRng;
    use std::sync::{Arc, Mutex};

    #[test]
    fn requests_are_those_of_a_driver() {
        let seen = Arc::new(Mutex::new(Vec::<Document>::new()));
        let log = Arc::clone(&seen);
        let fake = Fake::start(move |command| {
            log.lock().unwrap().push(command.clone());
            Answer::Reply(doc! { "ok": 1 })
        });
        let uri = fake.uri().parse().unwrap();
        let mut client = Client::open(&uri, 0).unwrap();
        let mut rng = SmallRng::seed_from_u64(1);
        let shape = Shape {
            ns: Namespace::parse("y.t").unwrap(),
            fields: 2,
            field_bytes: 11,
            concern: WriteConcernFlags { w: Some(types::W::Count(1)), j: None },
        };
        let done = |_: &RawDocument| Ok(());
        client.read(&shape.ns, 0);
        client.send(done).unwrap();
        client.scan(&shape.ns, 0, 5);
        client.send(done).unwrap();
        client.update(&shape, 0, &mut rng);
        client.send(done).unwrap();
        client.insert(&shape, 0..2, &mut rng);
        client.send(done).unwrap();
        client.ping();
        client.send(done).unwrap();
        let seen = seen.lock().unwrap();
        let key = "user6284781860667377211";
        let without_session = |command: &Document| {
            let mut command = command.clone();
            assert!(command.remove("lsid").is_some(), "{command}");
            command
        };
        assert_eq!(
            without_session(&seen[0]),
            doc! { "find": "t", "filter": { "_id": key }, "limit": 1, "singleBatch": true, "$db": "y" }
        );
        assert_eq!(
            without_session(&seen[1]),
            doc! {
                "find": "t", "filter": { "_id": { "$gte": key } }, "sort": { "_id": 1 }, "limit": 5, "batchSize": 5,
                "singleBatch": true, "$db": "y",
            }
        );
        assert_eq!(seen[2].get_i64("txnNumber").unwrap(), 1);
        assert_eq!(seen[2].get_document("writeConcern").unwrap(), &doc! { "w": 1 });
        let update = seen[2].get_array("updates").unwrap()[0].as_document().unwrap();
        assert_eq!(update.get_document("q").unwrap(), &doc! { "_id": key });
        assert_eq!(update.get_document("u").unwrap().get_document("$set").unwrap().len(), 1);
        assert_eq!(seen[3].get_i64("txnNumber").unwrap(), 2);
        let documents = seen[3].get_array("documents").unwrap();
        assert_eq!(documents.len(), 2);
        let first = documents[0].as_document().unwrap();
        assert_eq!(first.get_str("_id").unwrap(), key);
        assert_eq!(first.get_binary_generic("field1").unwrap().len(), 11);
        assert_eq!(without_session(&seen[4]), doc! { "ping": 1, "$db": "admin" });
    }
}
