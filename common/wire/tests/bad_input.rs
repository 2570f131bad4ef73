//! Bytes that are no messages, one row each, with what the peer must get: close, an error, or an error and then close.

#![allow(clippy::unwrap_used)]

use bson::{RawDocumentBuf, doc};
use bytes::{Bytes, BytesMut};
use types::limits;
use value::SharedDoc;
use wire::frame::{Split, split};
use wire::op_msg::{self, CHECKSUM_PRESENT, EXHAUST_ALLOWED, MORE_TO_COME};
use wire::{Compressor, Error, Frame, Header, OpCode, Reaction, op_compressed, op_query, op_reply};

/// What a row expects.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Expect {
    Ok,
    Close,
    Reply(i32),
    ReplyThenClose(i32),
}
use Expect::{Close, Ok as Fine, Reply, ReplyThenClose};

/// What a server does with the bytes of one message, from its header on.
fn outcome(message: &[u8]) -> Expect {
    match serve(message) {
        Ok(()) => Fine,
        Err(error) => match error.reaction() {
            Reaction::Close => Close,
            Reaction::Reply(fault) => Reply(fault.code.number()),
            Reaction::ReplyThenClose(fault) => ReplyThenClose(fault.code.number()),
        },
    }
}

fn serve(message: &[u8]) -> Result<(), Error> {
    let mut buffer = BytesMut::from(message);
    let frame = match split(&mut buffer, limits::MESSAGE_BYTES_MAX)? {
        Split::Frame(frame) => frame,
        Split::Need(_) => return Err(Error::Truncated),
    };
    let frame = match frame.header.op_code {
        OpCode::Compressed => {
            op_compressed::decompress(&frame, limits::MESSAGE_BYTES_MAX, |found| found != Compressor::Noop)?.0
        }
        _ => frame,
    };
    match frame.header.op_code {
        OpCode::Msg => op_msg::parse(&frame).map(|_| ()),
        OpCode::Query => op_query::parse(&frame).map(|_| ()),
        OpCode::Reply => Err(Error::UnexpectedReply),
        OpCode::Compressed => Err(Error::NestedCompression),
        OpCode::Legacy(number) => Err(Error::LegacyOpCode(number)),
        OpCode::Unknown(number) => Err(Error::UnknownOpCode(number)),
    }
}

fn raw(doc: bson::Document) -> RawDocumentBuf {
    RawDocumentBuf::try_from(&doc).unwrap()
}

fn message(op_code: i32, content: &[u8]) -> Vec<u8> {
    let length = i32::try_from(16 + content.len()).unwrap();
    let mut out = Vec::new();
    for word in [length, 7, 0, op_code] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    out.extend_from_slice(content);
    out
}

/// An OP_MSG of these flags and sections.
fn msg(flags: u32, sections: &[Vec<u8>]) -> Vec<u8> {
    let mut content = flags.to_le_bytes().to_vec();
    sections.iter().for_each(|section| content.extend_from_slice(section));
    message(2013, &content)
}

fn body(doc: bson::Document) -> Vec<u8> {
    let mut section = vec![0];
    section.extend_from_slice(raw(doc).as_bytes());
    section
}

fn ping() -> Vec<u8> {
    body(doc! { "ping": 1, "$db": "admin" })
}

fn sequence_of_size(size: i32, name: &[u8], documents: &[u8]) -> Vec<u8> {
    let mut section = vec![1];
    section.extend_from_slice(&size.to_le_bytes());
    section.extend_from_slice(name);
    section.push(0);
    section.extend_from_slice(documents);
    section
}

fn sequence(name: &str, documents: &[bson::Document]) -> Vec<u8> {
    let bytes: Vec<u8> = documents.iter().flat_map(|doc| raw(doc.clone()).into_bytes()).collect();
    sequence_of_size(i32::try_from(4 + name.len() + 1 + bytes.len()).unwrap(), name.as_bytes(), &bytes)
}

fn with_checksum(mut message: Vec<u8>, delta: u32) -> Vec<u8> {
    let length = i32::try_from(message.len() + 4).unwrap();
    message[..4].copy_from_slice(&length.to_le_bytes());
    let sum = wire::checksum::crc32c(&message).wrapping_add(delta);
    message.extend_from_slice(&sum.to_le_bytes());
    message
}

fn compressed(original: i32, size: i32, id: u8, data: &[u8]) -> Vec<u8> {
    let mut content = original.to_le_bytes().to_vec();
    content.extend_from_slice(&size.to_le_bytes());
    content.push(id);
    content.extend_from_slice(data);
    message(2012, &content)
}

fn query(namespace: &str, command: bson::Document) -> Vec<u8> {
    let mut content = vec![0; 4];
    content.extend_from_slice(namespace.as_bytes());
    content.extend_from_slice(&[0; 9]);
    content.extend_from_slice(raw(command).as_bytes());
    message(2004, &content)
}

/// `{a: {a: {… {} …}}}` of so many levels, the outermost counted, around the fields of a ping.
fn nested(levels: usize) -> Vec<u8> {
    let mut inner = vec![5, 0, 0, 0, 0];
    for _ in 1..levels {
        let mut outer = i32::try_from(inner.len() + 8).unwrap().to_le_bytes().to_vec();
        outer.extend_from_slice(b"\x03a\0");
        outer.extend_from_slice(&inner);
        outer.push(0);
        inner = outer;
    }
    let mut section = vec![0];
    section.extend_from_slice(&inner);
    section
}

/// A body section whose document has these element bytes and a right length.
fn elements(elements: &[u8]) -> Vec<u8> {
    let mut section = vec![0];
    section.extend_from_slice(&i32::try_from(elements.len() + 5).unwrap().to_le_bytes());
    section.extend_from_slice(elements);
    section.push(0);
    section
}

fn check(rows: &[(&str, Vec<u8>, Expect)]) {
    for (name, bytes, expected) in rows {
        assert_eq!(outcome(bytes), *expected, "row {name}");
    }
}

#[test]
fn framing() {
    let with_length = |length: i32| {
        let mut bytes = msg(0, &[ping()]);
        bytes[..4].copy_from_slice(&length.to_le_bytes());
        bytes
    };
    check(&[
        ("0 plain ping", msg(0, &[ping()]), Fine),
        ("1 length 0", with_length(0), Close),
        ("1 length 1", with_length(1), Close),
        ("1 length 15", with_length(15), Close),
        ("2 length -1", with_length(-1), Close),
        ("2 length min", with_length(i32::MIN), Close),
        ("3 length 48,000,001", with_length(48_000_001), Close),
        ("3 length max", with_length(i32::MAX), Close),
        ("5 body cut", msg(0, &[ping()])[..30].to_vec(), Close),
        ("header only", message(2013, &[]), Close),
        ("9 unknown operation", message(9999, &[0; 10]), Close),
        ("10 OP_UPDATE", message(2001, &[0; 10]), Close),
        ("10 OP_INSERT", message(2002, &[0; 10]), Close),
        ("10 OP_GET_MORE", message(2005, &[0; 10]), Close),
        ("10 OP_DELETE", message(2006, &[0; 10]), Close),
        ("10 OP_KILL_CURSORS", message(2007, &[0; 10]), Close),
        ("11 hello", query("admin.$cmd", doc! {"hello": 1}), Fine),
        ("11 isMaster", query("admin.$cmd", doc! {"isMaster": 1}), Fine),
        ("11 ismaster", query("admin.$cmd", doc! {"ismaster": 1, "helloOk": true}), Fine),
        ("11 wrapped", query("admin.$cmd", doc! {"$query": {"ismaster": 1}}), Fine),
        ("12 other command", query("admin.$cmd", doc! {"ping": 1}), Reply(352)),
        ("12 find", query("db.c", doc! {"hello": 1}), Reply(352)),
        ("12 empty", query("admin.$cmd", doc! {}), Reply(352)),
        ("query cut", message(2004, &[0; 6]), Close),
        ("13 OP_REPLY", message(1, &[0; 20]), Close),
    ]);
}

#[test]
fn the_longest_message_is_accepted_and_nothing_is_taken_early() {
    let mut buffer = BytesMut::from(&48_000_000_i32.to_le_bytes()[..]);
    assert_eq!(split(&mut buffer, limits::MESSAGE_BYTES_MAX), Ok(Split::Need(48_000_000 - 4)));
    assert!(buffer.capacity() < 64 * 1024);
    let mut buffer = BytesMut::from(&[1_u8, 0][..]);
    assert_eq!(split(&mut buffer, limits::MESSAGE_BYTES_MAX), Ok(Split::Need(14)));

    let filler = "x".repeat(48_000_000 - 16 - 5 - raw(doc! {"ping": "", "$db": "admin"}).as_bytes().len());
    let whole = msg(0, &[body(doc! {"ping": filler, "$db": "admin"})]);
    assert_eq!(whole.len(), 48_000_000);
    assert_eq!(outcome(&whole), Fine);
}

#[test]
fn sections_and_flags() {
    let with_documents = |name: &str| sequence(name, &[doc! {"_id": 1}, doc! {"_id": 2}]);
    let insert = || body(doc! {"insert": "c", "$db": "d"});
    check(&[
        ("16 bit 2", msg(1 << 2, &[ping()]), ReplyThenClose(223)),
        ("16 bit 15", msg(1 << 15, &[ping()]), ReplyThenClose(223)),
        ("17 bit 17", msg(1 << 17, &[ping()]), Fine),
        ("17 bit 31", msg(1 << 31, &[ping()]), Fine),
        ("18 right checksum", with_checksum(msg(CHECKSUM_PRESENT, &[ping()]), 0), Fine),
        ("18 wrong checksum", with_checksum(msg(CHECKSUM_PRESENT, &[ping()]), 1), ReplyThenClose(288)),
        ("19 no room for it", msg(CHECKSUM_PRESENT, &[vec![0, 0, 0]]), Close),
        ("20 moreToCome", msg(MORE_TO_COME, &[ping()]), Fine),
        ("21 exhaustAllowed", msg(EXHAUST_ALLOWED, &[ping()]), Fine),
        ("22 nothing at all", msg(0, &[]), Reply(40587)),
        ("22 only a sequence", msg(0, &[with_documents("documents")]), Reply(40587)),
        ("23 two bodies", msg(0, &[ping(), ping()]), Reply(40430)),
        ("24 kind 2", msg(0, &[ping(), vec![2]]), Reply(40432)),
        ("24 kind 255", msg(0, &[vec![255], ping()]), Reply(40432)),
        ("one sequence", msg(0, &[insert(), with_documents("documents")]), Fine),
        ("sequence first", msg(0, &[with_documents("documents"), insert()]), Fine),
        ("empty sequence", msg(0, &[insert(), sequence("documents", &[])]), Fine),
        ("two sequences", msg(0, &[insert(), with_documents("a"), with_documents("b")]), Fine),
        (
            "25 three sequences",
            msg(0, &[insert(), with_documents("a"), with_documents("b"), with_documents("c")]),
            ReplyThenClose(233),
        ),
        ("26 same name", msg(0, &[insert(), with_documents("a"), with_documents("a")]), Reply(40431)),
        ("26 also in body", msg(0, &[insert(), with_documents("insert")]), Reply(40433)),
        ("27 size 4", msg(0, &[insert(), sequence_of_size(4, b"a", b"")]), ReplyThenClose(17)),
        ("27 size 0", msg(0, &[insert(), sequence_of_size(0, b"a", b"")]), ReplyThenClose(17)),
        ("27 negative", msg(0, &[insert(), sequence_of_size(-1, b"a", b"")]), ReplyThenClose(17)),
        ("27 past the end", msg(0, &[insert(), sequence_of_size(100, b"a", b"")]), ReplyThenClose(17)),
        ("27 cut in the size", msg(0, &[insert(), vec![1, 9, 0]]), ReplyThenClose(17)),
        ("name without end", msg(0, &[insert(), vec![1, 6, 0, 0, 0, b'a', b'b']]), ReplyThenClose(17)),
        (
            "document past its sequence",
            msg(0, &[insert(), sequence_of_size(11, b"a", &[6, 0, 0, 0, 0])]),
            Reply(22),
        ),
    ]);
}

#[test]
fn documents() {
    let length = |length: i32| {
        let mut section = ping();
        section[1..5].copy_from_slice(&length.to_le_bytes());
        msg(0, &[section])
    };
    let bad_sequence_document = sequence_of_size(15, b"a", b"\x09\0\0\0\x14x\0\0\0");
    check(&[
        ("38 length 4", length(4), Reply(22)),
        ("38 length -1", length(-1), Reply(22)),
        ("38 past the message", length(10_000), Reply(22)),
        ("38 no room for it", msg(0, &[vec![0, 5, 0]]), Reply(22)),
        ("39 zero too early", msg(0, &[elements(b"\x00\x08a\0\x01")]), Reply(22)),
        ("40 type 0x14", msg(0, &[elements(b"\x14a\0")]), Reply(22)),
        ("40 type 0x80", msg(0, &[elements(b"\x80a\0")]), Reply(22)),
        ("40 type 0xfe", msg(0, &[elements(b"\xfea\0")]), Reply(22)),
        ("41 string length 0", msg(0, &[elements(b"\x02a\0\0\0\0\0")]), Reply(22)),
        ("41 string past the end", msg(0, &[elements(b"\x02a\0\x40\0\0\0b\0")]), Reply(22)),
        ("42 name without end", msg(0, &[elements(b"\x08aaaa")]), Reply(22)),
        ("43 text that is not UTF-8", msg(0, &[elements(b"\x02a\0\x02\0\0\0\xff\0")]), Fine),
        ("44 depth 100", msg(0, &[nested(100)]), Fine),
        ("45 depth 200", msg(0, &[nested(200)]), Fine),
        ("45 depth 201", msg(0, &[nested(201)]), Reply(15)),
        ("46 depth 100,000", msg(0, &[nested(100_000)]), Reply(15)),
        ("50 boolean 2", msg(0, &[elements(b"\x08a\0\x02")]), Reply(22)),
        ("in a sequence", msg(0, &[ping(), bad_sequence_document]), Reply(22)),
    ]);
}

#[test]
fn compression() {
    let content = msg(0, &[ping()])[16..].to_vec();
    let size = i32::try_from(content.len()).unwrap();
    let mut rows = Vec::new();
    for compressor in [Compressor::Snappy, Compressor::Zlib, Compressor::Zstd] {
        let id = compressor.id();
        let name = |row: &str| format!("{row} with {}", compressor.name());
        let data = compressor.compress(&content).unwrap();
        let longer = [data.as_slice(), b"\0"].concat();
        let twice = [data.as_slice(), data.as_slice()].concat();
        rows.extend([
            (name("sound"), compressed(2013, size, id, &data), Fine),
            (name("30 announced too large"), compressed(2013, size + 1, id, &data), Close),
            (name("30 announced 47 MB"), compressed(2013, 47_000_000, id, &data), Close),
            (name("31 announced too small"), compressed(2013, size - 1, id, &data), Close),
            (name("31 announced 0"), compressed(2013, 0, id, &data), Close),
            (name("32 negative"), compressed(2013, -1, id, &data), Close),
            (name("32 above the limit"), compressed(2013, 48_000_001, id, &data), Close),
            (name("35 nested"), compressed(2012, size, id, &data), Close),
            (name("37 cut"), compressed(2013, size, id, &data[..data.len() - 1]), Close),
            (name("37 trailing byte"), compressed(2013, size, id, &longer), Close),
            (name("37 twice"), compressed(2013, size, id, &twice), Close),
            (name("37 nothing"), compressed(2013, size, id, b""), Close),
            (name("37 noise"), compressed(2013, size, id, b"\x05hello world"), Close),
            (name("legacy inside"), compressed(2002, size, id, &data), Close),
        ]);
    }
    rows.extend([
        ("29 too short".to_owned(), message(2012, &[0; 8]), Close),
        ("36 compressor 200".to_owned(), compressed(2013, size, 200, &content), Close),
        ("36 not negotiated".to_owned(), compressed(2013, size, 0, &content), Close),
    ]);
    for (name, bytes, expected) in rows {
        assert_eq!(outcome(&bytes), expected, "row {name}");
    }
}

#[test]
fn a_small_limit_holds_after_decompression() {
    let zeros = vec![0; 1_000_000];
    for compressor in Compressor::OFFERED {
        let data = compressor.compress(&zeros).unwrap();
        let bytes = compressed(2013, 1_000_000, compressor.id(), &data);
        let frame = Frame::from_message(Bytes::from(bytes), limits::MESSAGE_BYTES_MAX).unwrap();
        let result = op_compressed::decompress(&frame, 64 * 1024, |_| true);
        assert_eq!(result, Err(Error::UncompressedSize(1_000_000)), "row 33 with {}", compressor.name());
    }
}

#[test]
fn messages_survive_the_way_there_and_back() {
    let body = raw(doc! {"insert": "c", "$db": "d"});
    let documents: Vec<SharedDoc> = (0..3).map(|id| SharedDoc::from(raw(doc! {"_id": id}))).collect();
    for flags in [0, CHECKSUM_PRESENT, MORE_TO_COME | CHECKSUM_PRESENT] {
        for sequences in [vec![], vec![("documents", documents.as_slice())]] {
            let bytes = op_msg::encode(3, 0, flags, &body, sequences.clone()).unwrap();
            let mut all = vec![bytes.clone()];
            all.extend(
                Compressor::OFFERED.map(|compressor| op_compressed::compress(&bytes, compressor).unwrap()),
            );
            for (index, bytes) in all.into_iter().enumerate() {
                let mut frame = Frame::from_message(bytes, limits::MESSAGE_BYTES_MAX).unwrap();
                if index > 0 {
                    frame = op_compressed::decompress(&frame, limits::MESSAGE_BYTES_MAX, |_| true).unwrap().0;
                }
                assert_eq!((frame.header.request_id, frame.header.op_code), (3, OpCode::Msg));
                let message = op_msg::parse(&frame).unwrap();
                assert_eq!((message.flags, message.body.as_bytes()), (flags, body.as_bytes()));
                assert_eq!(message.sequences.len(), sequences.len());
                for (found, (name, documents)) in message.sequences.iter().zip(&sequences) {
                    assert_eq!((found.name.as_str(), found.documents.as_slice()), (*name, *documents));
                }
            }
        }
    }
    let prelude = op_msg::prelude(3, 9, MORE_TO_COME, body.as_bytes().len()).unwrap();
    let whole = op_msg::encode(3, 9, MORE_TO_COME, &body, []).unwrap();
    assert_eq!([&prelude[..], body.as_bytes()].concat(), whole);
}

#[test]
fn the_handshake_of_drivers_both_ways() {
    let bytes = op_query::encode(5, "admin", &raw(doc! {"ismaster": 1, "helloOk": true})).unwrap();
    let frame = Frame::from_message(bytes, limits::MESSAGE_BYTES_MAX).unwrap();
    let query = op_query::parse(&frame).unwrap();
    assert_eq!(*query.body, *raw(doc! {"ismaster": 1, "helloOk": true, "$db": "admin"}));

    let answer = raw(doc! {"ok": 1.0});
    let bytes = op_reply::encode(6, 5, 0, &answer).unwrap();
    let frame = Frame::from_message(bytes, limits::MESSAGE_BYTES_MAX).unwrap();
    assert_eq!(
        frame.header,
        Header { message_length: 53, request_id: 6, response_to: 5, op_code: OpCode::Reply }
    );
    let reply = op_reply::parse(&frame).unwrap();
    assert_eq!(reply.documents, [SharedDoc::from(answer)]);
}
