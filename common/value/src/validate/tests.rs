use super::*;
use crate::element::Elements;
use crate::sample::any_document;
use bson::{RawDocumentBuf, rawdoc};
use proptest::prelude::*;

fn framed(elements: &[u8]) -> Vec<u8> {
    let mut bytes = (elements.len() as i32 + 5).to_le_bytes().to_vec();
    bytes.extend(elements);
    bytes.push(0);
    bytes
}

/// Checks the elements of a document, framed correctly.
fn check(elements: &[u8], wanted: Option<Code>) {
    let got = document(&framed(elements), 200).err().map(|fault| fault.code);
    assert_eq!(got, wanted, "{elements:02x?}");
}

/// A document of `depth` levels, the outermost counted; every second one an array.
fn nested(depth: usize) -> Vec<u8> {
    let mut bytes = framed(&[]);
    for level in 1..depth {
        let mut elements = vec![if level % 2 == 0 { 4 } else { 3 }, 0];
        elements.extend(&bytes);
        bytes = framed(&elements);
    }
    bytes
}

#[test]
fn each_type() {
    let bad = Some(Code::InvalidBSON);
    check(&[], None);
    check(b"\x10a\0\x01\0\0\0", None);
    check(b"\x10a\0\x01\0\0", bad);
    check(b"\x10a", bad);
    check(b"\0", bad);
    for kind in [0x14, 0x80, 0xFE] {
        check(&[kind, b'a', 0], bad);
    }
    // Strings: length 0, negative, past the end, no NUL, not UTF-8.
    check(b"\x02a\0\x02\0\0\0x\0", None);
    check(b"\x02a\0\x00\0\0\0", bad);
    check(b"\x02a\0\xff\xff\xff\xffx\0", bad);
    check(b"\x02a\0\x09\0\0\0x\0", bad);
    check(b"\x02a\0\x02\0\0\0xx", bad);
    check(b"\x02a\0\x02\0\0\0\xff\0", None);
    // Names and regular expressions are text.
    check(b"\x0a\xff\0", bad);
    check(b"\x0ba\0x\0i\0", None);
    check(b"\x0ba\0x\0i", bad);
    check(b"\x0ba\0\xff\0i\0", bad);
    check(b"\x08a\0\x01", None);
    check(b"\x08a\0\x02", bad);
    // Binary: subtypes are opaque but the old one.
    check(b"\x05a\0\x01\0\0\0\x07z", None);
    check(b"\x05a\0\xff\xff\xff\xff\0", bad);
    check(b"\x05a\0\x05\0\0\0\x02\x01\0\0\0z", None);
    check(b"\x05a\0\x05\0\0\0\x02\x02\0\0\0z", bad);
    check(b"\x05a\0\x01\0\0\0\x02z", bad);
    check(b"\x05a\0\x05\0\0\0\x02\xff\xff\xff\xffz", bad);
    // DBPointer, decimal, timestamp, min and max key, undefined.
    check(b"\x0ca\0\x02\0\0\0x\x00123456789012", None);
    check(b"\x0ca\0\x02\0\0\0x\x0012345678901", bad);
    check(b"\x13a\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", None);
    check(b"\xffa\0\x7fb\0\x06c\0", None);
    // Code with scope: 4 + 4 + 2 + 5 = 15.
    check(b"\x0fa\0\x0f\0\0\0\x02\0\0\0x\0\x05\0\0\0\0", None);
    check(b"\x0fa\0\x0e\0\0\0\x02\0\0\0x\0\x05\0\0\0\0", bad);
    check(b"\x0fa\0\x10\0\0\0\x02\0\0\0x\0\x05\0\0\0\0\0", bad);
    // Embedded documents: too short, past the end, without NUL.
    check(b"\x03a\0\x05\0\0\0\0", None);
    check(b"\x03a\0\x04\0\0\0\0", bad);
    check(b"\x03a\0\x06\0\0\0\0", bad);
    check(b"\x03a\0\x05\0\0\0\x01", bad);
    check(b"\x03a\0\xff\xff\xff\xff\0", bad);
}

#[test]
fn frames() {
    for bytes in [
        &b""[..],
        b"\0",
        b"\x05\0\0\0",
        b"\x04\0\0\0\0",
        b"\x06\0\0\0\0",
        b"\x05\0\0\0\0\0",
        b"\xff\xff\xff\xff\0",
        b"\x05\0\0\0\x01",
    ] {
        assert_eq!(document(bytes, 200).unwrap_err().code, Code::InvalidBSON, "{bytes:02x?}");
    }
}

#[test]
fn depth() {
    assert!(document(&nested(200), 200).is_ok());
    assert_eq!(document(&nested(201), 200).unwrap_err().code, Code::Overflow);
    assert_eq!(document(&nested(181), 180).unwrap_err().code, Code::Overflow);
    assert!(document(&nested(100), 180).is_ok());
    assert_eq!(document(&nested(100_000), 200).unwrap_err().code, Code::Overflow);
    // Scopes count as well.
    let mut bytes = framed(&[]);
    for _ in 0..200 {
        let mut elements = b"\x0f\0".to_vec();
        elements.extend((bytes.len() as i32 + 9).to_le_bytes());
        elements.extend(b"\x01\0\0\0\0");
        elements.extend(&bytes);
        bytes = framed(&elements);
    }
    assert_eq!(document(&bytes, 200).unwrap_err().code, Code::Overflow);
    assert!(document(&bytes, 201).is_ok());
}

/// What passes the door is readable by the bson crate, but for text that is not UTF-8, and by our own reader to the end.
fn readable(bytes: &[u8]) {
    let doc = bson::RawDocument::from_bytes(bytes).unwrap();
    let count = doc.iter_elements().collect::<Result<Vec<_>, _>>().unwrap().len();
    let own: Vec<_> = Elements::new(bytes).collect();
    assert_eq!(own.len(), count);
    for element in own {
        assert!(element.view().is_some());
        if matches!(element.kind, 0x03 | 0x04) {
            readable(element.value);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn accepts_what_bson_writes(doc in any_document()) {
        let raw = RawDocumentBuf::try_from(&doc).unwrap();
        prop_assert!(document(raw.as_bytes(), 200).is_ok());
        readable(raw.as_bytes());
    }

    #[test]
    fn survives_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        for bytes in [bytes.clone(), framed(&bytes)] {
            if document(&bytes, 200).is_ok() {
                readable(&bytes);
            }
        }
    }

    #[test]
    fn survives_changed_bytes(
        doc in any_document(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = RawDocumentBuf::try_from(&doc).unwrap().into_bytes();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if document(&bytes, 200).is_ok() {
            readable(&bytes);
        }
        // Even what was not validated must not bring a reader down.
        let doc = bson::RawDocument::from_bytes(&bytes);
        if let Ok(doc) = doc {
            let mut out = Vec::new();
            crate::key::encode(&mut out, bson::RawBsonRef::Document(doc), false);
            crate::hash::shard_key_hash(bson::RawBsonRef::Document(doc));
            let _order = crate::order::compare_documents(doc, &rawdoc! {"a": 1});
            let _value = crate::path::get(doc, "a.b");
        }
    }
}
