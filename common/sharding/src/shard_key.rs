//! The shard key of a collection: which fields, which of them hashed, and the encoded key of a document.
//! Keys are compared as bytes ([`value::key`]); a hashed field stands in them as its hash. Missing fields count as null.

use crate::Error;
use bson::{Bson, Document, RawBsonRef, RawDocument};
use std::sync::Arc;
use types::limits;
use value::interval::Interval;
use value::order::compare_bson;
use value::{element, hash, key};

/// One field of a shard key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Dotted path.
    pub path: Box<str>,
    pub hashed: bool,
}

/// A shard key pattern such as `{country: 1, user: "hashed"}`. Cheap to clone.
#[derive(Debug, Clone, PartialEq)]
pub struct ShardKey {
    pattern: Document,
    fields: Arc<[Field]>,
}

/// A border of a chunk or zone: values of all fields of the key, hashed ones as hashes, and the same as bytes.
#[derive(Debug, Clone)]
pub struct Bound {
    document: Document,
    bytes: Box<[u8]>,
}

impl Bound {
    /// As `config.chunks` has it.
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// As it compares.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl PartialEq for Bound {
    fn eq(&self, other: &Bound) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for Bound {}

impl PartialOrd for Bound {
    fn partial_cmp(&self, other: &Bound) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Bound {
    fn cmp(&self, other: &Bound) -> std::cmp::Ordering {
        self.bytes.cmp(&other.bytes)
    }
}

impl std::fmt::Display for Bound {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.document.fmt(out)
    }
}

impl ShardKey {
    /// Reads a pattern: fields with 1, at most one with `"hashed"`.
    ///
    /// # Errors
    /// [`Error::BadKeyPattern`] for anything else: no fields, -1, other index types, two hashed fields, empty or `$` names.
    pub fn parse(pattern: &RawDocument) -> Result<ShardKey, Error> {
        let document = Document::try_from(pattern).map_err(|error| element::fault(&error))?;
        let refuse = |reason: String| Error::BadKeyPattern { pattern: document.to_string(), reason };
        let mut fields: Vec<Field> = Vec::new();
        for (name, kind) in &document {
            let hashed = matches!(kind, Bson::String(kind) if kind == "hashed");
            let ascending =
                value::number::Number::from_bson(kind).is_some_and(|number| number.to_i64_exact() == Some(1));
            if !hashed && !ascending {
                return Err(refuse(format!(
                    "can contain at most one 'hashed' field, and/or multiple numerical fields set to a value of 1. \
                     Failed to parse field {name}"
                )));
            }
            if hashed && fields.iter().any(|field| field.hashed) {
                return Err(refuse(format!(
                    "can contain at most one 'hashed' field. Failed to parse field {name}"
                )));
            }
            if let Some(part) = name.split('.').find(|part| part.is_empty() || part.starts_with('$')) {
                return Err(refuse(format!("contains the invalid field name part '{part}' in '{name}'")));
            }
            if fields.iter().any(|field| *field.path == **name) {
                return Err(refuse(format!("contains the field '{name}' twice")));
            }
            fields.push(Field { path: name.as_str().into(), hashed });
        }
        if fields.is_empty() || fields.len() > limits::INDEX_FIELD_COUNT_MAX {
            return Err(refuse(format!("must have 1 to {} fields", limits::INDEX_FIELD_COUNT_MAX)));
        }
        Ok(ShardKey { pattern: document, fields: fields.into() })
    }

    /// As [`ShardKey::parse`], from an owned document.
    ///
    /// # Errors
    /// As [`ShardKey::parse`].
    pub fn from_document(pattern: &Document) -> Result<ShardKey, Error> {
        let raw = bson::RawDocumentBuf::try_from(pattern).map_err(|error| element::fault(&error))?;
        ShardKey::parse(&raw)
    }

    /// The pattern as it was given.
    pub fn pattern(&self) -> &Document {
        &self.pattern
    }

    /// The fields in order.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// Whether the pattern of an index begins with this key.
    pub fn leads(&self, pattern: &Document) -> bool {
        let begins = self.fields.iter().zip(pattern).filter(|(field, (name, kind))| {
            let right_kind = match kind {
                Bson::String(kind) => field.hashed && kind == "hashed",
                kind => {
                    let number = value::number::Number::from_bson(kind);
                    !field.hashed && number.is_some_and(|number| number.to_i64_exact() == Some(1))
                }
            };
            *field.path == **name && right_kind
        });
        begins.count() == self.fields.len()
    }

    /// The place of the hashed field, if there is one.
    pub fn hashed_field(&self) -> Option<usize> {
        self.fields.iter().position(|field| field.hashed)
    }

    /// Whether the first field is hashed, so that the whole key space can be split in advance.
    pub fn has_hashed_prefix(&self) -> bool {
        self.hashed_field() == Some(0)
    }

    /// Whether all fields of this key come first, in order and kind, in `longer`: what a refined key must satisfy.
    pub fn is_prefix_of(&self, longer: &ShardKey) -> bool {
        longer.fields.starts_with(&self.fields)
    }

    /// Appends the encoded key of a document to `out`. On an error `out` holds a part of it.
    ///
    /// # Errors
    /// [`Error::ArrayInKey`] where an array is or is on the way to a field, [`Error::Document`] for unreadable values.
    pub fn encode_document(&self, document: &RawDocument, out: &mut Vec<u8>) -> Result<(), Error> {
        for field in self.fields.iter() {
            let value = self.value(document, field)?.unwrap_or(RawBsonRef::Null);
            if field.hashed {
                key::encode(out, RawBsonRef::Int64(hash::shard_key_hash(value)), false);
            } else {
                key::encode(out, value, false);
            }
        }
        Ok(())
    }

    /// The encoded key of a document.
    ///
    /// # Errors
    /// As [`ShardKey::encode_document`].
    pub fn key_of(&self, document: &RawDocument) -> Result<Vec<u8>, Error> {
        let mut out = Vec::with_capacity(16 * self.fields.len());
        self.encode_document(document, &mut out)?;
        Ok(out)
    }

    /// The key of a document as a bound: with all fields, hashed ones as hashes.
    ///
    /// # Errors
    /// As [`ShardKey::encode_document`].
    pub fn bound_of(&self, document: &RawDocument) -> Result<Bound, Error> {
        let mut fields = Document::new();
        for field in self.fields.iter() {
            let value = self.value(document, field)?.unwrap_or(RawBsonRef::Null);
            let value = if field.hashed {
                Bson::Int64(hash::shard_key_hash(value))
            } else {
                Bson::try_from(value).map_err(|error| element::fault(&error))?
            };
            fields.insert(field.path.as_ref(), value);
        }
        self.bound(fields)
    }

    /// The values of the key's fields, not hashed, as `keyValue` shows them; `None` for those that are missing.
    ///
    /// # Errors
    /// As [`ShardKey::encode_document`].
    pub fn values_of<'a>(&self, document: &'a RawDocument) -> Result<Vec<Option<RawBsonRef<'a>>>, Error> {
        self.fields.iter().map(|field| self.value(document, field)).collect()
    }

    fn value<'a>(&self, document: &'a RawDocument, field: &Field) -> Result<Option<RawBsonRef<'a>>, Error> {
        let array = || Error::ArrayInKey { field: field.path.to_string(), pattern: self.pattern.to_string() };
        let mut document = document;
        let mut path = field.path.as_ref();
        while let Some((name, rest)) = path.split_once('.') {
            match element::find(document, name)? {
                Some(RawBsonRef::Document(inner)) => document = inner,
                Some(RawBsonRef::Array(_)) => return Err(array()),
                _ => return Ok(None),
            }
            path = rest;
        }
        match element::find(document, path)? {
            Some(RawBsonRef::Array(_)) => Err(array()),
            value => Ok(value),
        }
    }

    /// A bound from a document that has exactly the fields of the key, in their order; hashed ones as hashes.
    ///
    /// # Errors
    /// [`Error::BadBound`] if the fields differ.
    pub fn bound(&self, document: Document) -> Result<Bound, Error> {
        let same = document.len() == self.fields.len()
            && document.iter().zip(self.fields.iter()).all(|((name, value), field)| {
                *name == *field.path
                    && (!field.hashed || matches!(value, Bson::Int64(_) | Bson::MinKey | Bson::MaxKey))
            });
        if !same {
            return Err(self.bad_bound(&document));
        }
        let mut bytes = Vec::with_capacity(16 * self.fields.len());
        for (_, value) in &document {
            key::encode_bson(&mut bytes, value, false);
        }
        Ok(Bound { document, bytes: bytes.into() })
    }

    /// A bound from a document that has the first fields of the key: the others become MinKey, or MaxKey behind nothing
    /// but MaxKey, so that `{a: MaxKey}` is the end of the key space.
    ///
    /// # Errors
    /// [`Error::BadBound`] if the fields are not the first ones of the key.
    pub fn bound_from_prefix(&self, document: &Document) -> Result<Bound, Error> {
        if document.is_empty() || document.len() > self.fields.len() {
            return Err(self.bad_bound(document));
        }
        let at_end = document.iter().all(|(_, value)| *value == Bson::MaxKey);
        let mut full = document.clone();
        for field in self.fields.iter().skip(document.len()) {
            full.insert(field.path.as_ref(), if at_end { Bson::MaxKey } else { Bson::MinKey });
        }
        self.bound(full)
    }

    fn bad_bound(&self, bound: &Document) -> Error {
        Error::BadBound { bound: bound.to_string(), pattern: self.pattern.to_string() }
    }

    /// The start of the key space: MinKey in all fields.
    pub fn global_min(&self) -> Bound {
        self.same_everywhere(Bson::MinKey)
    }

    /// The end of the key space: MaxKey in all fields.
    pub fn global_max(&self) -> Bound {
        self.same_everywhere(Bson::MaxKey)
    }

    fn same_everywhere(&self, value: Bson) -> Bound {
        let mut bytes = Vec::with_capacity(self.fields.len());
        let mut document = Document::new();
        for field in self.fields.iter() {
            key::encode_bson(&mut bytes, &value, false);
            document.insert(field.path.as_ref(), value.clone());
        }
        Bound { document, bytes: bytes.into() }
    }

    /// Turns intervals over the values of a hashed field into intervals over hashes: a point stays a point, anything wider
    /// may be anywhere. Values that compare equal hash alike, but for the double 2^63: there both hashes are named.
    pub fn hashed_intervals(intervals: &[Interval]) -> Vec<Interval> {
        let mut points = Vec::with_capacity(intervals.len());
        for interval in intervals {
            let hash = if interval.is_point() { hash::shard_key_hash_bson(&interval.min) } else { None };
            let Some(hash) = hash else { return vec![Interval::all()] };
            points.push(Interval::point(Bson::Int64(hash)));
            if compare_bson(&interval.min, &Bson::Double(TWO_POW_63)).is_eq() {
                points.extend(
                    [i64::MIN, i64::MAX]
                        .map(|folded| hash::shard_key_hash(RawBsonRef::Int64(folded)))
                        .map(|hash| Interval::point(Bson::Int64(hash))),
                );
            }
        }
        value::interval::normalize(points)
    }
}

const TWO_POW_63: f64 = 9_223_372_036_854_775_808.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{key, raw};
    use bson::{bson, doc};
    use types::Code;

    #[test]
    fn patterns_are_checked() {
        for good in [
            doc! {"a": 1},
            doc! {"a": 1.0, "b.c": 1i64},
            doc! {"a": "hashed"},
            doc! {"a": 1, "b": "hashed", "c": 1},
        ] {
            assert!(ShardKey::from_document(&good).is_ok(), "{good}");
        }
        for bad in [
            doc! {},
            doc! {"a": -1},
            doc! {"a": 2},
            doc! {"a": "text"},
            doc! {"a": true},
            doc! {"a": "hashed", "b": "hashed"},
            doc! {"": 1},
            doc! {"a.": 1},
            doc! {".a": 1},
            doc! {"a..b": 1},
            doc! {"$a": 1},
            (0..33).map(|at| (format!("f{at}"), bson!(1))).collect(),
        ] {
            assert_eq!(ShardKey::from_document(&bad).unwrap_err().fault().code, Code::BadValue, "{bad}");
        }
        assert!(key(doc! {"a": 1}).is_prefix_of(&key(doc! {"a": 1, "b": 1})));
        assert!(!key(doc! {"a": 1}).is_prefix_of(&key(doc! {"a": "hashed", "b": 1})));
        assert!(!key(doc! {"a": 1}).is_prefix_of(&key(doc! {"b": 1, "a": 1})));
    }

    #[test]
    fn keys_of_documents() {
        let ranged = key(doc! {"a.b": 1, "c": 1});
        let check = |document: Document, wanted: Document| {
            let bound = ranged.bound_of(&raw(&document)).unwrap();
            assert_eq!(*bound.document(), wanted);
            assert_eq!(bound.bytes(), ranged.key_of(&raw(&document)).unwrap(), "{document}");
        };
        check(doc! {"a": {"b": 5}, "c": "x"}, doc! {"a.b": 5, "c": "x"});
        check(doc! {"a": 5}, doc! {"a.b": Bson::Null, "c": Bson::Null});
        check(doc! {}, doc! {"a.b": Bson::Null, "c": Bson::Null});
        check(doc! {"a.b": 5, "c": {"d": [1]}}, doc! {"a.b": Bson::Null, "c": {"d": [1]}});
        for bad in [doc! {"a": [{"b": 1}]}, doc! {"a": {"b": [1]}}, doc! {"a": {"b": 1}, "c": []}] {
            assert_eq!(ranged.key_of(&raw(&bad)).unwrap_err().fault().code, Code::ShardKeyNotFound, "{bad}");
        }
        let hashed = key(doc! {"a": "hashed"});
        let bound = hashed.bound_of(&raw(&doc! {"a": 1})).unwrap();
        assert_eq!(*bound.document(), doc! {"a": 5902408780260971510i64});
        // Null and missing are one key.
        assert_eq!(
            hashed.bound_of(&raw(&doc! {})).unwrap(),
            hashed.bound_of(&raw(&doc! {"a": Bson::Null})).unwrap()
        );
    }

    #[test]
    fn bounds_fit_the_key() {
        let key = key(doc! {"a": 1, "b": "hashed"});
        assert!(key.bound(doc! {"a": 1, "b": 5i64}).is_ok());
        for bad in [
            doc! {"a": 1},
            doc! {"b": 5i64, "a": 1},
            doc! {"a": 1, "b": "x"},
            doc! {"a": 1, "b": 5i64, "c": 1},
        ] {
            assert!(key.bound(bad.clone()).is_err(), "{bad}");
        }
        assert_eq!(
            *key.bound_from_prefix(&doc! {"a": 1}).unwrap().document(),
            doc! {"a": 1, "b": Bson::MinKey}
        );
        assert_eq!(key.bound_from_prefix(&doc! {"a": Bson::MaxKey}).unwrap(), key.global_max());
        assert!(
            key.bound_from_prefix(&doc! {}).is_err() && key.bound_from_prefix(&doc! {"b": 5i64}).is_err()
        );
        assert!(key.global_min() < key.global_max());
    }

    #[test]
    fn intervals_over_hashes() {
        let point = |value: Bson| Interval::point(value);
        let hashes = ShardKey::hashed_intervals(&[point(bson!(1)), point(bson!(1.0)), point(bson!(42))]);
        assert_eq!(hashes, [point(bson!(-944302157085130861i64)), point(bson!(5902408780260971510i64))]);
        let wide = Interval::new(bson!(1), true, bson!(2), true);
        assert_eq!(ShardKey::hashed_intervals(&[wide]), [Interval::all()]);
        assert_eq!(ShardKey::hashed_intervals(&[]), []);
        // The one number that hashes by its type.
        let decimal = Bson::Decimal128("9223372036854775808".parse().unwrap());
        let double = Bson::Double(TWO_POW_63);
        let both = ShardKey::hashed_intervals(&[point(decimal.clone())]);
        assert_eq!(both, ShardKey::hashed_intervals(&[point(double.clone())]));
        for value in [decimal, double] {
            let hash = Bson::Int64(hash::shard_key_hash_bson(&value).unwrap());
            assert!(both.contains(&point(hash)), "{value}");
        }
    }
}
