//! One field of a command, and what it may be asked to be.

use super::type_name;
use crate::options::{Hint, Modification};
use bson::{RawBson, RawBsonRef};
use types::{Code, Fault, Uuid, limits};
use value::{Collation, SharedDoc};

/// Why reading a field ended early.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The value is null or undefined: the field counts as not given.
    Absent,
    Fault(Fault),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Stop {
        Stop::Fault(fault)
    }
}

const NUMBERS: &[&str] = &["long", "int", "decimal", "double"];
const FLAGS: &[&str] = &["bool", "long", "int", "decimal", "double"];

/// A field of a command or of a document within one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field<'a> {
    /// The dotted name of what holds the field, such as `find` or `update.updates`.
    pub(crate) parent: &'a str,
    pub(crate) name: &'a str,
    pub(crate) value: RawBsonRef<'a>,
    /// The document whose bytes `value` borrows from.
    pub(crate) owner: &'a SharedDoc,
}

impl<'a> Field<'a> {
    /// A document, sharing the request's bytes.
    pub(crate) fn document(&self) -> Result<SharedDoc, Stop> {
        match self.value {
            RawBsonRef::Document(doc) => Ok(self.owner.share(doc)),
            _ => Err(self.wrong_type(&["object"])),
        }
    }

    /// A document; an empty one counts as not given.
    pub(crate) fn filled_document(&self) -> Result<SharedDoc, Stop> {
        let doc = self.document()?;
        if doc.as_bytes().len() <= 5 { Err(Stop::Absent) } else { Ok(doc) }
    }

    /// An array of documents, each sharing the request's bytes.
    pub(crate) fn documents(&self) -> Result<Vec<SharedDoc>, Stop> {
        let RawBsonRef::Array(array) = self.value else { return Err(self.wrong_type(&["array"])) };
        let mut documents = Vec::new();
        for (index, element) in array.into_iter().enumerate() {
            if index > limits::WRITE_BATCH_COUNT_MAX {
                // No list of a command is longer; five bytes of input would cost many times that here.
                return Err(batch_size(array.into_iter().count()).into());
            }
            match element.map_err(|error| Fault::new(Code::InvalidBSON, error.to_string()))? {
                RawBsonRef::Document(doc) => documents.push(self.owner.share(doc)),
                other => {
                    return Err(wrong_type(&format!("{}.{index}", self.path()), other, &["object"]).into());
                }
            }
        }
        Ok(documents)
    }

    /// A boolean; a number counts as true where it is not zero.
    pub(crate) fn flag(&self) -> Result<bool, Stop> {
        match self.value {
            RawBsonRef::Boolean(on) => Ok(on),
            value => number(value).map(|number| number != 0).ok_or_else(|| self.wrong_type(FLAGS)),
        }
    }

    /// A flag that this server knows only in its unset state.
    pub(crate) fn unset_flag(&self) -> Result<(), Stop> {
        if self.flag()? { Err(self.not_implemented().into()) } else { Ok(()) }
    }

    /// A document that this server knows only empty.
    pub(crate) fn unset_document(&self) -> Result<(), Stop> {
        self.filled_document()?;
        Err(self.not_implemented().into())
    }

    /// A collation; an empty document counts as not given.
    pub(crate) fn collation(&self) -> Result<Collation, Stop> {
        Ok(Collation::parse(&self.filled_document()?, "collation")?)
    }

    /// The collation of something that is made, which has to say one.
    pub(crate) fn filled_collation(&self, path: &str) -> Result<Collation, Stop> {
        let doc = self.document()?;
        if doc.is_empty() {
            return Err(Fault::bad_value(format!("The field '{path}' cannot be an empty object.")).into());
        }
        Ok(Collation::parse(&doc, path)?)
    }

    /// A string.
    pub(crate) fn string(&self) -> Result<&'a str, Stop> {
        match self.value {
            RawBsonRef::String(text) => Ok(text),
            _ => Err(self.wrong_type(&["string"])),
        }
    }

    /// An integer in any numeric type; fractions are cut off, as MongoDB does.
    pub(crate) fn integer(&self) -> Result<i64, Stop> {
        number(self.value).ok_or_else(|| self.wrong_type(NUMBERS))
    }

    /// An integer that fits 32 bits.
    pub(crate) fn int32(&self) -> Result<i32, Stop> {
        let number = self.integer()?;
        i32::try_from(number).map_err(|_| {
            Fault::bad_value(format!(
                "BSON field '{}' value {number} is out of range for a 32-bit integer",
                self.path()
            ))
            .into()
        })
    }

    /// An integer that is not negative.
    pub(crate) fn count(&self) -> Result<u64, Stop> {
        let number = self.integer()?;
        u64::try_from(number).map_err(|_| self.too_small(0, number).into())
    }

    /// An integer of at least 1, such as the scale of statistics.
    pub(crate) fn positive(&self) -> Result<i64, Stop> {
        let number = self.integer()?;
        if number < 1 { Err(self.too_small(1, number).into()) } else { Ok(number) }
    }

    fn too_small(&self, least: i64, actual: i64) -> Fault {
        Fault::new(
            Code::Location(51024),
            format!("BSON field '{}' value must be >= {least}, actual value '{actual}'", self.name),
        )
    }

    /// An index by name or pattern; an empty pattern counts as not given.
    pub(crate) fn hint(&self) -> Result<Hint, Stop> {
        match self.value {
            RawBsonRef::String(name) => Ok(Hint::Name(name.to_owned())),
            RawBsonRef::Document(_) => {
                let pattern = self.filled_document()?;
                natural(&pattern)?.map_or(Ok(Hint::Pattern(pattern)), Ok)
            }
            RawBsonRef::Null | RawBsonRef::Undefined => Err(Stop::Absent),
            _ => Err(Fault::new(Code::FailedToParse, "Hint must be a string or an object").into()),
        }
    }

    /// The `u` of an update: a document or a pipeline.
    pub(crate) fn modification(&self) -> Result<Modification, Stop> {
        match self.value {
            RawBsonRef::Document(doc) => Ok(Modification::Document(self.owner.share(doc))),
            RawBsonRef::Array(_) => self.documents().map(Modification::Pipeline),
            _ => Err(Fault::new(Code::FailedToParse, "Update argument must be either an object or an array")
                .into()),
        }
    }

    /// `{batchSize: n}`: the `cursor` option.
    pub(crate) fn cursor_batch_size(&self) -> Result<Option<u64>, Stop> {
        let RawBsonRef::Document(cursor) = self.value else { return Err(self.wrong_type(&["object"])) };
        let mut batch_size = None;
        each(cursor, self.owner, "cursor", |field| {
            match field.name {
                "batchSize" => batch_size = Some(field.count()?),
                _ => return field.unknown(),
            }
            Ok(())
        })?;
        Ok(batch_size)
    }

    /// A UUID.
    pub(crate) fn uuid(&self) -> Result<Uuid, Stop> {
        Uuid::from_bson(self.value).ok_or_else(|| self.wrong_type(&["binData"]))
    }

    /// The value itself, of any type.
    pub(crate) fn any(&self) -> RawBson {
        self.value.into()
    }

    /// The dotted name.
    pub(crate) fn path(&self) -> String {
        format!("{}.{}", self.parent, self.name)
    }

    /// Error 14, or `Absent` for null.
    pub(crate) fn wrong_type(&self, expected: &[&str]) -> Stop {
        match self.value {
            RawBsonRef::Null | RawBsonRef::Undefined => Stop::Absent,
            value => wrong_type(&self.path(), value, expected).into(),
        }
    }

    /// Error 40415.
    pub(crate) fn unknown(&self) -> Result<(), Stop> {
        Err(unknown(&self.path()).into())
    }

    /// Error 238 that names the field.
    pub(crate) fn not_implemented(&self) -> Fault {
        Fault::not_implemented(format!("'{}'", self.path()))
    }

    /// A field that MongoDB has and this server has not; null is fine.
    pub(crate) fn unsupported(&self) -> Result<(), Stop> {
        match self.value {
            RawBsonRef::Null | RawBsonRef::Undefined => Ok(()),
            _ => Err(self.not_implemented().into()),
        }
    }
}

/// Visits the fields of `doc`, which lies in the bytes of `owner`; refuses a name that comes twice.
pub(crate) fn each<'a>(
    doc: &'a bson::RawDocument,
    owner: &'a SharedDoc,
    parent: &'a str,
    mut visit: impl FnMut(Field<'a>) -> Result<(), Stop>,
) -> Result<(), Fault> {
    let mut seen: Vec<&str> = Vec::with_capacity(8);
    for element in doc.iter() {
        let (name, value) = element.map_err(|error| Fault::new(Code::InvalidBSON, error.to_string()))?;
        let field = Field { parent, name: name.as_str(), value, owner };
        if seen.contains(&field.name) {
            return Err(duplicate(&field.path()));
        }
        match visit(field) {
            Ok(()) | Err(Stop::Absent) => seen.push(field.name),
            Err(Stop::Fault(fault)) => return Err(fault),
        }
    }
    Ok(())
}

fn natural(pattern: &SharedDoc) -> Result<Option<Hint>, Fault> {
    match pattern.get("$natural").map_err(|error| Fault::new(Code::InvalidBSON, error.to_string()))? {
        None => Ok(None),
        Some(value) => {
            let direction = number(value).filter(|direction| direction.abs() == 1);
            match (direction, pattern.iter().count()) {
                (Some(direction), 1) => Ok(Some(Hint::Natural { backward: direction < 0 })),
                (None, 1) => Err(Fault::bad_value("$natural hint must be specified as 1 or -1")),
                _ => Err(Fault::bad_value("Cannot include '$natural' in compound hint")),
            }
        }
    }
}

/// A number as an integer: fractions cut off, out of range clamped, NaN zero.
fn number(value: RawBsonRef<'_>) -> Option<i64> {
    match value {
        RawBsonRef::Int32(number) => Some(i64::from(number)),
        RawBsonRef::Int64(number) => Some(number),
        RawBsonRef::Double(number) => Some(number as i64),
        RawBsonRef::Decimal128(number) => number.to_string().parse::<f64>().ok().map(|number| number as i64),
        _ => None,
    }
}

pub(crate) fn unknown(path: &str) -> Fault {
    Fault::new(Code::Location(40415), format!("BSON field '{path}' is an unknown field."))
}

pub(crate) fn missing(path: &str) -> Fault {
    Fault::new(Code::Location(40414), format!("BSON field '{path}' is missing but a required field"))
}

pub(crate) fn duplicate(path: &str) -> Fault {
    Fault::new(Code::Location(40413), format!("BSON field '{path}' is a duplicate field"))
}

pub(crate) fn wrong_type(path: &str, value: RawBsonRef<'_>, expected: &[&str]) -> Fault {
    let expected = match expected {
        [one] => format!("type '{one}'"),
        many => format!("types '[{}]'", many.join(", ")),
    };
    Fault::new(
        Code::TypeMismatch,
        format!("BSON field '{path}' is the wrong type '{}', expected {expected}", type_name(value)),
    )
}

/// Error 16 for a list of statements that is empty or too long.
pub(crate) fn batch_size(count: usize) -> Fault {
    Fault::new(
        Code::InvalidLength,
        format!(
            "Write batch sizes must be between 1 and {}. Got {count} operations.",
            limits::WRITE_BATCH_COUNT_MAX
        ),
    )
}
