//! Bytes that sort (memcmp) as values sort under [`crate::order`]; equal values have equal bytes.
//! No encoding is a prefix of another, so concatenations sort as tuples and a key is the prefix of exactly its own entries.
//! A descending field is the same bytes inverted. The bytes are stored on disk: a tag is never reused.
//!
//! Layout: a tag byte, then the value. Text is its bytes with NUL written `00 FF`, ended by `00 01`. Documents and arrays are
//! their elements, ended by `00`. Integers are big-endian with the sign flipped. Numbers: see `number`.
//!
//! Under a collation a string stands there as the text whose characters are the bytes of its sort key
//! ([`Collator::text_of`]); names of fields, code and regular expressions stay as they are.

mod number;

use crate::collation::Collator;
use crate::element::{Elements, View, with_view};
use bson::{Bson, RawBsonRef};

/// The tags, in the order of canonical types. None is 0x00 or 0xFF.
mod tag {
    pub(super) const MIN_KEY: u8 = 0x0A;
    pub(super) const UNDEFINED: u8 = 0x0F;
    pub(super) const NULL: u8 = 0x14;
    /// The first of the number tags; stands for all of them where only the type counts.
    pub(super) const NUMBER: u8 = super::number::NAN;
    pub(super) const STRING: u8 = 0x3C;
    pub(super) const DOCUMENT: u8 = 0x46;
    pub(super) const ARRAY: u8 = 0x50;
    pub(super) const BINARY: u8 = 0x5A;
    pub(super) const OBJECT_ID: u8 = 0x64;
    pub(super) const FALSE: u8 = 0x6E;
    pub(super) const TRUE: u8 = 0x6F;
    pub(super) const DATE: u8 = 0x78;
    pub(super) const TIMESTAMP: u8 = 0x82;
    pub(super) const REGEX: u8 = 0x8C;
    pub(super) const DB_POINTER: u8 = 0x96;
    pub(super) const CODE: u8 = 0xA0;
    pub(super) const CODE_WITH_SCOPE: u8 = 0xAA;
    pub(super) const MAX_KEY: u8 = 0xF0;
}

const END: u8 = 0x00;
const TEXT_END: [u8; 2] = [0x00, 0x01];
const TEXT_NUL: [u8; 2] = [0x00, 0xFF];

/// How strings are written.
trait Strings: Copy {
    fn write(self, out: &mut Vec<u8>, text: &[u8]);
}

/// As their own bytes.
#[derive(Clone, Copy)]
struct Plain;

impl Strings for Plain {
    fn write(self, out: &mut Vec<u8>, bytes: &[u8]) {
        text(out, bytes);
    }
}

impl Strings for &Collator {
    fn write(self, out: &mut Vec<u8>, bytes: &[u8]) {
        self.with_key(bytes, |key| {
            for &byte in key {
                match byte {
                    0 => out.extend_from_slice(&TEXT_NUL),
                    0x80.. => out.extend_from_slice(&[0xC0 | (byte >> 6), 0x80 | (byte & 0x3F)]),
                    ascii => out.push(ascii),
                }
            }
        });
        out.extend_from_slice(&TEXT_END);
    }
}

/// Appends the bytes of a value.
pub fn encode(out: &mut Vec<u8>, value: RawBsonRef<'_>, descending: bool) {
    encode_raw(out, value, descending, Plain);
}

/// Appends the bytes of a value under a collation, if there is one.
pub fn encode_under(
    out: &mut Vec<u8>,
    value: RawBsonRef<'_>,
    descending: bool,
    collation: Option<&Collator>,
) {
    match collation {
        None => encode_raw(out, value, descending, Plain),
        Some(collator) => encode_raw(out, value, descending, collator),
    }
}

fn encode_raw(out: &mut Vec<u8>, value: RawBsonRef<'_>, descending: bool, strings: impl Strings) {
    directed(out, descending, |out| match View::of_raw(value) {
        Some(view) => encode_view(out, &view, strings),
        None => with_view(value, |view| encode_view(out, &view, strings)),
    });
}

/// Appends the bytes of an owned value.
pub fn encode_bson(out: &mut Vec<u8>, value: &Bson, descending: bool) {
    directed(out, descending, |out| encode_owned(out, value, Plain));
}

/// Appends the bytes of an owned value under a collation, if there is one.
pub fn encode_bson_under(out: &mut Vec<u8>, value: &Bson, descending: bool, collation: Option<&Collator>) {
    directed(out, descending, |out| match collation {
        None => encode_owned(out, value, Plain),
        Some(collator) => encode_owned(out, value, collator),
    });
}

/// Appends the bytes of a field that a document lacks: they are those of null.
pub fn encode_missing(out: &mut Vec<u8>, descending: bool) {
    directed(out, descending, |out| out.push(tag::NULL));
}

/// Appends the bytes of MinKey.
pub fn min_key(out: &mut Vec<u8>, descending: bool) {
    directed(out, descending, |out| out.push(tag::MIN_KEY));
}

/// Appends the bytes of MaxKey.
pub fn max_key(out: &mut Vec<u8>, descending: bool) {
    directed(out, descending, |out| out.push(tag::MAX_KEY));
}

/// The bytes of one value on its own, ascending.
pub fn of(value: RawBsonRef<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(16);
    encode(&mut out, value, false);
    out
}

/// The bytes of one value on its own under a collation, if there is one.
pub fn of_under(value: RawBsonRef<'_>, collation: Option<&Collator>) -> Vec<u8> {
    let mut out = Vec::with_capacity(16);
    encode_under(&mut out, value, false, collation);
    out
}

/// The bytes of one owned value on its own, ascending.
pub fn of_bson(value: &Bson) -> Vec<u8> {
    let mut out = Vec::with_capacity(16);
    encode_bson(&mut out, value, false);
    out
}

fn directed(out: &mut Vec<u8>, descending: bool, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    write(out);
    if descending {
        out.iter_mut().skip(start).for_each(|byte| *byte = !*byte);
    }
}

fn encode_view(out: &mut Vec<u8>, view: &View<'_>, strings: impl Strings) {
    match *view {
        View::Number(value) => number::encode(out, value),
        View::String(bytes) => {
            out.push(tag::STRING);
            strings.write(out, bytes);
        }
        View::ObjectId(bytes) => {
            out.push(tag::OBJECT_ID);
            out.extend_from_slice(&bytes);
        }
        View::Document(bytes) => {
            out.push(tag::DOCUMENT);
            document(out, bytes, strings);
        }
        View::Array(bytes) => {
            out.push(tag::ARRAY);
            for view in Elements::new(bytes).filter_map(|element| element.view()) {
                encode_view(out, &view, strings);
            }
            out.push(END);
        }
        View::Boolean(value) => out.push(if value { tag::TRUE } else { tag::FALSE }),
        View::DateTime(millis) => {
            out.push(tag::DATE);
            out.extend_from_slice(&((millis as u64) ^ (1 << 63)).to_be_bytes());
        }
        View::Timestamp(ts) => {
            out.push(tag::TIMESTAMP);
            out.extend_from_slice(&ts.to_be_bytes());
        }
        View::Binary(binary) => {
            out.push(tag::BINARY);
            out.extend_from_slice(&binary.declared_len().to_be_bytes());
            out.push(binary.subtype);
            out.extend_from_slice(binary.bytes);
        }
        View::Regex { pattern, options } => {
            out.push(tag::REGEX);
            text(out, pattern);
            text(out, options);
        }
        View::DbPointer { namespace, id } => {
            out.push(tag::DB_POINTER);
            out.extend_from_slice(&u32::try_from(namespace.len()).unwrap_or(u32::MAX).to_be_bytes());
            out.extend_from_slice(namespace);
            out.extend_from_slice(&id);
        }
        View::Code(code) => {
            out.push(tag::CODE);
            text(out, code);
        }
        View::CodeWithScope { code, scope } => {
            out.push(tag::CODE_WITH_SCOPE);
            text(out, code);
            document(out, scope, Plain);
        }
        View::MinKey => out.push(tag::MIN_KEY),
        View::Undefined => out.push(tag::UNDEFINED),
        View::Null => out.push(tag::NULL),
        View::MaxKey => out.push(tag::MAX_KEY),
    }
}

/// Elements compare by type, name, value, so they are written in that order; the type is the tag of its lowest value.
fn document(out: &mut Vec<u8>, bytes: &[u8], strings: impl Strings) {
    for element in Elements::new(bytes) {
        if let Some(view) = element.view() {
            out.push(type_tag(view.canonical_type()));
            out.extend_from_slice(element.name);
            out.push(END);
            encode_view(out, &view, strings);
        }
    }
    out.push(END);
}

fn encode_owned(out: &mut Vec<u8>, value: &Bson, strings: impl Strings) {
    match value {
        Bson::Document(fields) => {
            out.push(tag::DOCUMENT);
            owned_document(out, fields, strings);
        }
        Bson::Array(values) => {
            out.push(tag::ARRAY);
            values.iter().for_each(|value| encode_owned(out, value, strings));
            out.push(END);
        }
        Bson::JavaScriptCodeWithScope(code) => {
            out.push(tag::CODE_WITH_SCOPE);
            text(out, code.code.as_bytes());
            owned_document(out, &code.scope, Plain);
        }
        Bson::DbPointer(_) => {
            // Its fields are private; bson's own raw form shows them. A pointer always has one.
            if let Ok(raw) = bson::RawBson::try_from(value.clone()) {
                with_view(raw.as_raw_bson_ref(), |view| encode_view(out, &view, strings));
            }
        }
        other => {
            if let Some(view) = View::of_scalar(other) {
                encode_view(out, &view, strings);
            }
        }
    }
}

fn owned_document(out: &mut Vec<u8>, fields: &bson::Document, strings: impl Strings) {
    for (name, value) in fields {
        out.push(type_tag(crate::order::canonical_type_of(value)));
        out.extend_from_slice(name.as_bytes());
        out.push(END);
        encode_owned(out, value, strings);
    }
    out.push(END);
}

fn type_tag(canonical_type: i32) -> u8 {
    match canonical_type {
        -1 => tag::MIN_KEY,
        0 => tag::UNDEFINED,
        5 => tag::NULL,
        10 => tag::NUMBER,
        15 => tag::STRING,
        20 => tag::DOCUMENT,
        25 => tag::ARRAY,
        30 => tag::BINARY,
        35 => tag::OBJECT_ID,
        40 => tag::FALSE,
        45 => tag::DATE,
        47 => tag::TIMESTAMP,
        50 => tag::REGEX,
        55 => tag::DB_POINTER,
        60 => tag::CODE,
        65 => tag::CODE_WITH_SCOPE,
        _ => tag::MAX_KEY,
    }
}

fn text(out: &mut Vec<u8>, bytes: &[u8]) {
    if bytes.contains(&0) {
        for &byte in bytes {
            if byte == 0 { out.extend_from_slice(&TEXT_NUL) } else { out.push(byte) }
        }
    } else {
        out.extend_from_slice(bytes);
    }
    out.extend_from_slice(&TEXT_END);
}

#[cfg(test)]
mod tests;
