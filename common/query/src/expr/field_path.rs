//! Paths as aggregation follows them: through arrays of documents, never by index.

use super::Value;
use super::value::{Evaluated, from_raw};
use bson::{Bson, RawArray, RawBsonRef, RawDocument};
use types::{Code, Fault, limits};

/// A dotted path, checked. `a.b` over `{a: [{b: 1}, {b: 2}]}` is `[1, 2]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldPath {
    text: String,
    parts: Vec<String>,
}

/// Checks one component of a path.
pub(crate) fn checked_field_name(name: &str) -> Result<(), Fault> {
    let (code, message) = if name.is_empty() {
        (15998, "FieldPath field names may not be empty strings.")
    } else if name.starts_with('$') && !matches!(name, "$id" | "$ref" | "$db") {
        (16410, "FieldPath field names may not start with '$'. Consider using $getField or $setField.")
    } else if name.contains('\0') {
        (16411, "FieldPath field names may not contain '\\0'.")
    } else if name.contains('.') {
        (16412, "FieldPath field names may not contain '.'. Consider using $getField or $setField.")
    } else {
        return Ok(());
    };
    Err(Fault::new(Code::Location(code), message))
}

impl FieldPath {
    /// Parses a dotted path without a leading dollar.
    ///
    /// # Errors
    /// For an empty component, a component that starts with `$`, or too many components.
    pub fn parse(dotted: &str) -> Result<FieldPath, Fault> {
        if dotted.is_empty() {
            return Err(Fault::new(
                Code::Location(40352),
                "FieldPath cannot be constructed with empty string",
            ));
        }
        if dotted.ends_with('.') {
            return Err(Fault::new(Code::Location(40353), "FieldPath must not end with a '.'."));
        }
        let parts: Vec<String> = dotted.split('.').map(str::to_owned).collect();
        if parts.len() > limits::BSON_DEPTH_MAX {
            return Err(Fault::new(Code::Overflow, "FieldPath is too long"));
        }
        for part in &parts {
            checked_field_name(part)?;
        }
        Ok(FieldPath { text: dotted.to_owned(), parts })
    }

    /// The dotted text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The components.
    pub fn parts(&self) -> &[String] {
        &self.parts
    }

    /// The value at the path.
    ///
    /// # Errors
    /// 22 if the bytes on the way are no valid BSON.
    pub fn eval<'a>(&self, document: &'a RawDocument) -> Result<Evaluated<'a>, Fault> {
        descend(document, &self.parts)
    }

    /// The value at the path of a value.
    pub(super) fn eval_value(&self, value: &Bson) -> Value {
        match value {
            Bson::Document(_) | Bson::Array(_) => descend_value(value, &self.parts),
            _ => None,
        }
    }
}

/// One element of a document by name, without looking at the values before it.
pub(super) fn element<'a>(document: &'a RawDocument, name: &str) -> Result<Option<RawBsonRef<'a>>, Fault> {
    for element in document.iter_elements() {
        let element = element.map_err(invalid)?;
        if element.key().as_str() == name {
            return element.value().map(Some).map_err(invalid);
        }
    }
    Ok(None)
}

fn invalid(error: bson::error::Error) -> Fault {
    Fault::new(Code::InvalidBSON, error.to_string())
}

fn descend<'a>(document: &'a RawDocument, parts: &[String]) -> Result<Evaluated<'a>, Fault> {
    let Some((first, rest)) = parts.split_first() else { return Ok(Evaluated::Missing) };
    let Some(value) = element(document, first)? else { return Ok(Evaluated::Missing) };
    if rest.is_empty() {
        return Ok(Evaluated::Raw(value));
    }
    match value {
        RawBsonRef::Document(inner) => descend(inner, rest),
        RawBsonRef::Array(array) => Ok(Evaluated::Owned(Bson::Array(each(array, rest)?))),
        _ => Ok(Evaluated::Missing),
    }
}

fn each(array: &RawArray, parts: &[String]) -> Result<Vec<Bson>, Fault> {
    let mut out = Vec::new();
    for value in array {
        if let RawBsonRef::Document(inner) = value.map_err(invalid)? {
            match descend(inner, parts)? {
                Evaluated::Missing => {}
                Evaluated::Raw(raw) => out.push(from_raw(raw)?),
                Evaluated::Owned(value) => out.push(value),
            }
        }
    }
    Ok(out)
}

fn descend_value(value: &Bson, parts: &[String]) -> Value {
    let Some((first, rest)) = parts.split_first() else { return Some(value.clone()) };
    match value {
        Bson::Document(document) => descend_value_inner(document.get(first)?, rest),
        Bson::Array(array) => {
            let documents = array.iter().filter(|value| matches!(value, Bson::Document(_)));
            Some(Bson::Array(documents.filter_map(|value| descend_value(value, parts)).collect()))
        }
        _ => None,
    }
}

fn descend_value_inner(value: &Bson, rest: &[String]) -> Value {
    if rest.is_empty() { Some(value.clone()) } else { descend_value(value, rest) }
}
