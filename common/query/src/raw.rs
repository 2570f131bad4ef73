//! Reading and writing raw BSON by element, so that what is kept is copied byte for byte and never decoded.
//! Invariant: bytes copied through here stay what they were, also strings that are not UTF-8 and odd NaNs.

use crate::context::invalid_bson;
use bson::oid::ObjectId;
use bson::spec::{BinarySubtype, ElementType};
use bson::{
    Bson, DateTime, Decimal128, RawArray, RawBinaryRef, RawBson, RawBsonRef, RawDocument, RawDocumentBuf,
    Timestamp,
};
use types::{Code, Fault};

/// One element of a document or array: its name, its type and its bytes. Nothing is decoded before it is asked for.
#[derive(Clone, Copy)]
pub struct Field<'a> {
    parent: &'a RawDocument,
    name: &'a str,
    kind: ElementType,
    /// Where the type byte, the value and the next element are in `parent`.
    start: usize,
    value: usize,
    end: usize,
}

impl<'a> Field<'a> {
    /// The name; an index written in decimal if the container is an array.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// The type of the value.
    pub fn kind(&self) -> ElementType {
        self.kind
    }

    /// The value, borrowed.
    ///
    /// # Errors
    /// InvalidBSON if the bytes are no such value, such as a string that is not UTF-8.
    pub fn value(&self) -> Result<RawBsonRef<'a>, Fault> {
        let bytes = self.value_bytes();
        Ok(match self.kind {
            ElementType::Int32 => RawBsonRef::Int32(i32::from_le_bytes(fixed(bytes)?)),
            ElementType::Int64 => RawBsonRef::Int64(i64::from_le_bytes(fixed(bytes)?)),
            ElementType::Double => RawBsonRef::Double(f64::from_le_bytes(fixed(bytes)?)),
            ElementType::String => {
                let text = bytes.get(4..bytes.len() - 1).unwrap_or_default();
                RawBsonRef::String(std::str::from_utf8(text).map_err(|_| broken("a string is not UTF-8"))?)
            }
            ElementType::ObjectId => RawBsonRef::ObjectId(ObjectId::from_bytes(fixed(bytes)?)),
            ElementType::DateTime => {
                RawBsonRef::DateTime(DateTime::from_millis(i64::from_le_bytes(fixed(bytes)?)))
            }
            ElementType::EmbeddedDocument => RawBsonRef::Document(container(bytes)?),
            ElementType::Null => RawBsonRef::Null,
            ElementType::Boolean if matches!(bytes, [0 | 1]) => RawBsonRef::Boolean(bytes == [1]),
            ElementType::Decimal128 => RawBsonRef::Decimal128(Decimal128::from_bytes(fixed(bytes)?)),
            ElementType::Timestamp => {
                let both = u64::from_le_bytes(fixed(bytes)?);
                RawBsonRef::Timestamp(Timestamp { time: (both >> 32) as u32, increment: both as u32 })
            }
            ElementType::Binary => match BinarySubtype::from(bytes.get(4).copied().unwrap_or_default()) {
                // It has a second length inside.
                BinarySubtype::BinaryOld => self.decoded()?,
                subtype => {
                    RawBsonRef::Binary(RawBinaryRef { subtype, bytes: bytes.get(5..).unwrap_or_default() })
                }
            },
            _ => self.decoded()?,
        })
    }

    /// The value as the driver's crate reads it; it alone can make the rarer views.
    fn decoded(&self) -> Result<RawBsonRef<'a>, Fault> {
        let mut start = 4;
        for element in self.parent.iter_elements() {
            let element = element.map_err(invalid_bson)?;
            if start == self.start {
                return element.value().map_err(invalid_bson);
            }
            start += 1 + element.key().len() + 1 + element.size();
        }
        Err(broken("an element is not where it was"))
    }

    /// Type byte, name and value: what [`Writer::copy`] takes.
    pub fn bytes(&self) -> &'a [u8] {
        self.parent.as_bytes().get(self.start..self.end).unwrap_or_default()
    }

    /// The bytes of the value alone.
    pub fn value_bytes(&self) -> &'a [u8] {
        self.parent.as_bytes().get(self.value..self.end).unwrap_or_default()
    }

    /// The embedded document, if the value is one.
    ///
    /// # Errors
    /// InvalidBSON if its frame is broken.
    pub fn document(&self) -> Result<Option<&'a RawDocument>, Fault> {
        match self.kind {
            ElementType::EmbeddedDocument => container(self.value_bytes()).map(Some),
            _ => Ok(None),
        }
    }

    /// The array as a document whose names are indexes, if the value is an array.
    ///
    /// # Errors
    /// InvalidBSON if its frame is broken.
    pub fn array(&self) -> Result<Option<&'a RawDocument>, Fault> {
        match self.kind {
            ElementType::Array => container(self.value_bytes()).map(Some),
            _ => Ok(None),
        }
    }
}

impl std::fmt::Debug for Field<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}: {:?}", self.name, self.kind)
    }
}

/// The elements of a document in order.
#[derive(Clone)]
pub struct Fields<'a> {
    doc: &'a RawDocument,
    /// Where the next element starts; past the end after an error.
    at: usize,
}

/// Walks the elements of `doc` without looking into their values.
pub fn fields(doc: &RawDocument) -> Fields<'_> {
    Fields { doc, at: 4 }
}

/// Walks the elements of an array.
///
/// # Errors
/// InvalidBSON if its frame is broken.
pub fn elements(array: &RawArray) -> Result<Fields<'_>, Fault> {
    Ok(fields(array_document(array)?))
}

/// An array as the document that it is in bytes.
///
/// # Errors
/// InvalidBSON if its frame is broken.
pub fn array_document(array: &RawArray) -> Result<&RawDocument, Fault> {
    container(array.as_bytes())
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        let found = match Place::at(self.doc.as_bytes(), self.at) {
            Ok(place) => place?.field(self.doc),
            Err(fault) => Err(fault),
        };
        self.at = found.as_ref().map_or(usize::MAX, |field| field.end);
        Some(found)
    }
}

/// The first element called `name`.
///
/// # Errors
/// InvalidBSON if the bytes before it are broken.
pub fn find<'a>(doc: &'a RawDocument, name: &str) -> Result<Option<Field<'a>>, Fault> {
    let bytes = doc.as_bytes();
    let mut at = 4;
    while let Some(place) = Place::at(bytes, at)? {
        if bytes.get(place.start + 1..place.value - 1) == Some(name.as_bytes()) {
            return place.field(doc).map(Some);
        }
        at = place.end;
    }
    Ok(None)
}

/// Where an element lies in the bytes of its document.
struct Place {
    start: usize,
    value: usize,
    end: usize,
    kind: ElementType,
}

impl Place {
    /// The element at an offset; `None` at the end of the document. Everything is within the document.
    fn at(bytes: &[u8], start: usize) -> Result<Option<Place>, Fault> {
        let last = bytes.len().saturating_sub(1);
        if start >= last {
            return Ok(None);
        }
        let kind = ElementType::from(bytes[start]).ok_or_else(|| broken("an element has an unknown type"))?;
        let value = start + 1 + cstring(bytes, start + 1)?;
        let size = match kind {
            ElementType::Int32 => 4,
            ElementType::Int64 | ElementType::Double | ElementType::DateTime | ElementType::Timestamp => 8,
            ElementType::ObjectId => 12,
            ElementType::Boolean => 1,
            ElementType::Decimal128 => 16,
            ElementType::Null | ElementType::Undefined | ElementType::MinKey | ElementType::MaxKey => 0,
            ElementType::String | ElementType::JavaScriptCode | ElementType::Symbol => {
                4 + length(bytes, value, 1)?
            }
            ElementType::EmbeddedDocument | ElementType::Array => length(bytes, value, 5)?,
            ElementType::Binary => 5 + length(bytes, value, 0)?,
            ElementType::DbPointer => 16 + length(bytes, value, 1)?,
            ElementType::JavaScriptCodeWithScope => length(bytes, value, 14)?,
            ElementType::RegularExpression => {
                let pattern = cstring(bytes, value)?;
                pattern + cstring(bytes, value + pattern)?
            }
        };
        let end = value + size;
        if end > last {
            return Err(broken("an element reaches past its document"));
        }
        Ok(Some(Place { start, value, end, kind }))
    }

    fn field(self, parent: &RawDocument) -> Result<Field<'_>, Fault> {
        let name = parent.as_bytes().get(self.start + 1..self.value - 1).unwrap_or_default();
        let name = std::str::from_utf8(name).map_err(|_| broken("a field name is not UTF-8"))?;
        let Place { start, value, end, kind } = self;
        Ok(Field { parent, name, kind, start, value, end })
    }
}

/// Bytes up to and including the next NUL.
fn cstring(bytes: &[u8], at: usize) -> Result<usize, Fault> {
    let rest = bytes.get(at..).unwrap_or_default();
    rest.iter().position(|byte| *byte == 0).map(|end| end + 1).ok_or_else(|| broken("a name does not end"))
}

/// A length prefix of at least `least`. At most 2^31, so sums with offsets do not overflow.
fn length(bytes: &[u8], at: usize, least: usize) -> Result<usize, Fault> {
    let prefix = bytes.get(at..at + 4).and_then(|prefix| prefix.try_into().ok()).map(i32::from_le_bytes);
    let length = prefix.and_then(|length| usize::try_from(length).ok()).filter(|length| *length >= least);
    length.ok_or_else(|| broken("a length is wrong"))
}

fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Fault> {
    bytes.try_into().map_err(|_| broken("a value has the wrong size"))
}

fn container(bytes: &[u8]) -> Result<&RawDocument, Fault> {
    RawDocument::from_bytes(bytes).map_err(invalid_bson)
}

fn broken(what: &str) -> Fault {
    Fault::new(Code::InvalidBSON, format!("invalid BSON: {what}"))
}

/// Builds a document, nested documents and arrays included, in one buffer.
/// Containers are opened and ended like brackets; [`Writer::finish`] ends those still open.
#[derive(Debug)]
pub struct Writer {
    bytes: Vec<u8>,
    /// Where each open container starts.
    open: Vec<usize>,
}

impl Default for Writer {
    fn default() -> Writer {
        Writer::new()
    }
}

impl Writer {
    /// An empty document.
    pub fn new() -> Writer {
        Writer::with_capacity(64)
    }

    /// An empty document with room for `bytes`.
    pub fn with_capacity(bytes: usize) -> Writer {
        let mut buffer = Vec::with_capacity(bytes.max(8));
        buffer.extend_from_slice(&[0; 4]);
        Writer { bytes: buffer, open: vec![0] }
    }

    /// Bytes written so far.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing was written yet.
    pub fn is_empty(&self) -> bool {
        self.bytes.len() == 4
    }

    /// Copies a whole element.
    pub fn copy(&mut self, field: &Field<'_>) {
        self.bytes.extend_from_slice(field.bytes());
    }

    /// Copies the value of an element under another name.
    pub fn copy_as(&mut self, name: &str, field: &Field<'_>) {
        self.key(field.kind(), name);
        self.bytes.extend_from_slice(field.value_bytes());
    }

    /// Appends a value.
    pub fn append(&mut self, name: &str, value: RawBsonRef<'_>) {
        self.key(value.element_type(), name);
        write_value(&mut self.bytes, value);
    }

    /// Appends an owned value.
    ///
    /// # Errors
    /// If it is none that BSON can hold, such as a regular expression with a NUL in it.
    pub fn append_bson(&mut self, name: &str, value: &Bson) -> Result<(), Fault> {
        match value {
            Bson::Document(doc) => {
                self.begin_document(name);
                for (name, value) in doc {
                    self.append_bson(name, value)?;
                }
                self.end();
            }
            Bson::Array(values) => {
                self.begin_array(name);
                for (index, value) in values.iter().enumerate() {
                    self.append_bson(&index.to_string(), value)?;
                }
                self.end();
            }
            Bson::Int32(value) => self.append(name, RawBsonRef::Int32(*value)),
            Bson::Int64(value) => self.append(name, RawBsonRef::Int64(*value)),
            Bson::Double(value) => self.append(name, RawBsonRef::Double(*value)),
            Bson::String(value) => self.append(name, RawBsonRef::String(value)),
            other => {
                let value = RawBson::try_from(other.clone()).map_err(invalid_bson)?;
                self.append(name, value.as_raw_bson_ref());
            }
        }
        Ok(())
    }

    /// Opens an embedded document.
    pub fn begin_document(&mut self, name: &str) {
        self.key(ElementType::EmbeddedDocument, name);
        self.begin();
    }

    /// Opens an array; its elements are to be named by their index.
    pub fn begin_array(&mut self, name: &str) {
        self.key(ElementType::Array, name);
        self.begin();
    }

    /// Ends the container that was opened last.
    pub fn end(&mut self) {
        if let Some(start) = self.open.pop() {
            self.bytes.push(0);
            // A length past i32 would be caught by `finish`; documents are bounded far below it.
            let length = i32::try_from(self.bytes.len() - start).unwrap_or(i32::MAX);
            self.bytes[start..start + 4].copy_from_slice(&length.to_le_bytes());
        }
    }

    /// Where the next element starts; for [`Writer::truncate`].
    pub fn mark(&self) -> usize {
        self.bytes.len()
    }

    /// Forgets everything written since `mark`. Containers opened since then must have been ended.
    pub fn truncate(&mut self, mark: usize) {
        self.bytes.truncate(mark);
    }

    /// The document.
    ///
    /// # Errors
    /// BSONObjectTooLarge if it does not fit the length prefix.
    pub fn finish(mut self) -> Result<RawDocumentBuf, Fault> {
        while !self.open.is_empty() {
            self.end();
        }
        let size = self.bytes.len();
        RawDocumentBuf::from_bytes(self.bytes).map_err(|_| {
            Fault::new(
                Code::BSONObjectTooLarge,
                format!("BSONObj size: {size} is invalid: a document that large"),
            )
        })
    }

    fn begin(&mut self) {
        self.open.push(self.bytes.len());
        self.bytes.extend_from_slice(&[0; 4]);
    }

    fn key(&mut self, kind: ElementType, name: &str) {
        self.bytes.push(kind as u8);
        // A NUL would end the name early and shift everything behind it.
        let name = name.split('\0').next().unwrap_or_default();
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
    }
}

fn write_string(out: &mut Vec<u8>, text: &str) {
    let length = i32::try_from(text.len() + 1).unwrap_or(i32::MAX);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(text.as_bytes());
    out.push(0);
}

/// Appends the bytes of a value, without type and name.
pub fn write_value(out: &mut Vec<u8>, value: RawBsonRef<'_>) {
    match value {
        RawBsonRef::Double(value) => out.extend_from_slice(&value.to_le_bytes()),
        RawBsonRef::String(value) | RawBsonRef::JavaScriptCode(value) | RawBsonRef::Symbol(value) => {
            write_string(out, value);
        }
        RawBsonRef::Array(value) => out.extend_from_slice(value.as_bytes()),
        RawBsonRef::Document(value) => out.extend_from_slice(value.as_bytes()),
        RawBsonRef::Boolean(value) => out.push(u8::from(value)),
        RawBsonRef::RegularExpression(value) => {
            for part in [value.pattern, value.options] {
                out.extend_from_slice(part.as_str().as_bytes());
                out.push(0);
            }
        }
        RawBsonRef::JavaScriptCodeWithScope(value) => {
            let start = out.len();
            out.extend_from_slice(&[0; 4]);
            write_string(out, value.code);
            out.extend_from_slice(value.scope.as_bytes());
            let length = i32::try_from(out.len() - start).unwrap_or(i32::MAX);
            out[start..start + 4].copy_from_slice(&length.to_le_bytes());
        }
        RawBsonRef::Int32(value) => out.extend_from_slice(&value.to_le_bytes()),
        RawBsonRef::Int64(value) => out.extend_from_slice(&value.to_le_bytes()),
        RawBsonRef::Timestamp(value) => {
            out.extend_from_slice(&value.increment.to_le_bytes());
            out.extend_from_slice(&value.time.to_le_bytes());
        }
        RawBsonRef::Binary(value) => {
            // The old subtype repeats its length inside.
            let old = value.subtype == BinarySubtype::BinaryOld;
            let length = i32::try_from(value.bytes.len()).unwrap_or(i32::MAX);
            out.extend_from_slice(&(if old { length.saturating_add(4) } else { length }).to_le_bytes());
            out.push(value.subtype.into());
            if old {
                out.extend_from_slice(&length.to_le_bytes());
            }
            out.extend_from_slice(value.bytes);
        }
        RawBsonRef::ObjectId(value) => out.extend_from_slice(&value.bytes()),
        RawBsonRef::DateTime(value) => out.extend_from_slice(&value.timestamp_millis().to_le_bytes()),
        RawBsonRef::Decimal128(value) => out.extend_from_slice(&value.bytes()),
        RawBsonRef::DbPointer(_) => write_db_pointer(out, value),
        RawBsonRef::Null | RawBsonRef::Undefined | RawBsonRef::MaxKey | RawBsonRef::MinKey => {}
    }
}

/// The parts of a DBPointer are private to the driver's crate, so its bytes are taken from a document that holds it.
fn write_db_pointer(out: &mut Vec<u8>, value: RawBsonRef<'_>) {
    let mut holder = RawDocumentBuf::new();
    holder.append(bson::raw::cstr!(""), value);
    // Length, type, empty name in front; the document's NUL behind.
    let bytes = holder.as_bytes();
    out.extend_from_slice(&bytes[6..bytes.len() - 1]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::doc;

    fn sample() -> RawDocumentBuf {
        let oid = bson::oid::ObjectId::from_bytes([7; 12]);
        RawDocumentBuf::try_from(&doc! {
            "a": 1, "b": 2i64, "c": 1.5, "d": "text", "e": {"x": [1, {"y": Bson::Null}]}, "f": [true, false],
            "g": oid, "h": bson::DateTime::from_millis(-5), "i": bson::Timestamp { time: 3, increment: 4 },
            "j": Bson::RegularExpression(bson::Regex { pattern: "a.b".try_into().unwrap(), options: "i".try_into().unwrap() }),
            "k": bson::Binary { subtype: bson::spec::BinarySubtype::BinaryOld, bytes: vec![1, 2, 3] },
            "l": bson::Binary { subtype: bson::spec::BinarySubtype::Generic, bytes: vec![] },
            "m": Bson::MinKey, "n": Bson::MaxKey, "o": Bson::Undefined, "p": Bson::Symbol("s".into()),
            "q": Bson::JavaScriptCode("1".into()),
            "r": Bson::JavaScriptCodeWithScope(bson::JavaScriptCodeWithScope { code: "x".into(), scope: doc! {"x": 1} }),
            "s": Bson::Decimal128(bson::Decimal128::from_bytes([9; 16])),
        })
        .unwrap()
    }

    #[test]
    fn copies_and_appends_are_the_same_bytes() {
        let doc = sample();
        let (mut copied, mut appended, mut owned) = (Writer::new(), Writer::new(), Writer::new());
        for (field, (name, value)) in fields(&doc).zip(doc.iter().map(Result::unwrap)) {
            let field = field.unwrap();
            assert_eq!((field.name(), field.value().unwrap()), (name.as_str(), value));
            copied.copy(&field);
            owned.append_bson(field.name(), &Bson::try_from(field.value().unwrap()).unwrap()).unwrap();
            appended.append(field.name(), field.value().unwrap());
        }
        assert_eq!(copied.finish().unwrap(), doc);
        assert_eq!(appended.finish().unwrap(), doc);
        assert_eq!(owned.finish().unwrap(), doc);
    }

    #[test]
    fn a_string_that_is_not_utf8_is_copied() {
        let bytes = b"\x10\0\0\0\x02a\0\x04\0\0\0\xff\xfe\xfd\0\0".to_vec();
        let doc = RawDocumentBuf::from_bytes(bytes).unwrap();
        let mut writer = Writer::new();
        for field in fields(&doc) {
            let field = field.unwrap();
            assert_eq!(field.value().unwrap_err().code, Code::InvalidBSON);
            writer.copy(&field);
        }
        assert_eq!(writer.finish().unwrap().as_bytes(), doc.as_bytes());
    }

    #[test]
    fn broken_bytes_are_refused() {
        let whole = sample().into_bytes();
        for at in 4..whole.len() {
            for byte in [0, 1, 0x7e, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] = byte;
                let Ok(doc) = RawDocumentBuf::from_bytes(bytes) else { continue };
                // Neither panics nor goes on for ever.
                for field in fields(&doc).flatten() {
                    let _ = (field.value().is_ok(), field.document().is_ok(), field.array().is_ok());
                }
                assert!(find(&doc, "nope").map_or(true, |found| found.is_none()));
            }
        }
    }

    #[test]
    fn containers_nest() {
        let mut writer = Writer::new();
        writer.begin_document("a");
        writer.begin_array("b");
        writer.append("0", RawBsonRef::Int32(1));
        let mark = writer.mark();
        writer.append("1", RawBsonRef::Int32(2));
        writer.truncate(mark);
        writer.end();
        writer.end();
        writer.append("c", RawBsonRef::Null);
        let expected = RawDocumentBuf::try_from(&doc! {"a": {"b": [1]}, "c": Bson::Null}).unwrap();
        assert_eq!(writer.finish().unwrap(), expected);
    }
}
