//! Values and elements as plain bytes: the ground under [`crate::order`], [`crate::key`], [`crate::hash`] and [`crate::path`].
//! Strings are bytes here, so a string that is not UTF-8 compares and sorts like any other. The bytes are trusted to have
//! passed [`crate::validate`]; broken ones end an iteration early and never panic.

use crate::number::Number;
use bson::raw::cstr;
use bson::spec::BinarySubtype;
use bson::{Bson, Decimal128, RawBsonRef, RawDocument, RawDocumentBuf};
use types::{Code, Fault};

/// One element of a document: type byte, name and the bytes of the value.
#[derive(Debug, Clone, Copy)]
pub struct Element<'a> {
    /// The type byte of the BSON specification.
    pub kind: u8,
    pub name: &'a [u8],
    pub value: &'a [u8],
}

/// The elements of a document or array, in order.
#[derive(Debug, Clone)]
pub struct Elements<'a> {
    rest: &'a [u8],
}

impl<'a> Elements<'a> {
    /// Over the whole bytes of a document, length prefix included.
    pub fn new(document: &'a [u8]) -> Elements<'a> {
        Elements { rest: document.get(4..).unwrap_or(&[]) }
    }

    fn step(&mut self) -> Option<Element<'a>> {
        let (&kind, rest) = self.rest.split_first()?;
        if kind == 0 {
            return None;
        }
        let name_len = rest.iter().position(|&byte| byte == 0)?;
        let (name, rest) = rest.split_at_checked(name_len)?;
        let rest = rest.get(1..)?;
        let (value, rest) = rest.split_at_checked(size_of_value(kind, rest)?)?;
        self.rest = rest;
        Some(Element { kind, name, value })
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        let element = self.step();
        if element.is_none() {
            self.rest = &[];
        }
        element
    }
}

impl<'a> Element<'a> {
    /// The value. `None` for bytes that validation refuses.
    pub fn view(&self) -> Option<View<'a>> {
        View::from_bytes(self.kind, self.value)
    }
}

/// How many bytes the value of type `kind` at the start of `bytes` takes. `None` for an unknown type or too few bytes.
fn size_of_value(kind: u8, bytes: &[u8]) -> Option<usize> {
    match kind {
        0x06 | 0x0A | 0x7F | 0xFF => Some(0),
        0x08 => Some(1),
        0x10 => Some(4),
        0x01 | 0x09 | 0x11 | 0x12 => Some(8),
        0x07 => Some(12),
        0x13 => Some(16),
        0x02 | 0x0D | 0x0E => length_at(bytes)?.checked_add(4),
        0x03 | 0x04 | 0x0F => length_at(bytes),
        0x05 => length_at(bytes)?.checked_add(5),
        0x0C => length_at(bytes)?.checked_add(16),
        0x0B => {
            let pattern = bytes.iter().position(|&byte| byte == 0)? + 1;
            let options = bytes.get(pattern..)?.iter().position(|&byte| byte == 0)? + 1;
            Some(pattern + options)
        }
        _ => None,
    }
}

fn length_at(bytes: &[u8]) -> Option<usize> {
    usize::try_from(i32::from_le_bytes(*bytes.first_chunk()?)).ok()
}

/// The string after a length prefix, without its NUL.
fn string_at(bytes: &[u8]) -> Option<&[u8]> {
    let len = length_at(bytes)?.checked_sub(1)?;
    bytes.get(4..4 + len)
}

/// A value by its parts, whatever it was read from.
#[derive(Debug, Clone, Copy)]
pub enum View<'a> {
    MinKey,
    Undefined,
    Null,
    Number(Number),
    /// String or symbol.
    String(&'a [u8]),
    /// All bytes of the document.
    Document(&'a [u8]),
    /// All bytes of the array.
    Array(&'a [u8]),
    Binary(BinaryView<'a>),
    ObjectId([u8; 12]),
    Boolean(bool),
    /// Milliseconds since 1970.
    DateTime(i64),
    /// Seconds in the high half, counter in the low half.
    Timestamp(u64),
    Regex {
        pattern: &'a [u8],
        options: &'a [u8],
    },
    DbPointer {
        namespace: &'a [u8],
        id: [u8; 12],
    },
    Code(&'a [u8]),
    CodeWithScope {
        code: &'a [u8],
        scope: &'a [u8],
    },
    MaxKey,
}

/// Binary data. `bytes` excludes the inner length that the old subtype 2 carries.
#[derive(Debug, Clone, Copy)]
pub struct BinaryView<'a> {
    pub subtype: u8,
    pub bytes: &'a [u8],
}

impl BinaryView<'_> {
    /// The length that BSON declares; it counts the inner length of the old subtype.
    pub fn declared_len(&self) -> u32 {
        let inner = if self.subtype == 2 { 4 } else { 0 };
        u32::try_from(self.bytes.len() + inner).unwrap_or(u32::MAX)
    }
}

impl<'a> View<'a> {
    /// From a type byte and the bytes of a value.
    pub fn from_bytes(kind: u8, value: &'a [u8]) -> Option<View<'a>> {
        Some(match kind {
            0x01 => View::Number(Number::Double(f64::from_le_bytes(*value.first_chunk()?))),
            0x02 | 0x0E => View::String(string_at(value)?),
            0x03 => View::Document(value),
            0x04 => View::Array(value),
            0x05 => {
                let subtype = *value.get(4)?;
                let inner = if subtype == 2 { 4 } else { 0 };
                View::Binary(BinaryView { subtype, bytes: value.get(5 + inner..)? })
            }
            0x06 => View::Undefined,
            0x07 => View::ObjectId(*value.first_chunk()?),
            0x08 => View::Boolean(*value.first()? != 0),
            0x09 => View::DateTime(i64::from_le_bytes(*value.first_chunk()?)),
            0x0A => View::Null,
            0x0B => {
                let (pattern, rest) = value.split_at_checked(value.iter().position(|&byte| byte == 0)?)?;
                let options = rest.get(1..)?.strip_suffix(&[0])?;
                View::Regex { pattern, options }
            }
            0x0C => View::DbPointer { namespace: string_at(value)?, id: *value.last_chunk()? },
            0x0D => View::Code(string_at(value)?),
            0x0F => {
                let code = string_at(value.get(4..)?)?;
                View::CodeWithScope { code, scope: value.get(4 + 4 + code.len() + 1..)? }
            }
            0x10 => View::Number(Number::Int32(i32::from_le_bytes(*value.first_chunk()?))),
            0x11 => View::Timestamp(u64::from_le_bytes(*value.first_chunk()?)),
            0x12 => View::Number(Number::Int64(i64::from_le_bytes(*value.first_chunk()?))),
            0x13 => View::Number(Number::Decimal(Decimal128::from_bytes(*value.first_chunk()?))),
            0x7F => View::MaxKey,
            0xFF => View::MinKey,
            _ => return None,
        })
    }

    /// An owned value that is neither document, array nor code with scope; those need a tree walk.
    pub(crate) fn of_scalar(value: &'a Bson) -> Option<View<'a>> {
        Some(match value {
            Bson::Double(number) => View::Number(Number::Double(*number)),
            Bson::Int32(number) => View::Number(Number::Int32(*number)),
            Bson::Int64(number) => View::Number(Number::Int64(*number)),
            Bson::Decimal128(number) => View::Number(Number::Decimal(*number)),
            Bson::String(text) | Bson::Symbol(text) => View::String(text.as_bytes()),
            Bson::Boolean(value) => View::Boolean(*value),
            Bson::Null => View::Null,
            Bson::Undefined => View::Undefined,
            Bson::MinKey => View::MinKey,
            Bson::MaxKey => View::MaxKey,
            Bson::ObjectId(id) => View::ObjectId(id.bytes()),
            Bson::DateTime(date) => View::DateTime(date.timestamp_millis()),
            Bson::Timestamp(ts) => View::Timestamp((u64::from(ts.time) << 32) | u64::from(ts.increment)),
            Bson::Binary(binary) => {
                View::Binary(BinaryView { subtype: binary.subtype.into(), bytes: &binary.bytes })
            }
            Bson::RegularExpression(regex) => View::Regex {
                pattern: regex.pattern.as_str().as_bytes(),
                options: regex.options.as_str().as_bytes(),
            },
            Bson::JavaScriptCode(code) => View::Code(code.as_bytes()),
            Bson::Document(_) | Bson::Array(_) | Bson::JavaScriptCodeWithScope(_) | Bson::DbPointer(_) => {
                return None;
            }
        })
    }

    /// The canonical type: what MongoDB sorts by before it looks at the value.
    pub fn canonical_type(&self) -> i32 {
        match self {
            View::MinKey => -1,
            View::Undefined => 0,
            View::Null => 5,
            View::Number(_) => 10,
            View::String(_) => 15,
            View::Document(_) => 20,
            View::Array(_) => 25,
            View::Binary(_) => 30,
            View::ObjectId(_) => 35,
            View::Boolean(_) => 40,
            View::DateTime(_) => 45,
            View::Timestamp(_) => 47,
            View::Regex { .. } => 50,
            View::DbPointer { .. } => 55,
            View::Code(_) => 60,
            View::CodeWithScope { .. } => 65,
            View::MaxKey => 127,
        }
    }
}

impl<'a> View<'a> {
    /// A raw value by its parts. `None` for a `DbPointer`: the bson crate keeps its fields to itself, see [`with_view`].
    pub fn of_raw(value: RawBsonRef<'a>) -> Option<View<'a>> {
        Some(match value {
            RawBsonRef::Double(number) => View::Number(Number::Double(number)),
            RawBsonRef::Int32(number) => View::Number(Number::Int32(number)),
            RawBsonRef::Int64(number) => View::Number(Number::Int64(number)),
            RawBsonRef::Decimal128(number) => View::Number(Number::Decimal(number)),
            RawBsonRef::String(text) | RawBsonRef::Symbol(text) => View::String(text.as_bytes()),
            RawBsonRef::Document(doc) => View::Document(doc.as_bytes()),
            RawBsonRef::Array(array) => View::Array(array.as_bytes()),
            RawBsonRef::Boolean(value) => View::Boolean(value),
            RawBsonRef::Null => View::Null,
            RawBsonRef::Undefined => View::Undefined,
            RawBsonRef::MinKey => View::MinKey,
            RawBsonRef::MaxKey => View::MaxKey,
            RawBsonRef::ObjectId(id) => View::ObjectId(id.bytes()),
            RawBsonRef::DateTime(date) => View::DateTime(date.timestamp_millis()),
            RawBsonRef::Timestamp(ts) => {
                View::Timestamp((u64::from(ts.time) << 32) | u64::from(ts.increment))
            }
            RawBsonRef::Binary(binary) => {
                View::Binary(BinaryView { subtype: binary.subtype.into(), bytes: binary.bytes })
            }
            RawBsonRef::RegularExpression(regex) => View::Regex {
                pattern: regex.pattern.as_str().as_bytes(),
                options: regex.options.as_str().as_bytes(),
            },
            RawBsonRef::JavaScriptCode(code) => View::Code(code.as_bytes()),
            RawBsonRef::JavaScriptCodeWithScope(code) => {
                View::CodeWithScope { code: code.code.as_bytes(), scope: code.scope.as_bytes() }
            }
            RawBsonRef::DbPointer(_) => return None,
        })
    }
}

/// Calls `f` with the parts of a value; only a `DbPointer` is copied for it.
pub fn with_view<T>(value: RawBsonRef<'_>, f: impl FnOnce(View<'_>) -> T) -> T {
    if let Some(view) = View::of_raw(value) {
        return f(view);
    }
    let mut copy = RawDocumentBuf::new();
    copy.append(cstr!(""), value);
    // The copy has one element, which bson itself wrote.
    let view = Elements::new(copy.as_bytes()).next().and_then(|element| element.view());
    f(view.unwrap_or(View::Null))
}

/// The error for bytes that do not follow the BSON specification.
pub(crate) fn invalid(message: impl Into<String>) -> Fault {
    Fault::new(Code::InvalidBSON, message)
}

/// Turns an error of the bson crate, met while reading raw bytes, into the client's error 22.
pub fn fault(error: &bson::error::Error) -> Fault {
    invalid(format!("invalid BSON: {error}"))
}

/// The first element of that name, as the bson crate's value. Scans bytes without checking other names or values.
///
/// # Errors
/// `InvalidBSON` if the value found is a string that is not UTF-8, or the bytes are broken.
pub fn find<'a>(doc: &'a RawDocument, name: &str) -> Result<Option<RawBsonRef<'a>>, Fault> {
    for element in Elements::new(doc.as_bytes()) {
        if element.name == name.as_bytes() {
            return to_raw(doc, &element).map(Some);
        }
    }
    Ok(None)
}

fn to_raw<'a>(doc: &'a RawDocument, element: &Element<'a>) -> Result<RawBsonRef<'a>, Fault> {
    let broken = || invalid(format!("broken value in field '{}'", String::from_utf8_lossy(element.name)));
    let text = |bytes: &'a [u8]| {
        std::str::from_utf8(bytes).map_err(|_| {
            invalid(format!("field '{}' is not valid UTF-8", String::from_utf8_lossy(element.name)))
        })
    };
    Ok(match element.view().ok_or_else(broken)? {
        View::MinKey => RawBsonRef::MinKey,
        View::MaxKey => RawBsonRef::MaxKey,
        View::Undefined => RawBsonRef::Undefined,
        View::Null => RawBsonRef::Null,
        View::Number(Number::Int32(number)) => RawBsonRef::Int32(number),
        View::Number(Number::Int64(number)) => RawBsonRef::Int64(number),
        View::Number(Number::Double(number)) => RawBsonRef::Double(number),
        View::Number(Number::Decimal(number)) => RawBsonRef::Decimal128(number),
        View::String(bytes) if element.kind == 0x0E => RawBsonRef::Symbol(text(bytes)?),
        View::String(bytes) => RawBsonRef::String(text(bytes)?),
        View::Code(bytes) => RawBsonRef::JavaScriptCode(text(bytes)?),
        View::ObjectId(bytes) => RawBsonRef::ObjectId(bson::oid::ObjectId::from_bytes(bytes)),
        View::Boolean(value) => RawBsonRef::Boolean(value),
        View::DateTime(millis) => RawBsonRef::DateTime(bson::DateTime::from_millis(millis)),
        View::Timestamp(ts) => RawBsonRef::Timestamp(types::Timestamp(ts).into()),
        View::Binary(binary) => RawBsonRef::Binary(bson::RawBinaryRef {
            subtype: BinarySubtype::from(binary.subtype),
            bytes: binary.bytes,
        }),
        View::Document(bytes) => {
            RawBsonRef::Document(RawDocument::from_bytes(bytes).map_err(|error| fault(&error))?)
        }
        // The bson crate makes these only from its own iterator, which checks every name on the way: the slow road.
        View::Array(_) | View::Regex { .. } | View::DbPointer { .. } | View::CodeWithScope { .. } => {
            for candidate in doc.iter_elements() {
                let candidate = candidate.map_err(|error| fault(&error))?;
                if candidate.key().as_str().as_bytes() == element.name {
                    return candidate.value().map_err(|error| fault(&error));
                }
            }
            return Err(broken());
        }
    })
}

/// The type's name as `$type` and MongoDB's messages spell it.
pub fn type_name(value: RawBsonRef<'_>) -> &'static str {
    match value {
        RawBsonRef::Double(_) => "double",
        RawBsonRef::String(_) => "string",
        RawBsonRef::Array(_) => "array",
        RawBsonRef::Document(_) => "object",
        RawBsonRef::Boolean(_) => "bool",
        RawBsonRef::Null => "null",
        RawBsonRef::RegularExpression(_) => "regex",
        RawBsonRef::JavaScriptCode(_) => "javascript",
        RawBsonRef::JavaScriptCodeWithScope(_) => "javascriptWithScope",
        RawBsonRef::Int32(_) => "int",
        RawBsonRef::Int64(_) => "long",
        RawBsonRef::Timestamp(_) => "timestamp",
        RawBsonRef::Binary(_) => "binData",
        RawBsonRef::ObjectId(_) => "objectId",
        RawBsonRef::DateTime(_) => "date",
        RawBsonRef::Symbol(_) => "symbol",
        RawBsonRef::Decimal128(_) => "decimal",
        RawBsonRef::Undefined => "undefined",
        RawBsonRef::MaxKey => "maxKey",
        RawBsonRef::MinKey => "minKey",
        RawBsonRef::DbPointer(_) => "dbPointer",
    }
}
