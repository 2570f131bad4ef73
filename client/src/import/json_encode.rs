//! JSON text to BSON bytes in one pass, without a tree between: the parser's events are written as they come.
//! An object that begins with a `$` key may be a type of extended JSON; only such objects are gathered and converted.

use crate::link::Writer;
use bson::{Bson, RawBson};
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use std::fmt;
use std::io::Write;

/// Appends the fields of a JSON object, without the length in front and the end behind. Answers whether `_id` is among them.
pub(crate) fn encode_fields(text: &[u8], out: &mut Writer) -> Result<bool, serde_json::Error> {
    let mut parser = serde_json::Deserializer::from_slice(text);
    let has_id = parser.deserialize_map(Fields { out })?;
    parser.end()?;
    Ok(has_id)
}

/// The fields of one object.
struct Fields<'a> {
    out: &'a mut Writer,
}

impl<'de> Visitor<'de> for Fields<'_> {
    type Value = bool;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        let mut has_id = false;
        loop {
            let kind_at = self.out.bytes.len();
            self.out.bytes.push(0);
            if map.next_key_seed(Key { out: self.out })?.is_none() {
                self.out.bytes.truncate(kind_at);
                return Ok(has_id);
            }
            has_id |= self.out.bytes.get(kind_at + 1..) == Some(b"_id\0");
            map.next_value_seed(Element { out: self.out, kind_at })?;
        }
    }
}

/// A name, written with its NUL.
struct Key<'a> {
    out: &'a mut Writer,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, parser: D) -> Result<(), D::Error> {
        parser.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a field name")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<(), E> {
        if name.contains('\0') {
            return Err(E::custom("a field name contains NUL"));
        }
        self.out.bytes.extend_from_slice(name.as_bytes());
        self.out.bytes.push(0);
        Ok(())
    }
}

/// A value whose name is written already; its type byte waits at `kind_at`.
struct Element<'a> {
    out: &'a mut Writer,
    kind_at: usize,
}

impl Element<'_> {
    fn put(mut self, kind: u8, value: &[u8]) {
        self.kind(kind);
        self.out.bytes.extend_from_slice(value);
    }

    fn kind(&mut self, kind: u8) {
        if let Some(place) = self.out.bytes.get_mut(self.kind_at) {
            *place = kind;
        }
    }

    /// An object that began with a `$` name: one of extended JSON's types, or an ordinary document after all.
    fn convert<E: serde::de::Error>(
        mut self,
        object: serde_json::Map<String, serde_json::Value>,
    ) -> Result<(), E> {
        let value =
            Bson::try_from(object).map_err(|error| E::custom(format!("not valid extended JSON: {error}")))?;
        let value = RawBson::try_from(value).map_err(E::custom)?;
        let mut one = bson::RawDocumentBuf::new();
        one.append(bson::raw::cstr!("v"), value);
        let bytes = one.as_bytes();
        // length (4), type (1), "v\0" (2), the value, the end (1)
        if let (Some(kind), Some(content)) = (bytes.get(4), bytes.get(7..bytes.len() - 1)) {
            self.kind(*kind);
            self.out.bytes.extend_from_slice(content);
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Element<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, parser: D) -> Result<(), D::Error> {
        parser.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Element<'_> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.put(0x08, &[u8::from(value)]);
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        match i32::try_from(value) {
            Ok(small) => self.put(0x10, &small.to_le_bytes()),
            Err(_) => self.put(0x12, &value.to_le_bytes()),
        }
        Ok(())
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<(), E> {
        match i64::try_from(value) {
            Ok(signed) => self.visit_i64(signed),
            Err(_) => self.visit_f64(value as f64),
        }
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.put(0x01, &value.to_le_bytes());
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.put(0x0A, &[]);
        Ok(())
    }

    fn visit_str<E: serde::de::Error>(mut self, value: &str) -> Result<(), E> {
        let length = i32::try_from(value.len() + 1).map_err(|_| E::custom("a string of more than 2 GiB"))?;
        self.kind(0x02);
        self.out.bytes.extend_from_slice(&length.to_le_bytes());
        self.out.bytes.extend_from_slice(value.as_bytes());
        self.out.bytes.push(0);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut sequence: A) -> Result<(), A::Error> {
        self.kind(0x04);
        let open = self.out.begin();
        for index in 0_u32.. {
            let kind_at = self.out.bytes.len();
            self.out.bytes.push(0);
            write!(self.out.bytes, "{index}\0").map_err(A::Error::custom)?;
            if sequence.next_element_seed(Element { out: self.out, kind_at })?.is_none() {
                self.out.bytes.truncate(kind_at);
                break;
            }
        }
        self.out.end(open);
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let open_at = self.out.bytes.len();
        self.kind(0x03);
        let open = self.out.begin();
        let mut is_first = true;
        loop {
            let kind_at = self.out.bytes.len();
            self.out.bytes.push(0);
            if map.next_key_seed(Key { out: self.out })?.is_none() {
                self.out.bytes.truncate(kind_at);
                self.out.end(open);
                return Ok(());
            }
            if is_first && self.out.bytes.get(kind_at + 1) == Some(&b'$') {
                let name = self.out.bytes.get(kind_at + 1..self.out.bytes.len() - 1).unwrap_or_default();
                let name = String::from_utf8_lossy(name).into_owned();
                self.out.bytes.truncate(open_at);
                let mut object = serde_json::Map::new();
                object.insert(name, map.next_value()?);
                while let Some((name, value)) = map.next_entry()? {
                    object.insert(name, value);
                }
                return self.convert(object);
            }
            is_first = false;
            map.next_value_seed(Element { out: self.out, kind_at })?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::{Document, doc, oid::ObjectId};

    fn read(text: &str) -> Result<(Document, bool), serde_json::Error> {
        let mut out = Writer::default();
        let open = out.begin();
        let has_id = encode_fields(text.as_bytes(), &mut out)?;
        out.end(open);
        Ok((Document::from_reader(out.bytes.as_slice()).unwrap(), has_id))
    }

    #[test]
    fn values_become_what_the_library_makes_of_them() {
        for text in [
            "{}",
            r#"{"a": 1, "b": -2147483648, "c": 2147483648, "d": 1.0, "e": 1e3, "f": "grün \u00e9 \"", "g": null}"#,
            r#"{"a": [], "b": [1, [2, {"c": [3]}]], "d": {}, "e": {"f": {"g": true}}}"#,
            r#"{"a": {"$oid": "0102030405060708090a0b0c"}, "b": {"$date": "2024-02-29T01:02:03.004Z"}}"#,
            r#"{"a": {"$numberLong": "5"}, "b": {"$numberDecimal": "1.10"}, "c": {"$date": {"$numberLong": "-1"}}}"#,
            r#"{"a": {"$binary": {"base64": "AQI=", "subType": "00"}}, "b": [{"$minKey": 1}, {"$timestamp": {"t": 1, "i": 2}}]}"#,
            r#"{"a": {"$unknown": 1, "b": [2]}, "c": {"d": 1, "$oid": 3.5}}"#,
            r#"{"a\tb": 18446744073709551615, "c": 123456789012345678901234567890}"#,
        ] {
            let value: serde_json::Value = serde_json::from_str(text).unwrap();
            let (found, has_id) = read(text).unwrap();
            assert!(!has_id);
            match Bson::try_from(value) {
                Ok(Bson::Document(expected)) => assert_eq!(found, expected, "{text}"),
                // "$oid" that is not the first name makes an ordinary field here.
                _ => assert!(text.contains("3.5"), "{text}"),
            }
        }
    }

    #[test]
    fn ids_are_seen_at_the_top_only() {
        let id = ObjectId::from_bytes([9; 12]);
        let text = format!(r#"{{"x": 1, "_id": {{"$oid": "{id}"}}}}"#);
        assert_eq!(read(&text).unwrap(), (doc! { "x": 1, "_id": id }, true));
        assert!(!read(r#"{"x": {"_id": 1}, "_idx": 2}"#).unwrap().1);
    }

    #[test]
    fn bad_text_is_refused() {
        for text in [
            "",
            "1",
            "[]",
            "{",
            r#"{"a"}"#,
            r#"{"a": }"#,
            r#"{"a": 1,}"#,
            r#"{"a": 1} x"#,
            r#"{"a\u0000b": 1}"#,
            r#"{"a": {"$oid": "short"}}"#,
            r#"{"a": {"$numberLong": 5, "x": 1}}"#,
            "{\"a\": \"\u{1}\"}",
            &format!("{}1{}", r#"{"a":"#.repeat(1000), "}".repeat(1000)),
        ] {
            assert!(read(text).is_err(), "{text:.40}");
        }
        assert!(encode_fields(b"{\"a\": \"\xff\"}", &mut Writer::default()).is_err(), "not UTF-8");
    }
}
