//! Wildcard indexes: an entry for each path that ends in a value, of the path and the value. Array places are no part of a path.

use super::entries::Keys;
use crate::Error;
use bson::{RawBsonRef, RawDocument};
use types::Code;
use value::Collator;

/// What `{"$**": 1}` or `{"a.$**": 1}` means, with its projection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wildcard {
    /// The components before `$**`.
    prefix: Vec<String>,
    descending: bool,
    projection: Projection,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Projection {
    /// Only these and what is below them; empty: all but `excluded`.
    included: Vec<Vec<String>>,
    excluded: Vec<Vec<String>>,
    id: bool,
}

fn refuse(code: Code, message: impl Into<String>) -> Error {
    Error::IndexSpec { code, message: message.into() }
}

impl Wildcard {
    /// `path` is what stands before the `$**`.
    pub(super) fn new(
        prefix: Vec<String>,
        descending: bool,
        projection: Option<&RawDocument>,
    ) -> Result<Wildcard, Error> {
        let projection = projection.map(Projection::parse).transpose()?.unwrap_or_default();
        Ok(Wildcard { prefix, descending, projection })
    }

    /// Whether there are entries for values at this path.
    pub(crate) fn covers(&self, path: &str) -> bool {
        let path: Vec<&str> = path.split('.').collect();
        // A number may mean a place in an array, which no path of an entry has.
        if path.iter().any(|part| part.parse::<u32>().is_ok()) {
            return false;
        }
        self.covers_path(&path)
    }

    fn covers_path(&self, path: &[&str]) -> bool {
        let below = |top: &[String]| {
            path.len() >= top.len() && top.iter().zip(path).all(|(left, right)| left == right)
        };
        if !below(&self.prefix) {
            return false;
        }
        if self.prefix.is_empty() && path.first() == Some(&"_id") {
            return self.projection.id;
        }
        let Projection { included, excluded, .. } = &self.projection;
        (included.is_empty() || included.iter().any(|top| below(top)))
            && !excluded.iter().any(|top| below(top))
    }

    /// Whether something at or below this path may have entries.
    fn reaches(&self, path: &[&str]) -> bool {
        let on_way = |top: &[String]| top.iter().zip(path).all(|(left, right)| left == right);
        on_way(&self.prefix)
            && (self.projection.included.is_empty()
                || path.first() == Some(&"_id")
                || self.projection.included.iter().any(|top| on_way(top)))
    }

    /// The keys of a document.
    pub(super) fn keys(&self, doc: &RawDocument, collation: Option<&Collator>) -> Result<Keys, Error> {
        let mut found = Walk { wildcard: self, collation, out: Keys::default() };
        found.document(doc, &mut Vec::new())?;
        let mut out = found.out;
        out.keys.sort_unstable();
        out.keys.dedup();
        Ok(out)
    }
}

struct Walk<'w> {
    wildcard: &'w Wildcard,
    collation: Option<&'w Collator>,
    out: Keys,
}

impl Walk<'_> {
    fn document<'a>(&mut self, doc: &'a RawDocument, path: &mut Vec<&'a str>) -> Result<(), Error> {
        for element in doc.iter_elements() {
            let element = element.map_err(unreadable)?;
            path.push(element.key().as_str());
            if self.wildcard.reaches(path) {
                match element.value().map_err(unreadable)? {
                    RawBsonRef::Array(array) => {
                        self.out.multikey |= 1;
                        let mut empty = true;
                        for item in array.iter_elements() {
                            empty = false;
                            let item = item.map_err(unreadable)?.value().map_err(unreadable)?;
                            self.value(item, path)?;
                        }
                        if empty {
                            self.emit(RawBsonRef::Undefined, path);
                        }
                    }
                    value => self.value(value, path)?,
                }
            }
            path.pop();
        }
        Ok(())
    }

    fn value<'a>(&mut self, value: RawBsonRef<'a>, path: &mut Vec<&'a str>) -> Result<(), Error> {
        match value {
            RawBsonRef::Document(inner) if inner.iter_elements().next().is_some() => {
                self.document(inner, path)
            }
            // An array right inside of an array is a value.
            value => {
                self.emit(value, path);
                Ok(())
            }
        }
    }

    fn emit(&mut self, value: RawBsonRef<'_>, path: &[&str]) {
        if self.wildcard.covers_path(path) {
            let mut key = Vec::with_capacity(32);
            value::key::encode(&mut key, RawBsonRef::String(&path.join(".")), false);
            value::key::encode_under(&mut key, value, self.wildcard.descending, self.collation);
            self.out.keys.push(key);
        }
    }
}

fn unreadable(error: bson::error::Error) -> Error {
    Error::InvalidDocument { code: Code::InvalidBSON, message: error.to_string() }
}

impl Projection {
    fn parse(doc: &RawDocument) -> Result<Projection, Error> {
        let mut out = Projection::default();
        let mut any = false;
        collect(doc, &mut Vec::new(), &mut |path, on| {
            any = true;
            match (path, on) {
                ([id], on) if id == "_id" => out.id = on,
                (path, true) => out.included.push(path.to_vec()),
                (path, false) => out.excluded.push(path.to_vec()),
            }
        })?;
        if !any {
            return Err(refuse(
                Code::FailedToParse,
                "The 'wildcardProjection' field can't be an empty object",
            ));
        }
        if !out.included.is_empty() && !out.excluded.is_empty() {
            return Err(refuse(
                Code::Location(31253),
                "Cannot do exclusion and inclusion together in a wildcard projection",
            ));
        }
        Ok(out)
    }
}

fn collect(
    doc: &RawDocument,
    path: &mut Vec<String>,
    found: &mut dyn FnMut(&[String], bool),
) -> Result<(), Error> {
    for element in doc.iter() {
        let (name, value) = element.map_err(unreadable)?;
        let depth = path.len();
        path.extend(name.as_str().split('.').map(str::to_owned));
        match value {
            RawBsonRef::Document(inner) if inner.iter_elements().next().is_some() => {
                collect(inner, path, found)?;
            }
            RawBsonRef::Boolean(on) => found(path, on),
            RawBsonRef::Int32(number) => found(path, number != 0),
            RawBsonRef::Int64(number) => found(path, number != 0),
            RawBsonRef::Double(number) => found(path, number != 0.0),
            _ => {
                return Err(refuse(
                    Code::BadValue,
                    format!(
                        "Bad wildcard projection: {} must be a number, a boolean or an object",
                        name.as_str()
                    ),
                ));
            }
        }
        path.truncate(depth);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::{Bson, Document, RawDocumentBuf, bson, doc};

    fn check(prefix: &[&str], projection: Option<Document>, doc: Document, want: Bson) {
        let projection = projection.map(|projection| RawDocumentBuf::try_from(&projection).unwrap());
        let prefix = prefix.iter().map(|part| (*part).to_owned()).collect();
        let wildcard = Wildcard::new(prefix, false, projection.as_deref()).unwrap();
        let got = wildcard.keys(&RawDocumentBuf::try_from(&doc).unwrap(), None).unwrap().keys;
        let mut rows: Vec<Vec<u8>> = Vec::new();
        for row in want.as_array().unwrap() {
            let mut key = Vec::new();
            row.as_array().unwrap().iter().for_each(|value| value::key::encode_bson(&mut key, value, false));
            rows.push(key);
        }
        rows.sort();
        assert_eq!(got, rows, "{doc}");
    }

    #[test]
    fn every_value_has_an_entry_of_its_path() {
        check(&[], None, doc! {"_id": 1, "a": 5, "b": {"c": "x"}}, bson!([["a", 5], ["b.c", "x"]]));
        check(
            &[],
            None,
            doc! {"a": [1, 2, {"b": 3}, [4]]},
            bson!([["a", 1], ["a", 2], ["a", [4]], ["a.b", 3]]),
        );
        check(&[], None, doc! {"a": {}, "n": null}, bson!([["a", {}], ["n", null]]));
        check(&[], None, doc! {"a": []}, Bson::Array(vec![Bson::Array(vec![bson!("a"), Bson::Undefined])]));
        check(&["b"], None, doc! {"a": 5, "b": {"c": "x", "d": 1}}, bson!([["b.c", "x"], ["b.d", 1]]));
        check(&["b"], None, doc! {"b": 7}, bson!([["b", 7]]));
        let include = Some(doc! {"a": 1, "b.c": true, "_id": 1});
        check(
            &[],
            include,
            doc! {"_id": 9, "a": {"x": 1}, "b": {"c": 2, "d": 3}, "e": 4},
            bson!([["_id", 9], ["a.x", 1], ["b.c", 2]]),
        );
        check(
            &[],
            Some(doc! {"b": {"c": 0}}),
            doc! {"a": 1, "b": {"c": 2, "d": 3}},
            bson!([["a", 1], ["b.d", 3]]),
        );
    }

    #[test]
    fn what_is_covered_is_known() {
        let covers = |projection: Option<Document>, path: &str| {
            let projection = projection.map(|projection| RawDocumentBuf::try_from(&projection).unwrap());
            Wildcard::new(Vec::new(), false, projection.as_deref()).unwrap().covers(path)
        };
        assert!(covers(None, "a.b") && !covers(None, "_id") && !covers(None, "a.0"));
        assert!(covers(Some(doc! {"a": 1}), "a.b") && !covers(Some(doc! {"a.b": 1}), "a"));
        assert!(!covers(Some(doc! {"a": 0}), "a.b") && covers(Some(doc! {"a": 0}), "b"));
        let bad = |projection: Document| {
            Projection::parse(&RawDocumentBuf::try_from(&projection).unwrap())
                .unwrap_err()
                .fault()
                .code
                .number()
        };
        assert_eq!(bad(doc! {}), 9);
        assert_eq!(bad(doc! {"a": 1, "b": 0}), 31253);
        assert_eq!(bad(doc! {"a": "x"}), 2);
    }
}
