//! Entries in MongoDB's shape: `{lsid, txnNumber, op, ns, ui, o, o2, rid, stmtId, ts, t, v: 2, wall}`.
//! Several changes of one commit are one `applyOps` command, so that a commit is one entry and one time.

use super::record::set;
use bson::{RawBsonRef, RawDocument};
use types::{Namespace, OpTime, Uuid};

/// `ts`, `t`, `v`, `wall` and the final NUL have fixed lengths, so both times have fixed places from the end.
const TS_FROM_END: usize = 8 + T_FROM_END + 3;
const T_FROM_END: usize = 8 + 11 + 14 + 1;

/// Room for what an operation has beside its document.
const OP_BYTES: usize = 128;

/// One change.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Change<'a> {
    Insert {
        doc: &'a RawDocument,
    },
    /// `o` is the resulting document or a difference to the one before ([`super::diff`]), never an increment.
    Update {
        id: RawBsonRef<'a>,
        o: &'a RawDocument,
    },
    Delete {
        id: RawBsonRef<'a>,
    },
    Command {
        command: &'a RawDocument,
    },
    Noop {
        message: &'a RawDocument,
    },
}

/// A change of a namespace.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Op<'a> {
    pub ns: &'a str,
    pub uuid: Option<Uuid>,
    pub change: Change<'a>,
    /// The number of the record, where records are kept by number and not by `_id`.
    pub record: Option<i64>,
    pub stmt_id: Option<i32>,
}

/// The session part of an entry.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Session<'a> {
    pub lsid: &'a RawDocument,
    pub txn_number: i64,
}

/// The entry of one commit; times are zero until [`set_times`].
pub(crate) fn encode(ops: &[Op<'_>], session: Option<Session<'_>>, wall_millis: i64) -> Vec<u8> {
    let length = |op: &Op<'_>| match op.change {
        Change::Insert { doc } | Change::Command { command: doc } | Change::Noop { message: doc } => {
            doc.as_bytes().len()
        }
        Change::Update { o, .. } => o.as_bytes().len(),
        Change::Delete { .. } => 0,
    };
    // Most of what is beside the documents is short.
    let room = ops.iter().map(|op| length(op) + op.ns.len() + OP_BYTES).sum::<usize>() + OP_BYTES;
    let mut out = Writer(Vec::with_capacity(room));
    let whole = out.begin();
    if let Some(session) = session {
        out.document("lsid", session.lsid.as_bytes());
        out.int64("txnNumber", session.txn_number);
    }
    if let [op] = ops {
        write_op(&mut out, op);
    } else {
        out.string("op", "c");
        out.string("ns", "admin.$cmd");
        let o = out.begin_named(DOCUMENT, "o");
        let list = out.begin_named(ARRAY, "applyOps");
        for (number, op) in ops.iter().enumerate() {
            let each = out.begin_named(DOCUMENT, &number.to_string());
            write_op(&mut out, op);
            out.end(each);
        }
        out.end(list);
        out.end(o);
    }
    out.name(TIMESTAMP, "ts");
    out.0.extend_from_slice(&[0; 8]);
    out.int64("t", 0);
    out.int64("v", 2);
    out.name(DATE, "wall");
    out.0.extend_from_slice(&wall_millis.to_le_bytes());
    out.end(whole);
    out.0
}

fn write_op(out: &mut Writer, op: &Op<'_>) {
    let letter = match op.change {
        Change::Insert { .. } => "i",
        Change::Update { .. } => "u",
        Change::Delete { .. } => "d",
        Change::Command { .. } => "c",
        Change::Noop { .. } => "n",
    };
    out.string("op", letter);
    out.string("ns", op.ns);
    if let Some(uuid) = op.uuid {
        out.uuid("ui", uuid);
    }
    match op.change {
        Change::Insert { doc } | Change::Command { command: doc } | Change::Noop { message: doc } => {
            out.document("o", doc.as_bytes());
        }
        Change::Update { id, o } => {
            out.document("o", o.as_bytes());
            out.id_document("o2", id);
        }
        Change::Delete { id } => out.id_document("o", id),
    }
    if let Some(record) = op.record {
        out.int64("rid", record);
    }
    if let Some(stmt_id) = op.stmt_id {
        out.name(INT32, "stmtId");
        out.0.extend_from_slice(&stmt_id.to_le_bytes());
    }
}

/// Puts the times into an entry at the end of `bytes`.
pub(crate) fn set_times(bytes: &mut [u8], at: OpTime) {
    let end = bytes.len();
    set(bytes, end.saturating_sub(TS_FROM_END), &at.ts.0.to_le_bytes());
    set(bytes, end.saturating_sub(T_FROM_END), &at.term.to_le_bytes());
}

/// The namespace of commands on a database.
pub(crate) fn command_ns(ns: &Namespace) -> String {
    format!("{}.$cmd", ns.db())
}

const DOCUMENT: u8 = 0x03;
const ARRAY: u8 = 0x04;
const STRING: u8 = 0x02;
const BINARY: u8 = 0x05;
const DATE: u8 = 0x09;
const INT32: u8 = 0x10;
const TIMESTAMP: u8 = 0x11;
const INT64: u8 = 0x12;
const UUID_SUBTYPE: u8 = 4;

/// BSON straight into one buffer: an entry is made for every commit.
#[derive(Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn name(&mut self, kind: u8, name: &str) {
        self.0.push(kind);
        self.0.extend_from_slice(name.as_bytes());
        self.0.push(0);
    }

    /// Opens a document; [`Writer::end`] takes the place it started at.
    fn begin(&mut self) -> usize {
        let start = self.0.len();
        self.0.extend_from_slice(&[0; 4]);
        start
    }

    fn begin_named(&mut self, kind: u8, name: &str) -> usize {
        self.name(kind, name);
        self.begin()
    }

    fn end(&mut self, start: usize) {
        self.0.push(0);
        let length = (self.0.len() - start) as u32;
        set(&mut self.0, start, &length.to_le_bytes());
    }

    fn string(&mut self, name: &str, value: &str) {
        self.name(STRING, name);
        self.0.extend_from_slice(&(value.len() as u32 + 1).to_le_bytes());
        self.0.extend_from_slice(value.as_bytes());
        self.0.push(0);
    }

    fn int64(&mut self, name: &str, value: i64) {
        self.name(INT64, name);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    fn uuid(&mut self, name: &str, value: Uuid) {
        self.name(BINARY, name);
        self.0.extend_from_slice(&16_u32.to_le_bytes());
        self.0.push(UUID_SUBTYPE);
        self.0.extend_from_slice(&value.0);
    }

    fn document(&mut self, name: &str, bytes: &[u8]) {
        self.name(DOCUMENT, name);
        self.0.extend_from_slice(bytes);
    }

    fn id_document(&mut self, name: &str, id: RawBsonRef<'_>) {
        let mut doc = bson::RawDocumentBuf::new();
        doc.append(bson::raw::cstr!("_id"), id);
        self.document(name, doc.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::{Document, RawDocumentBuf, doc, rawdoc};
    use types::Timestamp;

    fn check(ops: &[Op<'_>], session: Option<Session<'_>>, want: Document) {
        let mut bytes = encode(ops, session, 1234);
        set_times(&mut bytes, OpTime { ts: Timestamp::new(77, 2), term: 5 });
        let got = Document::try_from(&*RawDocumentBuf::from_bytes(bytes).unwrap()).unwrap();
        assert_eq!(got, want);
    }

    #[test]
    fn entries_have_the_known_shape() {
        let raw = rawdoc! {"_id": 1, "x": "y"};
        let ts = bson::Timestamp { time: 77, increment: 2 };
        let wall = bson::DateTime::from_millis(1234);
        let insert = Op {
            ns: "d.c",
            uuid: Some(Uuid([9; 16])),
            change: Change::Insert { doc: &raw },
            record: None,
            stmt_id: None,
        };
        let ui = Uuid([9; 16]).to_bson();
        check(
            &[insert],
            None,
            doc! {"op": "i", "ns": "d.c", "ui": ui.clone(), "o": {"_id": 1, "x": "y"}, "ts": ts, "t": 5_i64, "v": 2_i64, "wall": wall},
        );
        let lsid = rawdoc! {"id": 3};
        let delete = Op { change: Change::Delete { id: RawBsonRef::Int32(1) }, stmt_id: Some(4), ..insert };
        check(
            &[insert, delete],
            Some(Session { lsid: &lsid, txn_number: 8 }),
            doc! {"lsid": {"id": 3}, "txnNumber": 8_i64, "op": "c", "ns": "admin.$cmd", "o": {"applyOps": [
                {"op": "i", "ns": "d.c", "ui": ui.clone(), "o": {"_id": 1, "x": "y"}},
                {"op": "d", "ns": "d.c", "ui": ui.clone(), "o": {"_id": 1}, "stmtId": 4},
            ]}, "ts": ts, "t": 5_i64, "v": 2_i64, "wall": wall},
        );
        let update =
            Op { change: Change::Update { id: RawBsonRef::Int32(1), o: &raw }, record: Some(6), ..insert };
        check(
            &[update],
            None,
            doc! {"op": "u", "ns": "d.c", "ui": ui, "o": {"_id": 1, "x": "y"}, "o2": {"_id": 1}, "rid": 6_i64, "ts": ts, "t": 5_i64, "v": 2_i64, "wall": wall},
        );
    }
}
