//! Index specifications: what `createIndexes` may ask for, brought to the one stored form.

use super::display;
use super::pattern::Pattern;
use crate::Error;
use crate::collection::Index;
use bson::raw::cstr;
use bson::{RawBsonRef, RawDocument, RawDocumentBuf, rawdoc};
use types::Code;

/// Options of MongoDB that are known and not there yet.
const NOT_YET: &[&str] = &[
    "2dsphereIndexVersion",
    "bits",
    "bucketSize",
    "clustered",
    "columnstoreProjection",
    "default_language",
    "expireAfterSeconds",
    "language_override",
    "max",
    "min",
    "partialFilterExpression",
    "prepareUnique",
    "storageEngine",
    "textIndexVersion",
    "weights",
    "wildcardProjection",
];

/// What to do about a specification beside the indexes that exist.
#[derive(Debug)]
pub(crate) enum Requested {
    New(RawDocumentBuf),
    /// The very same index is there already.
    Exists,
}

/// The specification of every collection's first index.
pub(crate) fn id_spec() -> RawDocumentBuf {
    rawdoc! { "v": 2_i32, "key": { "_id": 1_i32 }, "name": IdIndex::NAME }
}

/// The index on `_id`.
pub(crate) struct IdIndex;

impl IdIndex {
    pub(crate) const NAME: &'static str = "_id_";
}

fn invalid(code: Code, message: impl Into<String>) -> Error {
    Error::IndexSpec { code, message: message.into() }
}

/// Checks a specification against the language and against the indexes that exist.
pub(crate) fn parse<'a>(
    spec: &RawDocument,
    existing: impl Iterator<Item = &'a Index>,
) -> Result<Requested, Error> {
    let fresh = normalise(spec)?;
    let key = fresh.get_document("key").map_err(|error| invalid(Code::FailedToParse, error.to_string()))?;
    let name = fresh.get_str("name").unwrap_or_default();
    if Pattern::parse(key)?.is_id() {
        return Ok(Requested::Exists);
    }
    let show = display::document;
    for index in existing {
        let same_key = same_pattern(&index.key, key);
        if index.name == name && !same_key {
            return Err(invalid(
                Code::IndexKeySpecsConflict,
                format!(
                    "An existing index has the same name as the requested index. When index names are not specified, they are \
                     auto generated and can cause conflicts. Please refer to our documentation. Requested index: {}, existing index: {}",
                    show(&fresh),
                    show(&index.spec)
                ),
            ));
        }
        if same_key && index.name != name {
            return Err(invalid(
                Code::IndexOptionsConflict,
                format!("Index already exists with a different name: {}", index.name),
            ));
        }
        if same_key {
            let flag = |name: &str| fresh.get_bool(name).unwrap_or(false);
            if (flag("unique"), flag("sparse")) == (index.unique, index.sparse) {
                return Ok(Requested::Exists);
            }
            return Err(invalid(
                Code::IndexOptionsConflict,
                format!(
                    "An equivalent index already exists with the same name but different options. Requested index: {}, existing index: {}",
                    show(&fresh),
                    show(&index.spec)
                ),
            ));
        }
    }
    Ok(Requested::New(fresh))
}

/// Whether two key patterns are the same fields in the same order, whatever type their numbers have.
fn same_pattern(left: &RawDocument, right: &RawDocument) -> bool {
    match (Pattern::parse(left), Pattern::parse(right)) {
        (Ok(left), Ok(right)) => left == right,
        _ => false,
    }
}

/// `{v: 2, key, name, …options that are on}`.
fn normalise(spec: &RawDocument) -> Result<RawDocumentBuf, Error> {
    let mut key = None;
    let mut name = None;
    let mut options = RawDocumentBuf::new();
    for element in spec.iter() {
        let (field, value) = element.map_err(|error| invalid(Code::InvalidBSON, error.to_string()))?;
        let wrong = || {
            invalid(
                Code::TypeMismatch,
                format!(
                    "The field '{}' has value of the wrong type in an index specification",
                    field.as_str()
                ),
            )
        };
        match (field.as_str(), value) {
            ("key", RawBsonRef::Document(doc)) => key = Some(doc),
            ("name", RawBsonRef::String(text)) => name = Some(text.to_owned()),
            ("unique" | "sparse" | "hidden" | "background", value) => {
                if flag(value).ok_or_else(wrong)? {
                    options.append(field, true);
                }
            }
            ("v", value) => version(value)?,
            ("ns", RawBsonRef::String(_)) => {}
            ("collation", RawBsonRef::Document(collation)) => {
                if collation.get_str("locale").ok() != Some("simple") {
                    return Err(Error::NotImplemented("index collation".to_owned()));
                }
            }
            ("key" | "name" | "ns" | "collation", _) => return Err(wrong()),
            (other, _) if NOT_YET.contains(&other) => {
                return Err(Error::NotImplemented(format!("index option '{other}'")));
            }
            (other, _) => {
                return Err(invalid(
                    Code::InvalidIndexSpecificationOption,
                    format!(
                        "The field '{other}' is not valid for an index specification. Specification: {}",
                        display::document(spec)
                    ),
                ));
            }
        }
    }
    let key = key.ok_or_else(|| {
        invalid(Code::FailedToParse, "The 'key' field is a required property of an index specification")
    })?;
    let pattern = Pattern::parse(key)?;
    let name = name.unwrap_or_else(|| Pattern::default_name(key));
    if name.is_empty() {
        return Err(invalid(Code::CannotCreateIndex, "index names cannot be empty"));
    }
    if name == "*" {
        return Err(invalid(Code::BadValue, "The index name '*' is not valid."));
    }
    if name.contains('\0') {
        return Err(invalid(Code::CannotCreateIndex, "index names cannot contain NUL bytes"));
    }
    if name == IdIndex::NAME && !pattern.is_id() {
        return Err(invalid(
            Code::BadValue,
            format!(
                "The index name '_id_' is reserved for the _id index, which must have key pattern {{ _id: 1 }}, found key: {}",
                display::document(key)
            ),
        ));
    }
    if pattern.hashed() && options.get_bool("unique").unwrap_or(false) {
        return Err(invalid(
            Code::Location(16764),
            "Currently hashed indexes cannot guarantee uniqueness. Use a regular index.",
        ));
    }
    if pattern.is_id() && options.get_bool("hidden").unwrap_or(false) {
        return Err(invalid(Code::BadValue, "can't hide _id index"));
    }
    let mut out = RawDocumentBuf::new();
    out.append(cstr!("v"), 2_i32);
    out.append(cstr!("key"), key.to_owned());
    out.append(cstr!("name"), name);
    for (field, value) in options.iter().flatten() {
        out.append(field, value);
    }
    Ok(out)
}

fn flag(value: RawBsonRef<'_>) -> Option<bool> {
    match value {
        RawBsonRef::Boolean(on) => Some(on),
        RawBsonRef::Int32(number) => Some(number != 0),
        RawBsonRef::Int64(number) => Some(number != 0),
        RawBsonRef::Double(number) => Some(number != 0.0),
        _ => None,
    }
}

fn version(value: RawBsonRef<'_>) -> Result<(), Error> {
    let number = match value {
        RawBsonRef::Int32(number) => f64::from(number),
        RawBsonRef::Int64(number) => number as f64,
        RawBsonRef::Double(number) => number,
        _ => return Err(invalid(Code::TypeMismatch, "The field 'v' must be a number")),
    };
    // Version 1 differs in what it cannot hold; both are stored alike.
    if number == 1.0 || number == 2.0 {
        return Ok(());
    }
    Err(invalid(
        Code::CannotCreateIndex,
        format!("Invalid index specification; cannot create an index with v={number}"),
    ))
}
