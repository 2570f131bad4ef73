//! Makes a client's document fit to be stored: `_id` present, first and of a lawful type, zero timestamps filled in, size and
//! depth within bounds. Works on element frames: values are neither decoded nor checked for UTF-8.

use bson::oid::ObjectId;
use bson::spec::ElementType;
use bson::{RawBsonRef, RawDocument, RawDocumentBuf};
use std::ops::Range;
use types::{Code, Fault, Timestamp, limits};
use value::SharedDoc;

/// Type byte, empty name and its NUL, length and terminator: what one level of nesting costs at least.
const LEVEL_BYTES_MIN: usize = 7;

/// The document as it is stored.
///
/// # Errors
/// `InvalidIdField` (53), `DollarPrefixedFieldName` (52), `BSONObjectTooLarge` (10334), `Overflow` (15), `InvalidBSON` (22).
pub(crate) fn insertable(doc: &SharedDoc, now: impl Fn() -> Timestamp) -> Result<SharedDoc, Fault> {
    check_size(doc)?;
    check_depth(doc, limits::STORED_DEPTH_MAX)?;
    let mut id: Option<Range<usize>> = None;
    let mut zero_timestamps: Vec<usize> = Vec::new();
    let mut at = 4;
    for element in doc.iter_elements() {
        let element = element.map_err(invalid)?;
        let value_at = at + 1 + element.key().len() + 1;
        let end = value_at + element.size();
        if element.key().as_str() == "_id" {
            if id.is_some() {
                return Err(Fault::bad_value("can't have multiple _id fields in one document"));
            }
            check_id(&element)?;
            id = Some(at..end);
        } else if element.element_type() == ElementType::Timestamp
            && doc.as_bytes().get(value_at..end).is_some_and(|value| value.iter().all(|byte| *byte == 0))
        {
            zero_timestamps.push(value_at);
        }
        at = end;
    }
    if zero_timestamps.is_empty() && id.as_ref().is_some_and(|id| id.start == 4) {
        return Ok(doc.clone());
    }
    let mut bytes = doc.as_bytes().to_vec();
    for at in zero_timestamps {
        if let Some(slot) = bytes.get_mut(at..at + 8) {
            slot.copy_from_slice(&now().0.to_le_bytes());
        }
    }
    match id {
        Some(id) if id.start == 4 => {}
        Some(id) => {
            if let Some(front) = bytes.get_mut(4..id.end) {
                front.rotate_right(id.len());
            }
        }
        None => bytes = with_object_id(&bytes),
    }
    let doc = RawDocumentBuf::from_bytes(bytes).map_err(invalid)?;
    check_size(&doc)?;
    Ok(doc.into())
}

/// Refuses what an update made too deep. The update itself looks at the size.
///
/// # Errors
/// `Overflow` (15).
pub(crate) fn check_updated(doc: &RawDocument) -> Result<(), Fault> {
    check_depth(doc, limits::STORED_DEPTH_MAX)
}

/// The `_id` of a stored document.
///
/// # Errors
/// `InvalidBSON` where the value does not decode; an internal error where there is none.
pub(crate) fn id_of(doc: &RawDocument) -> Result<RawBsonRef<'_>, Fault> {
    doc.get("_id").map_err(invalid)?.ok_or_else(|| Fault::internal("stored document without _id"))
}

fn with_object_id(doc: &[u8]) -> Vec<u8> {
    let id = ObjectId::new().bytes();
    let mut bytes = Vec::with_capacity(doc.len() + 17);
    bytes.extend_from_slice(&(doc.len() as i32 + 17).to_le_bytes());
    bytes.push(ElementType::ObjectId as u8);
    bytes.extend_from_slice(b"_id\0");
    bytes.extend_from_slice(&id);
    bytes.extend_from_slice(doc.get(4..).unwrap_or(&[0]));
    bytes
}

fn check_id(element: &bson::raw::RawElement<'_>) -> Result<(), Fault> {
    let forbidden = match element.element_type() {
        ElementType::Array => "array",
        ElementType::RegularExpression => "regex",
        ElementType::Undefined => "undefined",
        ElementType::EmbeddedDocument => {
            let RawBsonRef::Document(id) = element.value().map_err(invalid)? else {
                return Err(Fault::internal("document element without document"));
            };
            for field in id.iter_elements() {
                let name = field.map_err(invalid)?.key().as_str();
                if name.starts_with('$') {
                    return Err(Fault::new(
                        Code::DollarPrefixedFieldName,
                        format!(
                            "_id fields may not contain '$'-prefixed fields: {name} is not valid for storage."
                        ),
                    ));
                }
            }
            return Ok(());
        }
        _ => return Ok(()),
    };
    Err(Fault::new(Code::InvalidIdField, format!("The '_id' value cannot be of type {forbidden}")))
}

fn check_size(doc: &RawDocument) -> Result<(), Fault> {
    let bytes = doc.as_bytes().len();
    if bytes > limits::DOCUMENT_BYTES_MAX {
        return Err(Fault::new(
            Code::BSONObjectTooLarge,
            format!(
                "object to insert too large. size in bytes: {bytes}, max size: {}",
                limits::DOCUMENT_BYTES_MAX
            ),
        ));
    }
    Ok(())
}

/// `levels` counts this document too. The door let nothing deeper than [`limits::BSON_DEPTH_MAX`] in, which bounds the recursion.
fn check_depth(doc: &RawDocument, levels: usize) -> Result<(), Fault> {
    if levels == 0 {
        return Err(Fault::new(
            Code::Overflow,
            format!("Document exceeds maximum nested object depth: {}", limits::STORED_DEPTH_MAX),
        ));
    }
    if doc.as_bytes().len() < LEVEL_BYTES_MIN * levels {
        return Ok(());
    }
    for element in doc.iter_elements() {
        let element = element.map_err(invalid)?;
        match element.element_type() {
            ElementType::EmbeddedDocument => {
                if let RawBsonRef::Document(inner) = element.value().map_err(invalid)? {
                    check_depth(inner, levels - 1)?;
                }
            }
            ElementType::Array => {
                if let RawBsonRef::Array(inner) = element.value().map_err(invalid)? {
                    check_depth(RawDocument::from_bytes(inner.as_bytes()).map_err(invalid)?, levels - 1)?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn invalid(error: bson::error::Error) -> Fault {
    Fault::new(Code::InvalidBSON, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::{Bson, Document, doc};

    fn check(input: Document, expected: Result<Document, i32>) {
        let raw = SharedDoc::from(RawDocumentBuf::try_from(&input).unwrap());
        let outcome = insertable(&raw, || Timestamp::new(5, 6))
            .map(|doc| Document::try_from(&*doc).unwrap())
            .map_err(|fault| fault.code.number());
        assert_eq!(outcome, expected, "{input}");
    }

    #[test]
    fn documents_are_made_fit() {
        let zero = bson::Timestamp { time: 0, increment: 0 };
        let now = bson::Timestamp { time: 5, increment: 6 };
        check(doc! {"_id": 1, "a": 2}, Ok(doc! {"_id": 1, "a": 2}));
        check(doc! {"a": 2, "_id": 1, "b": 3}, Ok(doc! {"_id": 1, "a": 2, "b": 3}));
        check(doc! {"b": "x", "_id": "long id"}, Ok(doc! {"_id": "long id", "b": "x"}));
        check(doc! {"_id": 1, "t": zero, "n": {"t": zero}}, Ok(doc! {"_id": 1, "t": now, "n": {"t": zero}}));
        check(doc! {"t": zero, "_id": zero}, Ok(doc! {"_id": zero, "t": now}));
        check(doc! {"_id": 1, "$a": 1}, Ok(doc! {"_id": 1, "$a": 1}));
        check(doc! {"_id": [1]}, Err(53));
        check(doc! {"_id": Bson::Undefined}, Err(53));
        check(
            doc! {"_id": bson::Regex { pattern: bson::cstr!("a").into(), options: bson::cstr!("").into() }},
            Err(53),
        );
        check(doc! {"_id": {"$a": 1}}, Err(52));
        check(doc! {"_id": Bson::Null}, Ok(doc! {"_id": Bson::Null}));
    }

    #[test]
    fn an_id_is_added_in_front() {
        let raw = SharedDoc::from(RawDocumentBuf::try_from(&doc! {"a": 1}).unwrap());
        let stored = insertable(&raw, || Timestamp::ZERO).unwrap();
        let names: Vec<String> =
            stored.iter().map(|element| element.unwrap().0.as_str().to_owned()).collect();
        assert_eq!(names, ["_id", "a"]);
        assert!(stored.get_object_id("_id").is_ok());
    }

    #[test]
    fn depth_and_size_have_bounds() {
        for (levels, expected) in [(178, None), (179, None), (180, Some(15))] {
            let mut inner = doc! {};
            for _ in 0..levels - 1 {
                inner = doc! {"a": inner};
            }
            let raw = SharedDoc::from(RawDocumentBuf::try_from(&doc! {"_id": 1, "a": inner}).unwrap());
            let outcome = insertable(&raw, || Timestamp::ZERO).err().map(|fault| fault.code.number());
            assert_eq!(outcome, expected, "{levels}");
        }
        for (extra, expected) in [(0, None), (1, Some(10334))] {
            let overhead = RawDocumentBuf::try_from(&doc! {"_id": 1, "a": ""}).unwrap().as_bytes().len();
            let text = "x".repeat(limits::DOCUMENT_BYTES_MAX - overhead + extra);
            let raw = SharedDoc::from(RawDocumentBuf::try_from(&doc! {"_id": 1, "a": text}).unwrap());
            let outcome = insertable(&raw, || Timestamp::ZERO).err().map(|fault| fault.code.number());
            assert_eq!(outcome, expected);
        }
    }
}
