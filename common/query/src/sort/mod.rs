//! Sort patterns: the key that a document sorts by, as bytes that compare like the documents, and a bounded sorter.
//! Shards and router use the same keys, so merging sorted streams is comparing bytes.

mod key;
mod sorter;

pub use sorter::{Sorted, Sorter};

use crate::context::invalid_bson;
use bson::{RawBsonRef, RawDocument};
use types::limits::INDEX_FIELD_COUNT_MAX;
use types::{Code, Fault};
use value::Collator;
use value::number::Number;
use value::path::Path;

/// A parsed sort pattern; empty if the order does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sort {
    fields: Vec<(String, bool)>,
    paths: Vec<Path>,
    natural: Option<Natural>,
    collation: Option<Collator>,
}

/// `{$natural: ±1}`: the order in which the storage scans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Natural {
    Forward,
    Backward,
}

impl Sort {
    /// Parses `{a: 1, "b.c": -1}` or `{$natural: 1}`.
    ///
    /// # Errors
    /// As MongoDB refuses a sort pattern; NotImplemented for `$meta`.
    pub fn parse(spec: &RawDocument) -> Result<Sort, Fault> {
        let mut sort = Sort::default();
        for item in spec.iter() {
            let (name, value) = item.map_err(invalid_bson)?;
            let name = name.as_str();
            if name == "$natural" {
                sort.natural = Some(match direction(name, value)? {
                    false => Natural::Forward,
                    true => Natural::Backward,
                });
                continue;
            }
            check_path(name)?;
            let descending = direction(name, value)?;
            if sort.fields.iter().any(|(other, _)| other == name) {
                return Err(Fault::new(
                    Code::Location(7472500),
                    format!("$sort key must not contain duplicate keys (duplicate: '{name}')"),
                ));
            }
            sort.fields.push((name.to_owned(), descending));
            sort.paths.push(Path::parse(name));
        }
        if sort.natural.is_some() && !sort.fields.is_empty() {
            return Err(Fault::bad_value(format!("Cannot include '$natural' in compound sort: {spec:?}")));
        }
        if sort.fields.len() > INDEX_FIELD_COUNT_MAX {
            return Err(Fault::new(Code::Location(13103), "too many compound keys"));
        }
        Ok(sort)
    }

    /// The same pattern under a collation.
    #[must_use]
    pub fn under(mut self, collation: Option<Collator>) -> Sort {
        self.collation = collation;
        self
    }

    /// How strings compare; `None` is by bytes.
    pub fn collation(&self) -> Option<&Collator> {
        self.collation.as_ref()
    }

    /// Path and whether descending, in order.
    pub fn fields(&self) -> &[(String, bool)] {
        &self.fields
    }

    /// Set if the pattern is `$natural`.
    pub fn natural(&self) -> Option<Natural> {
        self.natural
    }

    /// Whether any order will do.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.natural.is_none()
    }

    /// Bytes that sort (memcmp) as the documents sort under this pattern. An array sorts by its least element,
    /// or its greatest where the field descends; an empty one below null; a missing value as null.
    ///
    /// # Errors
    /// BadValue if two fields go through different arrays; InvalidBSON for a string that is not UTF-8.
    pub fn key(&self, doc: &RawDocument) -> Result<Vec<u8>, Fault> {
        key::of(self, doc)
    }

    /// The keys that an index of this pattern would have for the document.
    #[cfg(test)]
    pub(crate) fn keys(&self, doc: &RawDocument) -> Result<Vec<Vec<u8>>, Fault> {
        let mut keys = Vec::new();
        key::each(self, doc, &mut |key| keys.push(key))?;
        Ok(keys)
    }
}

/// Whether descending.
fn direction(name: &str, value: RawBsonRef<'_>) -> Result<bool, Fault> {
    if let RawBsonRef::Document(expression) = value {
        return Err(match expression.get("$meta").map_err(invalid_bson)? {
            Some(_) => Fault::not_implemented("$meta in a sort pattern"),
            None => {
                Fault::new(Code::Location(17312), "$meta is the only expression supported by $sort right now")
            }
        });
    }
    let Some(number) = Number::from_raw(value) else {
        let value = bson::RawBson::from(value);
        return Err(Fault::new(
            Code::Location(15974),
            format!("Illegal key in $sort specification: {name}: {value:?}"),
        ));
    };
    match number.to_i64_truncated() {
        Some(1) => Ok(false),
        Some(-1) => Ok(true),
        _ => Err(Fault::new(
            Code::Location(15975),
            "$sort key ordering must be 1 (for ascending) or -1 (for descending)",
        )),
    }
}

fn check_path(path: &str) -> Result<(), Fault> {
    if path.is_empty() {
        return Err(Fault::new(Code::Location(40352), "FieldPath cannot be constructed with empty string"));
    }
    if path.ends_with('.') {
        return Err(Fault::new(Code::Location(40353), "FieldPath must not end with a '.'."));
    }
    for part in path.split('.') {
        if part.is_empty() {
            return Err(Fault::new(Code::Location(15998), "FieldPath field names may not be empty strings."));
        }
        if part.starts_with('$') && !matches!(part, "$id" | "$ref" | "$db") {
            return Err(Fault::new(
                Code::Location(16410),
                format!(
                    "FieldPath field names may not start with '$'. Consider using $getField or $setField. Found: {part}"
                ),
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::{Bson, Document, RawDocumentBuf, doc};

    fn raw(doc: Document) -> RawDocumentBuf {
        RawDocumentBuf::try_from(&doc).unwrap()
    }

    fn sort(spec: Document) -> Sort {
        Sort::parse(&raw(spec)).unwrap()
    }

    /// `docs` are in order, strictly.
    #[track_caller]
    fn check(spec: Document, docs: &[Document]) {
        let sort = sort(spec);
        let keys: Vec<Vec<u8>> = docs.iter().map(|doc| sort.key(&raw(doc.clone())).unwrap()).collect();
        for (at, pair) in keys.windows(2).enumerate() {
            assert!(pair[0] < pair[1], "{} before {}", docs[at], docs[at + 1]);
        }
    }

    #[track_caller]
    fn check_equal(spec: Document, a: Document, b: Document) {
        let sort = sort(spec);
        assert_eq!(sort.key(&raw(a.clone())).unwrap(), sort.key(&raw(b.clone())).unwrap(), "{a} and {b}");
    }

    #[test]
    fn order() {
        check(
            doc! {"a": 1},
            &[
                doc! {"a": Bson::MinKey},
                doc! {"a": []},
                doc! {},
                doc! {"a": f64::NAN},
                doc! {"a": 1},
                doc! {"a": 1.5},
                doc! {"a": "1"},
                doc! {"a": {"x": 1}},
                doc! {"a": true},
            ],
        );
        check(doc! {"a": -1}, &[doc! {"a": "x"}, doc! {"a": 2}, doc! {"a": 1}, doc! {}, doc! {"a": []}]);
        check(doc! {"a": 1, "b": -1}, &[doc! {"a": 1, "b": 2}, doc! {"a": 1, "b": 1}, doc! {"a": 2, "b": 9}]);
        check(doc! {"a": 1}, &[doc! {"a": [5, 1]}, doc! {"a": [3, 2]}, doc! {"a": 4}]);
        check(doc! {"a": -1}, &[doc! {"a": [5, 1]}, doc! {"a": 4}, doc! {"a": [3, 2]}]);
        check(doc! {"a.b": 1}, &[doc! {"a": 5}, doc! {"a": [{"b": 3}, {"b": 1}]}, doc! {"a": {"b": 2}}]);
        check(doc! {"a.1": 1}, &[doc! {"a": [9]}, doc! {"a": [9, 1]}, doc! {"a": [0, 2]}]);
        check_equal(doc! {"a": 1}, doc! {"a": 1}, doc! {"a": 1.0});
        check_equal(doc! {"a": 1}, doc! {}, doc! {"a": Bson::Null});
        check_equal(doc! {"a": 1}, doc! {"a": [[1, 2]]}, doc! {"a": [[1, 2], [1, 3]]});
        check_equal(doc! {"a.b": 1}, doc! {"a": []}, doc! {});
        // the fields of one element stay together
        check_equal(
            doc! {"a.b": 1, "a.c": 1},
            doc! {"a": [{"b": 1, "c": 9}, {"b": 2, "c": 2}]},
            doc! {"a": {"b": 1, "c": 9}},
        );
    }

    #[test]
    fn refused() {
        let code = |spec: Document| Sort::parse(&raw(spec)).unwrap_err().code.number();
        assert_eq!(code(doc! {"a": 0}), 15975);
        assert_eq!(code(doc! {"a": 2}), 15975);
        assert_eq!(code(doc! {"a": "x"}), 15974);
        assert_eq!(code(doc! {"a": {"$meta": "textScore"}}), 238);
        assert_eq!(code(doc! {"a": {"x": 1}}), 17312);
        assert_eq!(code(doc! {"": 1}), 40352);
        assert_eq!(code(doc! {"a.": 1}), 40353);
        assert_eq!(code(doc! {"a..b": 1}), 15998);
        assert_eq!(code(doc! {"$a": 1}), 16410);
        assert_eq!(code(doc! {"$natural": 1, "a": 1}), 2);
        assert_eq!(code((0..33).map(|i| (format!("f{i}"), Bson::Int32(1))).collect()), 13103);
        assert_eq!(sort(doc! {"$natural": -1}).natural(), Some(Natural::Backward));
        assert!(sort(doc! {}).is_empty());
        let parallel = sort(doc! {"a": 1, "b": 1}).key(&raw(doc! {"a": [1], "b": [1]})).unwrap_err();
        assert_eq!(parallel.code, Code::BadValue);
    }
}
