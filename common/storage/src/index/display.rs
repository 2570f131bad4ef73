//! Values as they stand in error messages: `{ x: 1, y: "abc" }`.

use bson::spec::BinarySubtype;
use bson::{RawBsonRef, RawDocument};
use std::fmt::Write;

/// A key with its names.
pub(crate) fn key(doc: &RawDocument) -> String {
    document(doc)
}

/// A document.
pub(crate) fn document(doc: &RawDocument) -> String {
    let mut out = String::new();
    write_document(&mut out, doc);
    out
}

fn write_document(out: &mut String, doc: &RawDocument) {
    let mut separator = "{ ";
    for (name, value) in doc.iter().flatten() {
        out.push_str(separator);
        out.push_str(name.as_str());
        out.push_str(": ");
        write_value(out, value);
        separator = ", ";
    }
    out.push_str(if separator == "{ " { "{}" } else { " }" });
}

fn write_value(out: &mut String, value: RawBsonRef<'_>) {
    // Writing to a string cannot fail.
    match value {
        RawBsonRef::Double(number) if number.is_finite() && number.fract() == 0.0 => {
            write!(out, "{number:.1}")
        }
        RawBsonRef::Double(number) => write!(out, "{number}"),
        RawBsonRef::String(text) | RawBsonRef::Symbol(text) => write!(out, "\"{text}\""),
        RawBsonRef::Document(doc) => {
            write_document(out, doc);
            Ok(())
        }
        RawBsonRef::Array(array) => {
            let mut separator = "[ ";
            for element in array.into_iter().flatten() {
                out.push_str(separator);
                write_value(out, element);
                separator = ", ";
            }
            out.push_str(if separator == "[ " { "[]" } else { " ]" });
            Ok(())
        }
        RawBsonRef::Boolean(value) => write!(out, "{value}"),
        RawBsonRef::Null => write!(out, "null"),
        RawBsonRef::Undefined => write!(out, "undefined"),
        RawBsonRef::Int32(number) => write!(out, "{number}"),
        RawBsonRef::Int64(number) => write!(out, "{number}"),
        RawBsonRef::Decimal128(number) => write!(out, "{number}"),
        RawBsonRef::ObjectId(id) => write!(out, "ObjectId('{id}')"),
        RawBsonRef::DateTime(date) => write!(out, "new Date({})", date.timestamp_millis()),
        RawBsonRef::Timestamp(ts) => write!(out, "Timestamp({}, {})", ts.time, ts.increment),
        RawBsonRef::RegularExpression(regex) => {
            write!(out, "/{}/{}", regex.pattern.as_str(), regex.options.as_str())
        }
        RawBsonRef::Binary(binary) => match types::Uuid::from_bson(value) {
            Some(uuid) if binary.subtype == BinarySubtype::Uuid => write!(out, "UUID(\"{uuid}\")"),
            _ => {
                let hex: String = binary.bytes.iter().map(|byte| format!("{byte:02X}")).collect();
                write!(out, "BinData({}, {hex})", u8::from(binary.subtype))
            }
        },
        RawBsonRef::MinKey => write!(out, "MinKey"),
        RawBsonRef::MaxKey => write!(out, "MaxKey"),
        RawBsonRef::JavaScriptCode(code) => write!(out, "{code}"),
        RawBsonRef::JavaScriptCodeWithScope(code) => write!(out, "CodeWScope( {}, ", code.code).map(|()| {
            write_document(out, code.scope);
            out.push(')');
        }),
        RawBsonRef::DbPointer(_) => write!(out, "DBRef"),
    }
    .ok();
}
