//! Small facts about values: truth, type names, conversion between raw and owned.

use bson::{Bson, Document, RawArrayBuf, RawBson, RawBsonRef, RawDocument, RawDocumentBuf};
use types::{Code, Fault, limits};
use value::number::Number;

/// The value of an expression; `None` is missing.
pub type Value = Option<Bson>;

/// The value of an expression, borrowed where the document already holds it.
#[derive(Debug, Clone)]
pub enum Evaluated<'a> {
    Missing,
    Raw(RawBsonRef<'a>),
    Owned(Bson),
}

impl Evaluated<'_> {
    /// The owned value.
    ///
    /// # Errors
    /// 22 if the bytes are no valid BSON.
    pub fn into_value(self) -> Result<Value, Fault> {
        match self {
            Evaluated::Missing => Ok(None),
            Evaluated::Raw(raw) => from_raw(raw).map(Some),
            Evaluated::Owned(value) => Ok(Some(value)),
        }
    }

    /// The value as bytes.
    ///
    /// # Errors
    /// If a name holds a NUL.
    pub fn into_raw(self) -> Result<Option<RawBson>, Fault> {
        match self {
            Evaluated::Missing => Ok(None),
            Evaluated::Raw(raw) => Ok(Some(raw.into())),
            Evaluated::Owned(value) => to_raw(&value).map(Some),
        }
    }
}

/// Decodes a value.
pub(crate) fn from_raw(raw: RawBsonRef<'_>) -> Result<Bson, Fault> {
    Bson::try_from(raw).map_err(invalid)
}

/// Decodes a document.
pub(crate) fn document(raw: &RawDocument) -> Result<Document, Fault> {
    Document::try_from(raw).map_err(invalid)
}

fn invalid(error: bson::error::Error) -> Fault {
    Fault::new(Code::InvalidBSON, error.to_string())
}

/// Encodes a value.
///
/// # Errors
/// For names that hold a NUL and for deeper nesting than BSON may have; an expression can build both.
pub(crate) fn to_raw(value: &Bson) -> Result<RawBson, Fault> {
    encode(value, limits::BSON_DEPTH_MAX)
}

fn encode(value: &Bson, levels: usize) -> Result<RawBson, Fault> {
    let below = || levels.checked_sub(1).ok_or_else(too_deep);
    Ok(match value {
        Bson::Document(document) => {
            let levels = below()?;
            let mut out = RawDocumentBuf::new();
            for (name, value) in document {
                out.append(element_name(name)?, encode(value, levels)?);
            }
            RawBson::Document(out)
        }
        Bson::Array(array) => {
            let levels = below()?;
            let mut out = RawArrayBuf::new();
            for value in array {
                out.push(encode(value, levels)?);
            }
            RawBson::Array(out)
        }
        other => RawBson::try_from(other.clone()).map_err(invalid)?,
    })
}

fn too_deep() -> Fault {
    Fault::new(Code::Overflow, format!("a value is nested more than {} levels deep", limits::BSON_DEPTH_MAX))
}

/// Refuses a value that is too deep or too large to be computed with further. Checked where a value is bound to a
/// variable, which is where repetition could let it grow without end.
pub(crate) fn check_growth(value: &Value) -> Result<(), Fault> {
    let Some(value) = value else { return Ok(()) };
    if measure(value, limits::BSON_DEPTH_MAX)? > limits::BLOCKING_STAGE_BYTES_MAX {
        return Err(Fault::new(
            Code::ExceededMemoryLimit,
            format!("a value of an expression uses more than {} bytes", limits::BLOCKING_STAGE_BYTES_MAX),
        ));
    }
    Ok(())
}

/// Bytes of a value in memory, roughly.
fn measure(value: &Bson, levels: usize) -> Result<usize, Fault> {
    let below = || levels.checked_sub(1).ok_or_else(too_deep);
    let inner = match value {
        Bson::Document(document) => {
            let levels = below()?;
            document.iter().try_fold(0, |sum, (name, value)| {
                Ok::<_, Fault>(sum + name.len() + measure(value, levels)?)
            })?
        }
        Bson::Array(array) => {
            let levels = below()?;
            array.iter().try_fold(0, |sum, value| Ok::<_, Fault>(sum + measure(value, levels)?))?
        }
        Bson::String(text) | Bson::Symbol(text) | Bson::JavaScriptCode(text) => text.len(),
        Bson::Binary(binary) => binary.bytes.len(),
        _ => 0,
    };
    Ok(inner + std::mem::size_of::<Bson>())
}

/// The name of an element as BSON holds it.
pub(crate) fn element_name(name: &str) -> Result<&bson::raw::CStr, Fault> {
    name.try_into()
        .map_err(|_| Fault::new(Code::Location(16411), "FieldPath field names may not contain '\\0'."))
}

/// The number that the value is.
pub(crate) fn number(value: &Bson) -> Option<Number> {
    Number::from_bson(value)
}

/// Missing, null or undefined.
pub(crate) fn is_nullish(value: &Value) -> bool {
    matches!(value, None | Some(Bson::Null | Bson::Undefined))
}

/// Truth as conditions see it: all but false, zero, null, undefined and missing.
pub(crate) fn is_true(value: &Value) -> bool {
    match value {
        None | Some(Bson::Null | Bson::Undefined) => false,
        Some(Bson::Boolean(value)) => *value,
        Some(Bson::Int32(0) | Bson::Int64(0)) => false,
        Some(Bson::Double(value)) => *value != 0.0,
        Some(value @ Bson::Decimal128(_)) => number(value).is_none_or(|number| !number.is_zero()),
        Some(_) => true,
    }
}

/// The name of a value's type as `$type` gives it.
pub(crate) fn type_name(value: &Value) -> &'static str {
    let Some(value) = value else { return "missing" };
    match value {
        Bson::Double(_) => "double",
        Bson::String(_) => "string",
        Bson::Document(_) => "object",
        Bson::Array(_) => "array",
        Bson::Binary(_) => "binData",
        Bson::Undefined => "undefined",
        Bson::ObjectId(_) => "objectId",
        Bson::Boolean(_) => "bool",
        Bson::DateTime(_) => "date",
        Bson::Null => "null",
        Bson::RegularExpression(_) => "regex",
        Bson::DbPointer(_) => "dbPointer",
        Bson::JavaScriptCode(_) => "javascript",
        Bson::Symbol(_) => "symbol",
        Bson::JavaScriptCodeWithScope(_) => "javascriptWithScope",
        Bson::Int32(_) => "int",
        Bson::Timestamp(_) => "timestamp",
        Bson::Int64(_) => "long",
        Bson::Decimal128(_) => "decimal",
        Bson::MinKey => "minKey",
        Bson::MaxKey => "maxKey",
    }
}

/// A value as error messages show it, cut to a readable length.
pub(crate) fn render(value: &Value) -> String {
    const RENDERED_CHARS_MAX: usize = 150;
    let Some(value) = value else { return "MISSING".to_owned() };
    let text = value.to_string();
    match text.char_indices().nth(RENDERED_CHARS_MAX) {
        Some((cut, _)) => format!("{}...", &text[..cut]),
        None => text,
    }
}
