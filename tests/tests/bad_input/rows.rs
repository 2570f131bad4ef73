//! The table. Numbers are those of the project's list of bad input. Rows 6 to 8 take a minute and are in `slow`; 4 and 52 to 54
//! are about what is stored, in `stored`. Row 33 needs authentication, which is not built.

use crate::bytes::*;
use bson::{Bson, Document, doc};
use wire::Compressor;

/// What a server must do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Expect {
    /// Close without a word.
    Close,
    /// An error with one of these codes; the connection goes on.
    Code(&'static [i32]),
    /// An error, then close.
    CodeThenClose(i32),
    /// `ok: 1`; the connection goes on.
    Ok,
    /// An answer or one of these errors, in bounded time.
    OkOr(&'static [i32]),
    /// No answer at all; the connection goes on.
    Silence,
    /// Text that begins so, then close.
    Text(&'static str),
    /// One of these codes, as a write error or as the command's own.
    WriteError(&'static [i32]),
}

pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) bytes: Vec<u8>,
    pub(crate) expect: Expect,
    /// Negotiate these first.
    pub(crate) compressors: &'static [&'static str],
    /// The client stops sending after the bytes.
    pub(crate) ends: bool,
}

fn row(name: &'static str, bytes: Vec<u8>, expect: Expect) -> Row {
    Row { name, bytes, expect, compressors: &[], ends: false }
}

fn cut(name: &'static str, bytes: Vec<u8>, expect: Expect) -> Row {
    Row { ends: true, ..row(name, bytes, expect) }
}

fn after_hello(name: &'static str, bytes: Vec<u8>, expect: Expect) -> Row {
    Row { compressors: &["snappy", "zlib", "zstd"], ..row(name, bytes, expect) }
}

/// The database of commands.
pub(crate) const DB: &str = "bad";
/// Where odd values are stored: what is read elsewhere shall be text.
const STORED_DB: &str = "bad_values";

const INVALID_BSON: Expect = Expect::Code(&[22]);
const NAMESPACE: Expect = Expect::Code(&[73]);

pub(crate) fn framing() -> Vec<Row> {
    use Expect::{Close, Code, CodeThenClose, Ok, Silence, Text};
    let hello = doc! { "ping": 1, "$db": "admin" };
    let ping_body = body(tests::driver::raw(&hello).as_bytes());
    let tiny = document(&[]);
    let client_hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03aaaaaaaaaaaaaaaaaaaaaaaa";
    let mut failing = command("admin", doc! { "noSuchCommand": 1 });
    failing[16] |= 2;
    vec![
        row("1 length 0", header(0, OP_MSG), Close),
        row("1 length 1", header(1, OP_MSG), Close),
        row("1 length 15", header(15, OP_MSG), Close),
        row("2 length -2^31", header(i32::MIN, OP_MSG), Close),
        row("2 length -1", header(-1, OP_MSG), Close),
        row("3 length 48,000,001", header(48_000_001, OP_MSG), Close),
        row("3 length 2^31-1", header(i32::MAX, OP_MSG), Close),
        cut("5 end inside the header", ping()[..9].to_vec(), Close),
        cut("5 end inside the body", ping()[..40].to_vec(), Close),
        row("9 unknown operation", message(9999, &[0; 20]), Close),
        row("10 OP_UPDATE", message(2001, &[0; 20]), Close),
        row("10 OP_INSERT", message(2002, &[0; 20]), Close),
        row("10 OP_GET_MORE", message(2005, &[0; 20]), Close),
        row("10 OP_DELETE", message(2006, &[0; 20]), Close),
        row("10 OP_KILL_CURSORS", message(2007, &[0; 20]), Close),
        row("11 OP_QUERY isMaster", query(&doc! { "isMaster": 1 }), Ok),
        row("11 OP_QUERY hello", query(&doc! { "hello": 1 }), Ok),
        row("12 OP_QUERY ping", query(&doc! { "ping": 1 }), Code(&[352])),
        row("13 OP_REPLY", message(1, &[0; 20]), Close),
        row("14 HTTP", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(), Text("HTTP/1.")),
        row("15 TLS hello", client_hello.to_vec(), Close),
        row("16 flag bit 2", ping_with(1 << 2), CodeThenClose(223)),
        row("16 flag bit 15", ping_with(1 << 15), CodeThenClose(223)),
        row("17 flag bit 17", ping_with(1 << 17), Ok),
        row("17 flag bit 31", ping_with(1 << 31), Ok),
        row("18 right checksum", ping_with_checksum(0), Ok),
        row("18 wrong checksum", ping_with_checksum(1), CodeThenClose(288)),
        row("19 no room for a checksum", message(OP_MSG, &[1, 0, 0, 0, 0]), Close),
        row("20 failing, and no reply wanted", failing, Silence),
        row("21 exhaust on ping", ping_with(1 << 16), Ok),
        row("22 no body", msg(0, &[]), Code(&[40587])),
        row("22 only a sequence", msg(0, &[&sequence("a", &[&tiny])]), Code(&[40587])),
        row("23 two bodies", msg(0, &[&ping_body, &ping_body]), Code(&[40430])),
        row("24 section kind 2", msg(0, &[&[2]]), Code(&[40432])),
        row("24 section kind 255", msg(0, &[&[255]]), Code(&[40432])),
        row(
            "25 three sequences",
            msg(0, &[&ping_body, &sequence("a", &[]), &sequence("b", &[]), &sequence("c", &[])]),
            CodeThenClose(233),
        ),
        row(
            "26 sequence twice",
            msg(0, &[&ping_body, &sequence("a", &[&tiny]), &sequence("a", &[&tiny])]),
            Code(&[40431]),
        ),
        row(
            "26 sequence also in the body",
            msg(0, &[&ping_body, &sequence("ping", &[&tiny])]),
            Code(&[40433]),
        ),
        row("27 sequence of 4 bytes", msg(0, &[&ping_body, &[1, 4, 0, 0, 0]]), CodeThenClose(17)),
        row("27 sequence of -1 bytes", msg(0, &[&ping_body, &sequence_of(-1, "a")]), CodeThenClose(17)),
        row(
            "27 sequence beyond the message",
            msg(0, &[&ping_body, &sequence_of(100, "a")]),
            CodeThenClose(17),
        ),
    ]
}

pub(crate) fn compression() -> Vec<Row> {
    use Expect::{Close, Ok};
    let mut rows = vec![
        after_hello("29 compressed in 8 bytes", message(OP_COMPRESSED, &[0; 8]), Close),
        after_hello("32 size -1", compressed(OP_MSG, -1, 2, &squeezed_ping(Compressor::Zlib).0), Close),
        after_hello(
            "32 size 48,000,001",
            compressed(OP_MSG, 48_000_001, 2, &squeezed_ping(Compressor::Zlib).0),
            Close,
        ),
        after_hello("36 compressor 200", compressed(OP_MSG, 5, 200, &[1, 2, 3]), Close),
        row("36 nothing was negotiated", squeeze(&ping(), Compressor::Zlib), Close),
    ];
    for (kind, good, larger, smaller, short, trailing, twice) in [
        (
            Compressor::Snappy,
            "28 snappy",
            "30 snappy, size too large",
            "31 snappy, size too small",
            "37 snappy, cut",
            "37 snappy, more behind",
            "35 snappy twice",
        ),
        (
            Compressor::Zlib,
            "28 zlib",
            "30 zlib, size too large",
            "31 zlib, size too small",
            "37 zlib, cut",
            "37 zlib, more behind",
            "35 zlib twice",
        ),
        (
            Compressor::Zstd,
            "28 zstd",
            "30 zstd, size too large",
            "31 zstd, size too small",
            "37 zstd, cut",
            "37 zstd, more behind",
            "35 zstd twice",
        ),
    ] {
        let (data, size) = squeezed_ping(kind);
        let behind = [&*data, &[0, 1, 2, 3]].concat();
        let inner = squeeze(&ping(), kind);
        rows.extend([
            after_hello(good, compressed(OP_MSG, size, kind.id(), &data), Ok),
            after_hello(larger, compressed(OP_MSG, size + 1000, kind.id(), &data), Close),
            after_hello(smaller, compressed(OP_MSG, size - 1, kind.id(), &data), Close),
            after_hello(short, compressed(OP_MSG, size, kind.id(), &data[..data.len() - 3]), Close),
            after_hello(trailing, compressed(OP_MSG, size, kind.id(), &behind), Close),
            after_hello(twice, squeeze(&inner, kind), Close),
        ]);
    }
    let padded = command("admin", doc! { "ping": 1, "comment": "\0".repeat(47_000_000) });
    rows.push(after_hello("34 47 MB out of little", squeeze(&padded, Compressor::Zlib), Ok));
    rows
}

pub(crate) fn bson() -> Vec<Row> {
    use Expect::{Code, Ok, WriteError};
    let length = |length: i32| with_document(&[&length.to_le_bytes()[..], &[0; 12]].concat());
    let extra = |kind: u8, value: &[u8]| ping_and(&element(kind, "comment", value));
    let text_of = |length: i32, bytes: &[u8]| extra(2, &[&length.to_le_bytes()[..], bytes].concat());
    let binary = |length: i32, subtype: u8, bytes: &[u8]| {
        extra(5, &[&length.to_le_bytes()[..], &[subtype], bytes].concat())
    };
    let mut no_end = ping();
    *no_end.last_mut().unwrap() = 1;
    let column = [7; 64].repeat(8);
    let scope = document(&[]);
    let code = string(b"1");
    let code_with_scope = |difference: i32| {
        let length = i32::try_from(4 + code.len() + scope.len()).unwrap() + difference;
        extra(15, &[&length.to_le_bytes()[..], &code, &scope].concat())
    };
    let stored = |elements: &[u8]| {
        insert_of(STORED_DB, &document(&[&element(7, "_id", &fresh_id())[..], elements].concat()))
    };
    vec![
        row("38 length 4", length(4), INVALID_BSON),
        row("38 length -1", length(-1), INVALID_BSON),
        row("38 length beyond the message", length(1_000), INVALID_BSON),
        row("39 no end", no_end, INVALID_BSON),
        row("39 end too early", extra(0, &[]), INVALID_BSON),
        row("40 type 0x14", extra(0x14, &[0; 4]), INVALID_BSON),
        row("40 type 0x80", extra(0x80, &[0; 4]), INVALID_BSON),
        row("40 type 0xFE", extra(0xFE, &[0; 4]), INVALID_BSON),
        row("41 string of length 0", text_of(0, &[0]), INVALID_BSON),
        row("41 string of length -1", text_of(-1, &[0]), INVALID_BSON),
        row("41 string past the end", text_of(1_000, b"abc\0"), INVALID_BSON),
        row("41 string without NUL", text_of(3, b"abc"), INVALID_BSON),
        row(
            "42 name without NUL",
            with_document(&[10, 0, 0, 0, 16, b'p', b'i', b'n', b'g', b'g']),
            INVALID_BSON,
        ),
        row("43 invalid UTF-8 stored", stored(&element(2, "text", &string(b"\xff\xfe a"))), Ok),
        row("44 depth 100", stored(&element(3, "a", &nested(99))), Ok),
        row("45 depth 181 stored", stored(&element(3, "a", &nested(180))), WriteError(&[15])),
        row("45 depth 201 in a command", ping_and(&element(3, "comment", &nested(200))), Code(&[15])),
        row("46 depth 100,000", ping_and(&element(3, "comment", &nested(100_000))), Code(&[15])),
        row("47 column binary", binary(i32::try_from(column.len()).unwrap(), 7, &column), Ok),
        row("48 old binary, inner length wrong", binary(8, 2, &[9, 0, 0, 0, 1, 2, 3, 4]), INVALID_BSON),
        row("48 binary of length -1", binary(-1, 0, &[]), INVALID_BSON),
        row("49 code with scope, too long", code_with_scope(1), INVALID_BSON),
        row("49 code with scope, too short", code_with_scope(-1), INVALID_BSON),
        row("50 boolean 2", extra(8, &[2]), INVALID_BSON),
        row("50 NaN with a payload", stored(&element(1, "n", &0x7ff8_dead_beef_0001_u64.to_le_bytes())), Ok),
        row("50 decimal junk", stored(&element(19, "n", &[0xff; 16])), Ok),
        row("51 date -2^63", stored(&element(9, "at", &i64::MIN.to_le_bytes())), Ok),
        row("51 date 2^63-1", stored(&element(9, "at", &i64::MAX.to_le_bytes())), Ok),
        row(
            "52 document too large",
            command(
                DB,
                doc! {
                    "insert": "c", "documents": [{ "text": "x".repeat(16 * 1024 * 1024) }],
                },
            ),
            WriteError(&[10334, 2]),
        ),
    ]
}

pub(crate) fn commands() -> Vec<Row> {
    use Expect::{Code, OkOr, WriteError};
    let on = |given: Document| command(DB, given);
    let no_db = |given: &Document| with_document(tests::driver::raw(given).as_bytes());
    let find = |extra: Document| {
        let mut find = doc! { "find": "c" };
        find.extend(extra);
        command(DB, find)
    };
    let pipeline = |stages: Vec<Bson>| on(doc! { "aggregate": "c", "pipeline": stages, "cursor": {} });
    let one = |stage: Document| pipeline(vec![Bson::Document(stage)]);
    let tiny = document(&[]);
    let many = vec![&*tiny; 100_001];
    let insert = tests::driver::raw(&doc! { "insert": "c", "$db": DB });
    let twice = [
        element(2, "find", &string(b"c")),
        element(16, "limit", &1_i32.to_le_bytes()),
        element(16, "limit", &2_i32.to_le_bytes()),
        element(2, "$db", &string(DB.as_bytes())),
    ];
    let nul_db = [element(16, "ping", &1_i32.to_le_bytes()), element(2, "$db", &string(b"a\0b"))];
    let nul_collection = [element(2, "find", &string(b"a\0b")), element(2, "$db", &string(DB.as_bytes()))];
    let branches: Vec<Bson> = (0..100_000).map(|number| Bson::from(doc! { "a": number })).collect();
    let values: Vec<Bson> = (0..1_000_000).map(Bson::from).collect();
    vec![
        row("28 no documents", on(doc! { "insert": "c", "documents": [] }), Code(&[16])),
        row(
            "28 100,001 documents",
            msg(0, &[&body(insert.as_bytes()), &sequence("documents", &many)]),
            Code(&[16]),
        ),
        row("55 unknown command", on(doc! { "noSuchCommand": 1 }), Code(&[59])),
        row(
            "55 empty command",
            with_document(&document(&element(2, "$db", &string(b"a")))),
            Code(&[59, 40571]),
        ),
        row("56 no $db", no_db(&doc! { "ping": 1 }), Code(&[40571])),
        row("56 empty $db", command("", doc! { "ping": 1 }), NAMESPACE),
        row("56 dot in $db", command("a.b", doc! { "find": "c" }), NAMESPACE),
        row("56 slash in $db", command("a/b", doc! { "find": "c" }), NAMESPACE),
        row("56 NUL in $db", with_document(&document(&nul_db.concat())), NAMESPACE),
        row("56 $db of 64 bytes", command(&"d".repeat(64), doc! { "find": "c" }), NAMESPACE),
        row("56 $db is a number", no_db(&doc! { "ping": 1, "$db": 1 }), Code(&[14])),
        row("57 empty collection", on(doc! { "find": "" }), NAMESPACE),
        row("57 a..b", on(doc! { "find": "a..b" }), Expect::OkOr(&[73])),
        row("57 begins with a dot", on(doc! { "find": ".a" }), NAMESPACE),
        row("57 NUL in a collection", with_document(&document(&nul_collection.concat())), NAMESPACE),
        row("57 256 bytes", on(doc! { "insert": "c".repeat(256), "documents": [{}] }), NAMESPACE),
        row("57 a collection that is a number", on(doc! { "find": 1 }), Code(&[73, 14, 2])),
        row("58 unknown field", find(doc! { "noSuchField": 1 }), Code(&[40415])),
        row("58 missing field", on(doc! { "getMore": 1_i64 }), Code(&[40414])),
        row("58 field twice", with_document(&document(&twice.concat())), Code(&[40413])),
        row("58 wrong type", find(doc! { "filter": 1 }), Code(&[14])),
        row("58 wrong type of limit", find(doc! { "limit": "x" }), Code(&[14])),
        row("59 batchSize -1", find(doc! { "batchSize": -1 }), Code(&[2, 51024])),
        row("59 limit -1", find(doc! { "limit": -1 }), Code(&[2, 51024])),
        row("59 skip -1", find(doc! { "skip": -1 }), Code(&[2, 51024])),
        row("59 limit 1e300", find(doc! { "limit": 1e300 }), OkOr(&[2, 9, 51024])),
        row("59 limit 1.5", find(doc! { "limit": 1.5 }), OkOr(&[2, 9, 14, 51024])),
        row("59 limit NaN", find(doc! { "limit": f64::NAN }), OkOr(&[2, 9, 51024])),
        row("59 maxTimeMS -1", find(doc! { "maxTimeMS": -1 }), Code(&[2, 51024])),
        row("59 maxTimeMS 2^40", find(doc! { "maxTimeMS": 1_i64 << 40 }), Code(&[2, 51024])),
        row("60 unknown operator", find(doc! { "filter": { "a": { "$foo": 1 } } }), Code(&[2])),
        row("60 unknown top-level operator", find(doc! { "filter": { "$foo": 1 } }), Code(&[2])),
        row("60 unknown stage", one(doc! { "$nope": 1 }), Code(&[40324])),
        row("60 unknown expression", one(doc! { "$project": { "a": { "$nope": 1 } } }), Code(&[168, 31325])),
        row(
            "60 unknown accumulator",
            one(doc! { "$group": { "_id": 1, "a": { "$nope": 1 } } }),
            Code(&[15952]),
        ),
        row(
            "60 unknown update operator",
            on(doc! {
                "update": "c", "updates": [{ "q": {}, "u": { "$nope": { "a": 1 } } }],
            }),
            WriteError(&[9]),
        ),
        row("60 two fields in a stage", one(doc! { "$match": {}, "$limit": 1 }), Code(&[40323])),
        row("61 1,001 stages", pipeline(vec![Bson::from(doc! { "$match": {} }); 1_001]), Code(&[7749501])),
        row(
            "62 100,000 branches",
            find(doc! { "filter": { "$or": branches }, "maxTimeMS": 30_000 }),
            OkOr(&[146, 50, 292]),
        ),
        row(
            "62 $in of a million",
            find(doc! { "filter": { "a": { "$in": values } }, "maxTimeMS": 30_000 }),
            OkOr(&[146, 50, 292]),
        ),
        row("64 $where", find(doc! { "filter": { "$where": "true" } }), Code(&[238, 2])),
        row(
            "64 mapReduce",
            on(doc! { "mapReduce": "c", "map": "", "reduce": "", "out": { "inline": 1 } }),
            Code(&[238]),
        ),
    ]
}

/// Twelve bytes that no other row has used.
fn fresh_id() -> [u8; 12] {
    bson::oid::ObjectId::new().bytes()
}
