//! Appends BSON to a reused buffer, element by element, so that the hot paths build requests without a tree.
//! The caller keeps names free of NUL and closes what it opens.

use bson::RawBsonRef;
use bson::oid::ObjectId;

/// A growing run of BSON bytes.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    pub(crate) bytes: Vec<u8>,
}

/// An open document or array: where its length goes.
#[derive(Debug, Clone, Copy)]
#[must_use]
pub(crate) struct Open(usize);

impl Writer {
    /// Begins a document that stands for itself: a body or one of a sequence.
    pub(crate) fn begin(&mut self) -> Open {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        Open(at)
    }

    /// Ends a document.
    pub(crate) fn end(&mut self, open: Open) {
        self.bytes.push(0);
        self.patch_length(open.0);
    }

    /// Writes the distance from `at` to the end of the buffer at `at`.
    pub(crate) fn patch_length(&mut self, at: usize) {
        // A buffer never comes near 2 GiB: messages are bounded at 48 MB before they are sent.
        let length = i32::try_from(self.bytes.len() - at).unwrap_or(i32::MAX);
        if let Some(place) = self.bytes.get_mut(at..at + 4) {
            place.copy_from_slice(&length.to_le_bytes());
        }
    }

    /// The type byte and the name.
    pub(crate) fn name(&mut self, kind: u8, name: &str) {
        self.bytes.push(kind);
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
    }

    pub(crate) fn begin_document(&mut self, name: &str) -> Open {
        self.name(0x03, name);
        self.begin()
    }

    pub(crate) fn string(&mut self, name: &str, value: &str) {
        self.name(0x02, name);
        self.string_value(value);
    }

    fn string_value(&mut self, value: &str) {
        let length = i32::try_from(value.len() + 1).unwrap_or(i32::MAX);
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(value.as_bytes());
        self.bytes.push(0);
    }

    pub(crate) fn int32(&mut self, name: &str, value: i32) {
        self.name(0x10, name);
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn int64(&mut self, name: &str, value: i64) {
        self.name(0x12, name);
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn double(&mut self, name: &str, value: f64) {
        self.name(0x01, name);
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn boolean(&mut self, name: &str, value: bool) {
        self.name(0x08, name);
        self.bytes.push(u8::from(value));
    }

    pub(crate) fn object_id(&mut self, name: &str, value: ObjectId) {
        self.name(0x07, name);
        self.bytes.extend_from_slice(&value.bytes());
    }

    /// A binary value of a subtype without further structure (anything but the old subtype 2).
    pub(crate) fn binary(&mut self, name: &str, subtype: u8, value: &[u8]) {
        self.name(0x05, name);
        let length = i32::try_from(value.len()).unwrap_or(i32::MAX);
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.push(subtype);
        self.bytes.extend_from_slice(value);
    }

    /// Any value that was read from a document.
    pub(crate) fn value(&mut self, name: &str, value: RawBsonRef<'_>) {
        match value {
            RawBsonRef::String(text) => self.string(name, text),
            RawBsonRef::Int32(number) => self.int32(name, number),
            RawBsonRef::Int64(number) => self.int64(name, number),
            RawBsonRef::Double(number) => self.double(name, number),
            RawBsonRef::ObjectId(id) => self.object_id(name, id),
            RawBsonRef::Document(document) => {
                self.name(0x03, name);
                self.bytes.extend_from_slice(document.as_bytes());
            }
            other => self.other(name, other),
        }
    }

    /// The rarer types go through the library: a document of one field, from which the element is copied.
    fn other(&mut self, name: &str, value: RawBsonRef<'_>) {
        let mut one = bson::RawDocumentBuf::new();
        one.append(bson::raw::cstr!("v"), value);
        let bytes = one.as_bytes();
        // length (4), type (1), "v\0" (2), the value, the end (1)
        if let (Some(kind), Some(content)) = (bytes.get(4), bytes.get(7..bytes.len() - 1)) {
            self.name(*kind, name);
            self.bytes.extend_from_slice(content);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::{Bson, Document, RawDocument, doc};

    #[test]
    fn bytes_are_those_of_the_library() {
        let id = ObjectId::from_bytes([3; 12]);
        let mut writer = Writer::default();
        let open = writer.begin();
        writer.string("s", "grün");
        writer.int32("i", -1);
        writer.int64("l", i64::MIN);
        writer.double("d", 0.5);
        writer.boolean("b", true);
        writer.object_id("o", id);
        writer.binary("x", 0, &[1, 2]);
        let inner = writer.begin_document("in");
        writer.int32("$gt", 1);
        writer.end(inner);
        writer.end(open);
        let expected = doc! {
            "s": "grün", "i": -1, "l": i64::MIN, "d": 0.5, "b": true, "o": id,
            "x": bson::Binary { subtype: bson::spec::BinarySubtype::Generic, bytes: vec![1, 2] },
            "in": { "$gt": 1 },
        };
        assert_eq!(writer.bytes, expected.to_vec().unwrap());
    }

    #[test]
    fn any_value_is_copied() {
        let source = doc! {
            "a": "x", "b": 1, "c": 2_i64, "d": 1.5, "e": { "f": [1, "y"] }, "g": [true, null],
            "h": bson::DateTime::from_millis(5), "i": bson::Timestamp { time: 1, increment: 2 },
            "j": Bson::MinKey, "k": bson::Decimal128::from_bytes([1; 16]), "l": ObjectId::from_bytes([1; 12]),
        };
        let bytes = source.to_vec().unwrap();
        let raw = RawDocument::from_bytes(&bytes).unwrap();
        let mut writer = Writer::default();
        let open = writer.begin();
        for element in raw.iter() {
            let (name, value) = element.unwrap();
            writer.value(name.as_str(), value);
        }
        writer.end(open);
        assert_eq!(Document::from_reader(writer.bytes.as_slice()).unwrap(), source);
    }
}
