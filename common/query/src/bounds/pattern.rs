//! The pattern of a key, such as `{a: 1, b: -1, c: "hashed"}`: of an index, or of a shard key.

use crate::context::invalid_bson;
use bson::{RawBsonRef, RawDocument};
use types::limits::INDEX_FIELD_COUNT_MAX;
use types::{Code, Fault};
use value::Collator;
use value::number::Number;

/// How a field of a key is ordered.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Direction {
    Ascending,
    Descending,
    /// By the hash of its value.
    Hashed,
    /// A kind of index that has no order of values, by its name: `text`, `2d`, `2dsphere`.
    Special(String),
}

impl Direction {
    /// Whether greater values come first.
    pub fn is_descending(&self) -> bool {
        matches!(self, Direction::Descending)
    }
}

/// Dotted paths with their directions, in order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KeyPattern {
    pub fields: Vec<(String, Direction)>,
    /// How strings are ordered in the key; `None` is by bytes.
    pub collation: Option<Collator>,
}

impl KeyPattern {
    /// Parses `{a: 1, b: -1}`.
    ///
    /// # Errors
    /// CannotCreateIndex, as MongoDB refuses such an index.
    pub fn parse(pattern: &RawDocument) -> Result<KeyPattern, Fault> {
        let refuse = |message: String| Err(Fault::new(Code::CannotCreateIndex, message));
        let mut fields: Vec<(String, Direction)> = Vec::new();
        for item in pattern.iter() {
            let (name, value) = item.map_err(invalid_bson)?;
            let name = name.as_str();
            if name.is_empty() || name.split('.').any(str::is_empty) {
                return refuse(format!("Index keys cannot be an empty field: {pattern:?}"));
            }
            if name
                .split('.')
                .any(|part| part.starts_with('$') && !matches!(part, "$id" | "$ref" | "$db" | "$**"))
            {
                return refuse(format!(
                    "Index key contains an illegal field name: field name starts with '$': {name}"
                ));
            }
            if fields.iter().any(|(other, _)| other == name) {
                return refuse(format!("Index key contains duplicate field names: {name}"));
            }
            let direction = match value {
                RawBsonRef::String("hashed") => Direction::Hashed,
                RawBsonRef::String(special @ ("text" | "2d" | "2dsphere")) => {
                    Direction::Special(special.to_owned())
                }
                RawBsonRef::String(unknown) => return refuse(format!("Unknown index plugin '{unknown}'")),
                other => match Number::from_raw(other) {
                    Some(number) if number.is_zero() || number.is_nan() => {
                        return refuse("Values in the index key pattern cannot be 0.".to_owned());
                    }
                    Some(number) if number.is_negative() => Direction::Descending,
                    Some(_) => Direction::Ascending,
                    None => {
                        return refuse(format!(
                            "Values in v:2 index key pattern cannot be of type {:?}. Only numbers > 0, numbers < 0, and \
                             strings are allowed.",
                            other.element_type()
                        ));
                    }
                },
            };
            fields.push((name.to_owned(), direction));
        }
        if fields.is_empty() {
            return refuse("Index keys cannot be an empty object".to_owned());
        }
        if fields.len() > INDEX_FIELD_COUNT_MAX {
            return Err(Fault::new(Code::Location(13103), "too many compound keys"));
        }
        Ok(KeyPattern { fields, collation: None })
    }

    /// The same pattern with strings under a collation.
    #[must_use]
    pub fn under(mut self, collation: Option<Collator>) -> KeyPattern {
        self.collation = collation;
        self
    }

    /// The paths in order.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|(path, _)| path.as_str())
    }

    /// Whether a field is hashed.
    pub fn is_hashed(&self) -> bool {
        self.fields.iter().any(|(_, direction)| *direction == Direction::Hashed)
    }
}
