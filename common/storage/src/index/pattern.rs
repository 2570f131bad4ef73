//! A key pattern: the fields of an index and the order of each.

use super::wildcard::Wildcard;
use crate::Error;
use bson::{RawBsonRef, RawDocument};
use types::{Code, limits};
use value::Collator;

/// How one field of an index is ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    Ascending,
    Descending,
    Hashed,
}

/// One field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field {
    pub name: String,
    /// The name at its dots.
    pub path: Vec<String>,
    pub order: Order,
}

/// All fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    /// Of a wildcard index the one field as it is written.
    pub fields: Vec<Field>,
    pub wildcard: Option<Wildcard>,
    /// How strings are ordered in the keys; `None` is by bytes.
    pub collation: Option<Collator>,
}

/// Index kinds of MongoDB that are known and not there yet.
const PLUGINS: &[&str] =
    &["2d", "2dsphere", "2dsphere_bucket", "columnstore", "geoHaystack", "text", "wildcard"];

/// The last component of the field of a wildcard index.
const WILDCARD: &str = "$**";

fn cannot(message: impl Into<String>) -> Error {
    Error::IndexSpec { code: Code::CannotCreateIndex, message: message.into() }
}

impl Pattern {
    /// `projection` is the `wildcardProjection` of the specification.
    pub(crate) fn parse(key: &RawDocument, projection: Option<&RawDocument>) -> Result<Pattern, Error> {
        let mut fields: Vec<Field> = Vec::new();
        for element in key.iter() {
            let (name, value) = element.map_err(|error| cannot(error.to_string()))?;
            let name = name.as_str();
            fields.push(Field { order: order(name, value)?, path: path(name)?, name: name.to_owned() });
        }
        let wild = |field: &Field| field.path.last().is_some_and(|part| part == WILDCARD);
        let wildcard = match fields.as_slice() {
            [field] if wild(field) && field.order == Order::Hashed => {
                return Err(cannot("A wildcard index cannot be hashed"));
            }
            [field] if wild(field) => {
                let mut prefix = field.path.clone();
                prefix.pop();
                Some(Wildcard::new(prefix, field.order == Order::Descending, projection)?)
            }
            many if many.iter().any(wild) => {
                return Err(Error::NotImplemented("compound wildcard index".to_owned()));
            }
            _ => None,
        };
        match (projection, &wildcard, fields.as_slice()) {
            (None, _, _) => {}
            (Some(_), None, _) => {
                return Err(Error::IndexSpec {
                    code: Code::BadValue,
                    message: "The field 'wildcardProjection' is only allowed in an 'wildcard' index"
                        .to_owned(),
                });
            }
            (Some(_), Some(_), [field]) if field.path.len() == 1 => {}
            _ => {
                return Err(Error::IndexSpec {
                    code: Code::FailedToParse,
                    message: "The field 'wildcardProjection' is only allowed when 'key' is {\"$**\": ±1}"
                        .to_owned(),
                });
            }
        }
        if fields.is_empty() {
            return Err(cannot("Index keys cannot be an empty document"));
        }
        if fields.len() > limits::INDEX_FIELD_COUNT_MAX {
            return Err(Error::IndexSpec {
                code: Code::Location(13103),
                message: "too many compound keys".to_owned(),
            });
        }
        let hashed = fields.iter().filter(|field| field.order == Order::Hashed).count();
        if hashed > 1 {
            return Err(Error::IndexSpec {
                code: Code::Location(31303),
                message: format!(
                    "A maximum of one index field is allowed to be hashed but found {hashed} for 'key'"
                ),
            });
        }
        Ok(Pattern { fields, wildcard, collation: None })
    }

    /// The same pattern with strings under a collation.
    pub(crate) fn under(mut self, collation: Option<Collator>) -> Pattern {
        self.collation = collation;
        self
    }

    /// Whether this is `{_id: 1}`.
    pub(crate) fn is_id(&self) -> bool {
        matches!(self.fields.as_slice(), [field] if field.name == "_id" && field.order == Order::Ascending)
    }

    pub(crate) fn hashed(&self) -> bool {
        self.fields.iter().any(|field| field.order == Order::Hashed)
    }

    /// The name that an index gets when none is given: `a_1_b_-1`.
    pub(crate) fn default_name(key: &RawDocument) -> String {
        let parts = key.iter().flatten().map(|(name, value)| {
            let value = match value {
                RawBsonRef::String(text) => text.to_owned(),
                RawBsonRef::Int32(number) => number.to_string(),
                RawBsonRef::Int64(number) => number.to_string(),
                RawBsonRef::Double(number) => number.to_string(),
                _ => String::new(),
            };
            format!("{}_{value}", name.as_str())
        });
        parts.collect::<Vec<_>>().join("_")
    }
}

fn order(name: &str, value: RawBsonRef<'_>) -> Result<Order, Error> {
    let number = match value {
        RawBsonRef::Int32(number) => f64::from(number),
        RawBsonRef::Int64(number) => number as f64,
        RawBsonRef::Double(number) => number,
        RawBsonRef::String("hashed") => return Ok(Order::Hashed),
        RawBsonRef::String(plugin) if PLUGINS.contains(&plugin) => {
            return Err(Error::NotImplemented(format!("index type '{plugin}'")));
        }
        RawBsonRef::String(plugin) => return Err(cannot(format!("Unknown index plugin '{plugin}'"))),
        other => {
            return Err(cannot(format!(
                "Values in v:2 index key pattern cannot be of type {:?}. Only numbers > 0, numbers < 0, and strings are allowed. Field: {name}",
                other.element_type()
            )));
        }
    };
    if number == 0.0 || number.is_nan() {
        return Err(cannot("Values in the index key pattern cannot be 0."));
    }
    Ok(if number > 0.0 { Order::Ascending } else { Order::Descending })
}

fn path(name: &str) -> Result<Vec<String>, Error> {
    if name.is_empty() {
        return Err(cannot("Index keys cannot be an empty field."));
    }
    let mut path: Vec<String> = name.split('.').map(str::to_owned).collect();
    let wild = path.last().is_some_and(|part| part == WILDCARD);
    if wild {
        path.pop();
    }
    if path.iter().any(String::is_empty) {
        return Err(cannot("Index keys cannot contain an empty field."));
    }
    if path.iter().any(|part| part.starts_with('$') && !matches!(part.as_str(), "$id" | "$ref" | "$db")) {
        return Err(cannot("Index key contains an illegal field name: field name starts with '$'."));
    }
    if wild {
        path.push(WILDCARD.to_owned());
    }
    Ok(path)
}
