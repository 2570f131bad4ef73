//! Values at the edges of BSON: stored, returned byte for byte, and answered by operators without a panic.

use crate::bytes::{document, element, insert_of};
use bson::{Bson, DateTime, Document, doc};
use tests::driver::{Connection, raw, verdict};
use types::limits::{DOCUMENT_BYTES_MAX, MESSAGE_BYTES_MAX};
use wire::op_msg;

/// Element type, name and bytes of a value.
const KEPT: &[(u8, &str, &[u8])] = &[
    (2, "invalid UTF-8", b"\x05\0\0\0\xff\xfe\xc0\x80\0"),
    (1, "NaN with a payload", &[1, 0, 0xef, 0xbe, 0xad, 0xde, 0xf8, 0x7f]),
    (1, "minus zero", &[0, 0, 0, 0, 0, 0, 0, 0x80]),
    (19, "decimal junk", &[0xff; 16]),
    (
        19,
        "decimal with a coefficient that is too large",
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x41, 0x30],
    ),
    (9, "date -2^63", &[0, 0, 0, 0, 0, 0, 0, 0x80]),
    (9, "date 2^63-1", &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]),
    (5, "column binary", &[4, 0, 0, 0, 7, 1, 2, 3, 4]),
    (6, "undefined", &[]),
    (14, "symbol", b"\x02\0\0\0a\0"),
];

pub(crate) fn check(peer: &mut Connection, db: &str) {
    kept(peer, db);
    operators(peer, db);
    sizes(peer, db);
}

fn kept(peer: &mut Connection, db: &str) {
    for (number, (kind, name, value)) in (0_i32..).zip(KEPT) {
        let stored =
            document(&[element(16, "_id", &number.to_le_bytes()), element(*kind, "value", value)].concat());
        peer.send_bytes(&insert_of(db, &stored)).unwrap();
        let frame = peer.receive_frame().unwrap().unwrap_or_else(|| panic!("{name}: closed"));
        let reply = Document::try_from(&*op_msg::parse(&frame).unwrap().body).unwrap();
        let reply = verdict(reply).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(!reply.contains_key("writeErrors"), "{name}: {reply}");
        let find = raw(&doc! { "find": "c", "filter": { "_id": number }, "$db": db });
        peer.send(0, &find).unwrap();
        let frame = peer.receive_frame().unwrap().unwrap();
        let found = frame.message.windows(stored.len()).any(|window| window == stored);
        assert!(found, "{name}: not returned as it was stored");
    }
}

/// Each is evaluated over all odd values; an error is as good an answer as a result.
fn operators(peer: &mut Connection, db: &str) {
    let expressions = [
        doc! { "$toUpper": "$value" },
        doc! { "$strLenCP": "$value" },
        doc! { "$strLenBytes": "$value" },
        doc! { "$concat": ["$value", "x"] },
        doc! { "$split": ["$value", "a"] },
        doc! { "$substrCP": ["$value", 0, 1] },
        doc! { "$year": "$value" },
        doc! { "$dateToString": { "date": "$value" } },
        doc! { "$dateToParts": { "date": "$value", "timezone": "Europe/Paris" } },
        doc! { "$dateAdd": { "startDate": "$value", "unit": "year", "amount": 1_000_000 } },
        doc! { "$dateTrunc": { "date": "$value", "unit": "week" } },
        doc! { "$add": ["$value", 1] },
        doc! { "$multiply": ["$value", "$value"] },
        doc! { "$round": ["$value", 2] },
        doc! { "$toLong": "$value" },
        doc! { "$toString": "$value" },
    ];
    for expression in expressions {
        for number in 0..KEPT.len() {
            let number = i32::try_from(number).unwrap();
            let pipeline =
                [doc! { "$match": { "_id": number } }, doc! { "$project": { "result": expression.clone() } }];
            // Only that there is an answer; the connection would panic the test otherwise.
            peer.command(db, doc! { "aggregate": "c", "pipeline": pipeline.to_vec(), "cursor": {} }).ok();
        }
    }
    for filter in [doc! { "value": { "$regex": "a" } }, doc! { "value": { "$gt": DateTime::MIN } }] {
        peer.command(db, doc! { "find": "c", "filter": filter, "sort": { "value": 1 } }).ok();
    }
    peer.run("admin", doc! { "ping": 1 });
}

/// The edges of sizes: rows 4, 52, 53 and 54.
fn sizes(peer: &mut Connection, db: &str) {
    // `{_id: int32, text: string}`: 5 around, 9 for the id, 11 around the text.
    let of_size = |id: i32, size: usize| doc! { "_id": id, "text": "x".repeat(size - 25) };
    let exact = of_size(1, DOCUMENT_BYTES_MAX);
    assert_eq!(raw(&exact).as_bytes().len(), DOCUMENT_BYTES_MAX);
    insert(peer, db, "large", &[exact]).unwrap();
    let code = insert(peer, db, "large", &[of_size(2, DOCUMENT_BYTES_MAX + 1)]).unwrap_err();
    assert!([10334, 2].contains(&code), "a document one byte too large: {code}");

    for (update, kind) in
        [(doc! { "$set": { "more": 1 } }, "$set"), (doc! { "$push": { "list": 1 } }, "$push")]
    {
        let reply = peer.run(db, doc! { "update": "large", "updates": [{ "q": { "_id": 1 }, "u": update }] });
        let code = write_error(&reply).unwrap_or_else(|| panic!("{kind} on a full document: {reply}"));
        assert!([10334, 17419].contains(&code), "{kind} on a full document: {reply}");
    }

    // A message of exactly the largest size, as three documents of about 16 MB.
    let body = raw(&doc! { "insert": "huge", "$db": db });
    let around = 16 + 4 + 1 + body.as_bytes().len() + 1 + 4 + "documents\0".len();
    let each = (MESSAGE_BYTES_MAX - around) / 3;
    let last = MESSAGE_BYTES_MAX - around - 2 * each;
    let documents: Vec<value::SharedDoc> = [(1, each), (2, each), (3, last)]
        .into_iter()
        .map(|(id, size)| value::SharedDoc::from(raw(&of_size(id, size))))
        .collect();
    let message = op_msg::encode(9, 0, 0, &body, [("documents", &*documents)]).unwrap();
    assert_eq!(message.len(), MESSAGE_BYTES_MAX);
    peer.send_bytes(&message).unwrap();
    let frame = peer.receive_frame().unwrap().expect("row 4: an answer");
    let reply = Document::try_from(&*op_msg::parse(&frame).unwrap().body).unwrap();
    assert_eq!((reply.get_i32("n").ok(), reply.get("writeErrors")), (Some(3), None), "row 4: {reply}");

    let group = doc! { "$group": { "_id": 1, "all": { "$push": "$text" } } };
    let error = peer.fail(db, doc! { "aggregate": "huge", "pipeline": [group], "cursor": {} });
    assert!([10334, 17419, 146].contains(&error.code), "row 54: {error}");
    // Batches are bounded by bytes: three documents of 16 MB need three answers.
    let batches = peer.batches(db, doc! { "find": "huge", "sort": { "_id": 1 } });
    assert_eq!(batches.iter().map(Vec::len).sum::<usize>(), 3);
    peer.run(db, doc! { "drop": "huge" });
    peer.run(db, doc! { "drop": "large" });
}

fn insert(peer: &mut Connection, db: &str, collection: &str, documents: &[Document]) -> Result<(), i32> {
    let documents: Vec<value::SharedDoc> =
        documents.iter().map(|document| value::SharedDoc::from(raw(document))).collect();
    let body = raw(&doc! { "insert": collection, "$db": db });
    peer.send_bytes(&op_msg::encode(9, 0, 0, &body, [("documents", &*documents)]).unwrap()).unwrap();
    let frame = peer.receive_frame().unwrap().expect("an answer");
    let reply = Document::try_from(&*op_msg::parse(&frame).unwrap().body).unwrap();
    match verdict(reply) {
        Err(error) => Err(error.code),
        Ok(reply) => write_error(&reply).map_or(Ok(()), Err),
    }
}

fn write_error(reply: &Document) -> Option<i32> {
    reply.get_array("writeErrors").ok()?.first().and_then(Bson::as_document)?.get_i32("code").ok()
}
