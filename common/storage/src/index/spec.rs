//! Index specifications: what `createIndexes` may ask for, brought to the one stored form.

use super::display;
use super::pattern::Pattern;
use crate::Error;
use crate::collection::Index;
use bson::raw::cstr;
use bson::{RawBsonRef, RawDocument, RawDocumentBuf, rawdoc};
use types::Code;
use value::{Collation, Collator};

/// Options of MongoDB that are known and not there yet.
const NOT_YET: &[&str] = &[
    "2dsphereIndexVersion",
    "bits",
    "bucketSize",
    "clustered",
    "columnstoreProjection",
    "default_language",
    "language_override",
    "max",
    "min",
    "prepareUnique",
    "storageEngine",
    "textIndexVersion",
    "weights",
];

/// What to do about a specification beside the indexes that exist.
#[derive(Debug)]
pub(crate) enum Requested {
    New(RawDocumentBuf),
    /// The very same index is there already, under this name; perhaps it is still being built.
    Exists(String),
}

/// The specification of every collection's first index, which has the collation of the collection.
pub(crate) fn id_spec(collation: Option<&Collator>) -> RawDocumentBuf {
    let mut spec = rawdoc! { "v": 2_i32, "key": { "_id": 1_i32 }, "name": IdIndex::NAME };
    if let Some(collation) = collation {
        spec.append(cstr!("collation"), collation.resolved().to_owned());
    }
    spec
}

/// The index on `_id`.
pub(crate) struct IdIndex;

impl IdIndex {
    pub(crate) const NAME: &'static str = "_id_";
}

fn invalid(code: Code, message: impl Into<String>) -> Error {
    Error::IndexSpec { code, message: message.into() }
}

/// Checks a specification against the language and against the indexes that exist. Where it names no collation, it gets that of
/// the collection.
pub(crate) fn parse<'a>(
    spec: &RawDocument,
    existing: impl Iterator<Item = &'a Index>,
    inherited: Option<&Collator>,
) -> Result<Requested, Error> {
    let fresh = normalise(spec, inherited)?;
    let key = fresh.get_document("key").map_err(|error| invalid(Code::FailedToParse, error.to_string()))?;
    let name = fresh.get_str("name").unwrap_or_default();
    if Pattern::parse(key, fresh.get_document("wildcardProjection").ok())?.is_id() {
        let collation = crate::collection::collation_of(&fresh)?;
        if collation.as_ref() != inherited {
            let show = |collation: Option<&Collator>| match collation {
                Some(collation) => display::document(collation.resolved()),
                None => "{ locale: \"simple\" }".to_owned(),
            };
            return Err(invalid(
                Code::BadValue,
                format!(
                    "The _id index must have the same collation as the collection. Index collation: {}, collection collation: {}",
                    show(collation.as_ref()),
                    show(inherited)
                ),
            ));
        }
        return Ok(Requested::Exists(IdIndex::NAME.to_owned()));
    }
    let existing: Vec<&Index> = existing.collect();
    let pair = |index: &Index| {
        let show = display::document;
        format!("Requested index: {}, existing index: {}", show(&fresh), show(&index.spec))
    };
    if let Some(index) = existing.iter().find(|index| index.name == name) {
        if !same_index(&index.spec, &fresh) {
            return Err(invalid(
                Code::IndexKeySpecsConflict,
                format!(
                    "An existing index has the same name as the requested index. When index names are not specified, they are \
                     auto generated and can cause conflicts. Please refer to our documentation. {}",
                    pair(index)
                ),
            ));
        }
        if !same_options(&index.spec, &fresh) {
            return Err(invalid(
                Code::IndexOptionsConflict,
                format!(
                    "An equivalent index already exists with the same name but different options. {}",
                    pair(index)
                ),
            ));
        }
        return Ok(Requested::Exists(name.to_owned()));
    }
    if let Some(index) = existing.iter().find(|index| same_index(&index.spec, &fresh)) {
        let message = if same_options(&index.spec, &fresh) {
            format!("Index already exists with a different name: {}", index.name)
        } else {
            format!("An equivalent index already exists with a different name and options. {}", pair(index))
        };
        return Err(invalid(Code::IndexOptionsConflict, message));
    }
    Ok(Requested::New(fresh))
}

/// Whether two specifications mean the same index: key, uniqueness, collation, and which documents have entries. There can be
/// only one.
fn same_index(left: &RawDocument, right: &RawDocument) -> bool {
    let flag = |spec: &RawDocument, name: &str| spec.get_bool(name).unwrap_or(false);
    let same_doc = |name: &str| match (left.get_document(name), right.get_document(name)) {
        (Ok(left), Ok(right)) => value::order::compare_documents(left, right).is_eq(),
        (left, right) => left.is_ok() == right.is_ok(),
    };
    let same_key = match (left.get_document("key"), right.get_document("key")) {
        (Ok(left), Ok(right)) => same_pattern(left, right),
        _ => false,
    };
    same_key
        && ["unique", "sparse"].iter().all(|name| flag(left, name) == flag(right, name))
        && same_doc("collation")
        && same_doc("partialFilterExpression")
        && same_doc("wildcardProjection")
}

/// Whether what else there is to say is the same too. Hiding does not count.
fn same_options(left: &RawDocument, right: &RawDocument) -> bool {
    let seconds = |spec: &RawDocument| match spec.get("expireAfterSeconds") {
        Ok(Some(value)) => {
            value::number::Number::from_raw(value).and_then(|number| number.to_i64_truncated())
        }
        _ => None,
    };
    seconds(left) == seconds(right)
}

/// Whether two key patterns are the same fields in the same order, whatever type their numbers have.
fn same_pattern(left: &RawDocument, right: &RawDocument) -> bool {
    match (Pattern::parse(left, None), Pattern::parse(right, None)) {
        (Ok(left), Ok(right)) => left == right,
        _ => false,
    }
}

/// `{v: 2, key, name, …options that are on}`.
fn normalise(spec: &RawDocument, inherited: Option<&Collator>) -> Result<RawDocumentBuf, Error> {
    let mut key = None;
    let mut name = None;
    let mut options = RawDocumentBuf::new();
    let mut collation = Collation::Inherited;
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
            ("partialFilterExpression" | "wildcardProjection", RawBsonRef::Document(doc)) => {
                options.append(field, doc.to_owned());
            }
            ("expireAfterSeconds", value) => {
                options.append(field, seconds(value).ok_or_else(expiry_out_of_range)?);
            }
            ("ns", RawBsonRef::String(_)) => {}
            ("collation", RawBsonRef::Document(doc)) if doc.is_empty() => {
                return Err(invalid(Code::BadValue, "The field 'collation' cannot be an empty object."));
            }
            ("collation", RawBsonRef::Document(doc)) => collation = Collation::parse(doc, "collation")?,
            ("key" | "name" | "ns" | "collation" | "partialFilterExpression" | "wildcardProjection", _) => {
                return Err(wrong());
            }
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
    let pattern = Pattern::parse(key, options.get_document("wildcardProjection").ok())?;
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
    check_combination(&pattern, &options)?;
    let collation = collation.over(inherited);
    if collation.is_some() && pattern.hashed() {
        return Err(Error::NotImplemented("a hashed index with a collation".to_owned()));
    }
    let mut out = RawDocumentBuf::new();
    out.append(cstr!("v"), 2_i32);
    out.append(cstr!("key"), key.to_owned());
    out.append(cstr!("name"), name);
    for (field, value) in options.iter().flatten() {
        out.append(field, value);
    }
    if let Some(collation) = collation {
        out.append(cstr!("collation"), collation.resolved().to_owned());
    }
    Ok(out)
}

/// Options that do not go together.
fn check_combination(pattern: &Pattern, options: &RawDocument) -> Result<(), Error> {
    let has = |name: &str| matches!(options.get(name), Ok(Some(_)));
    let refuse = |message: &str| Err(invalid(Code::CannotCreateIndex, message));
    if has("partialFilterExpression") && has("sparse") {
        return refuse("cannot mix \"partialFilterExpression\" and \"sparse\" options");
    }
    if pattern.wildcard.is_some() {
        for name in ["unique", "sparse", "expireAfterSeconds"] {
            if has(name) {
                return refuse(&format!("Index type 'wildcard' does not support the {name} option"));
            }
        }
    }
    if has("expireAfterSeconds") && pattern.fields.len() > 1 {
        return refuse("TTL indexes are single-field indexes, compound indexes do not support TTL");
    }
    if has("expireAfterSeconds") && pattern.is_id() {
        return refuse("The field 'expireAfterSeconds' is not valid for an _id index specification.");
    }
    Ok(())
}

/// The error for a time to live that no index can have.
pub(crate) fn expiry_out_of_range() -> Error {
    invalid(
        Code::CannotCreateIndex,
        "TTL index 'expireAfterSeconds' option must be within an acceptable range, try a different number",
    )
}

fn seconds(value: RawBsonRef<'_>) -> Option<i32> {
    let seconds = value::number::Number::from_raw(value)?.to_i64_truncated()?;
    i32::try_from(seconds).ok().filter(|seconds| *seconds >= 0)
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
