//! Reading and writing raw BSON by element, so that what is kept is copied byte for byte and never decoded.
//! Invariant: bytes copied through here stay what they were, also strings that are not UTF-8 and odd NaNs.

use crate::context::invalid_bson;
use bson::raw::RawElement;
use bson::spec::ElementType;
use bson::{Bson, RawArray, RawBson, RawBsonRef, RawDocument, RawDocumentBuf};
use types::{Code, Fault};

/// One element of a document or array: its name, its type and its bytes.
#[derive(Clone)]
pub struct Field<'a> {
    element: RawElement<'a>,
    /// Type byte, name with its NUL, value.
    bytes: &'a [u8],
}

impl<'a> Field<'a> {
    /// The name; an index written in decimal if the container is an array.
    pub fn name(&self) -> &'a str {
        self.element.key().as_str()
    }

    /// The type of the value.
    pub fn kind(&self) -> ElementType {
        self.element.element_type()
    }

    /// The value, borrowed.
    ///
    /// # Errors
    /// InvalidBSON if the bytes are no such value, such as a string that is not UTF-8.
    pub fn value(&self) -> Result<RawBsonRef<'a>, Fault> {
        self.element.value().map_err(invalid_bson)
    }

    /// Type byte, name and value: what [`Writer::copy`] takes.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The bytes of the value alone.
    pub fn value_bytes(&self) -> &'a [u8] {
        &self.bytes[self.bytes.len() - self.element.size()..]
    }

    /// The embedded document, if the value is one.
    pub fn document(&self) -> Result<Option<&'a RawDocument>, Fault> {
        match self.kind() {
            ElementType::EmbeddedDocument => container(self.value_bytes()).map(Some),
            _ => Ok(None),
        }
    }

    /// The array as a document whose names are indexes, if the value is an array.
    pub fn array(&self) -> Result<Option<&'a RawDocument>, Fault> {
        match self.kind() {
            ElementType::Array => container(self.value_bytes()).map(Some),
            _ => Ok(None),
        }
    }
}

/// The elements of a document in order.
pub struct Fields<'a> {
    doc: &'a RawDocument,
    inner: bson::raw::RawIter<'a>,
    offset: usize,
}

/// Walks the elements of `doc` without looking into their values.
pub fn fields(doc: &RawDocument) -> Fields<'_> {
    Fields { doc, inner: doc.iter_elements(), offset: 4 }
}

/// Walks the elements of an array.
pub fn elements(array: &RawArray) -> Result<Fields<'_>, Fault> {
    Ok(fields(array_document(array)?))
}

/// An array as the document that it is in bytes.
pub fn array_document(array: &RawArray) -> Result<&RawDocument, Fault> {
    container(array.as_bytes())
}

fn container(bytes: &[u8]) -> Result<&RawDocument, Fault> {
    RawDocument::from_bytes(bytes).map_err(invalid_bson)
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        let element = match self.inner.next()? {
            Ok(element) => element,
            Err(error) => return Some(Err(invalid_bson(error))),
        };
        let start = self.offset;
        let end = start + 1 + element.key().len() + 1 + element.size();
        self.offset = end;
        match self.doc.as_bytes().get(start..end) {
            Some(bytes) => Some(Ok(Field { element, bytes })),
            None => {
                Some(Err(Fault::new(Code::InvalidBSON, "invalid BSON: element reaches past its document")))
            }
        }
    }
}

/// The first element called `name`.
pub fn find<'a>(doc: &'a RawDocument, name: &str) -> Result<Option<Field<'a>>, Fault> {
    for field in fields(doc) {
        let field = field?;
        if field.name() == name {
            return Ok(Some(field));
        }
    }
    Ok(None)
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
            let old = value.subtype == bson::spec::BinarySubtype::BinaryOld;
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
        for field in fields(&doc) {
            let field = field.unwrap();
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
