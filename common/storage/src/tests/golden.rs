//! The bytes on disk, as FORMAT.md says and as another program wrote them from it: read and written the same for ever.

use crate::control::Control;
use crate::counts::Count;
use crate::oplog::Record;
use crate::oplog::record::{Draft, Local, Parsed};
use crate::snapshot::{join_base, split_base};
use bson::RawBson;
use bytes::Bytes;
use types::{OpTime, Timestamp};

const CONTROL: &[u8] = include_bytes!("../../tests/golden/control");
const SEGMENT: &[u8] = include_bytes!("../../tests/golden/segment");
const BASE_VALUE: &[u8] = include_bytes!("../../tests/golden/base_value");
const SPILLED_KEY: &[u8] = include_bytes!("../../tests/golden/spilled_key");
/// Of a segment.
const HEADER_BYTES: usize = 24;

const AT: OpTime = OpTime { ts: Timestamp((5 << 32) | 6), term: 3 };

#[test]
fn control_files_stay_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control");
    std::fs::write(&path, CONTROL).unwrap();
    let control = Control::open(dir.path()).unwrap();
    assert_eq!(control.get("term"), Some(RawBson::Int64(7)));
    assert_eq!(control.get("vote"), Some(RawBson::String("host:1".to_owned())));
    control.put("term", 7_i64).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), CONTROL);
}

#[test]
fn log_records_stay_as_they_are() {
    let local = Local {
        deltas: vec![(7, Count { records: 1, bytes: -30 })],
        puts: vec![
            (Bytes::from_static(b"k"), None),
            (Bytes::from_static(b"l"), Some(Bytes::from_static(b"v"))),
        ],
        side: Bytes::new(),
    };
    let written = Draft::new(&local, &[]).finish(AT, Timestamp::new(5, 1));
    assert_eq!(written, &SEGMENT[HEADER_BYTES..]);
    let Parsed::Record(record, length) = Record::parse(&Bytes::from_static(&SEGMENT[HEADER_BYTES..])) else {
        panic!("not a record")
    };
    assert_eq!((record.at, record.synced, length), (AT, Timestamp::new(5, 1), written.len()));
    assert_eq!(record.local().unwrap(), local);
}

#[test]
fn segments_begin_as_they_do() {
    let dir = tempfile::tempdir().unwrap();
    let options = super::harness::options(dir.path(), crate::EngineKind::Memory);
    drop(crate::Store::open(options).unwrap());
    let segment = std::fs::read(dir.path().join("oplog/0000000000000001.log")).unwrap();
    assert_eq!(&segment[..HEADER_BYTES], &SEGMENT[..HEADER_BYTES]);
}

#[test]
fn values_of_the_base_stay_as_they_are() {
    let key = b"\x20\0\0\0\x10a";
    assert_eq!(join_base(key, AT.ts, b"value"), BASE_VALUE);
    let (time, value) = split_base(key, &Bytes::from_static(BASE_VALUE)).unwrap();
    assert_eq!((time, value.as_ref()), (AT.ts, b"value".as_slice()));
    assert!(split_base(b"another key", &Bytes::from_static(BASE_VALUE)).is_err());
    for bit in 0..BASE_VALUE.len() * 8 {
        let mut bad = BASE_VALUE.to_vec();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(split_base(key, &Bytes::from(bad)).is_err(), "bit {bit}");
    }
    assert_eq!(crate::spill::place(key, AT.ts), SPILLED_KEY);
}
