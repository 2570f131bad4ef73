//! The small parser of these commands' bodies.

use bson::{RawBsonRef, RawDocumentBuf};
use command::Request;
use command::envelope::GENERIC_FIELDS;
use types::{Code, Fault};

/// Visits the command's own fields, in order: neither the first one, which names it, nor the generic ones.
pub(super) fn each<'a>(
    request: &'a Request,
    mut visit: impl FnMut(&'a str, RawBsonRef<'a>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    if let Some(sequence) = request.sequences.first() {
        return Err(unknown(request, &sequence.name));
    }
    for element in request.body.iter().skip(1) {
        let (name, value) = element.map_err(|error| Fault::new(Code::InvalidBSON, error.to_string()))?;
        if !GENERIC_FIELDS.contains(&name.as_str()) {
            visit(name.as_str(), value)?;
        }
    }
    Ok(())
}

/// Refuses every field of its own.
pub(super) fn none(request: &Request) -> Result<(), Fault> {
    each(request, |name, _| Err(unknown(request, name)))
}

/// The value that follows the command's name.
pub(super) fn argument(request: &Request) -> Result<RawBsonRef<'_>, Fault> {
    match request.body.iter().next() {
        Some(Ok((_, value))) => Ok(value),
        Some(Err(error)) => Err(Fault::new(Code::InvalidBSON, error.to_string())),
        None => Err(Fault::internal("empty command was looked up")),
    }
}

/// The complaint about a field that the command does not have.
pub(super) fn unknown(request: &Request, field: &str) -> Fault {
    Fault::new(Code::Location(40415), format!("BSON field '{}.{field}' is an unknown field.", request.name()))
}

/// The complaint about a value of the wrong type.
pub(super) fn wrong_type(request: &Request, field: &str, expected: &str) -> Fault {
    Fault::new(
        Code::TypeMismatch,
        format!("BSON field '{}.{field}' is the wrong type, expected type '{expected}'", request.name()),
    )
}

/// A boolean, or a number that is or is not zero.
pub(super) fn flag(value: RawBsonRef<'_>) -> Option<bool> {
    match value {
        RawBsonRef::Boolean(on) => Some(on),
        other => integer(other).map(|number| number != 0),
    }
}

/// A number without a fraction.
pub(super) fn integer(value: RawBsonRef<'_>) -> Option<i64> {
    match value {
        RawBsonRef::Int32(number) => Some(i64::from(number)),
        RawBsonRef::Int64(number) => Some(number),
        RawBsonRef::Double(number) if number.fract() == 0.0 && number.abs() < 9.0e18 => Some(number as i64),
        _ => None,
    }
}

/// A count as MongoDB writes it: int32 where it fits.
pub(super) fn count(number: i64) -> bson::Bson {
    match i32::try_from(number) {
        Ok(small) => bson::Bson::Int32(small),
        Err(_) => bson::Bson::Int64(number),
    }
}

/// A raw document with names that are not known when the program is compiled.
pub(super) fn raw(doc: &bson::Document) -> Result<RawDocumentBuf, Fault> {
    RawDocumentBuf::try_from(doc).map_err(|error| Fault::internal(format!("reply does not encode: {error}")))
}
