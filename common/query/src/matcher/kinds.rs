//! `$type`: a set of BSON types, by number, by alias, or `number` for all of its kinds.

use crate::raw::{Field, fields};
use bson::RawBsonRef;
use bson::spec::ElementType;
use types::{Code, Fault};

/// Aliases and their types.
const ALIASES: &[(&str, ElementType)] = &[
    ("array", ElementType::Array),
    ("binData", ElementType::Binary),
    ("bool", ElementType::Boolean),
    ("date", ElementType::DateTime),
    ("dbPointer", ElementType::DbPointer),
    ("decimal", ElementType::Decimal128),
    ("double", ElementType::Double),
    ("int", ElementType::Int32),
    ("javascript", ElementType::JavaScriptCode),
    ("javascriptWithScope", ElementType::JavaScriptCodeWithScope),
    ("long", ElementType::Int64),
    ("maxKey", ElementType::MaxKey),
    ("minKey", ElementType::MinKey),
    ("null", ElementType::Null),
    ("object", ElementType::EmbeddedDocument),
    ("objectId", ElementType::ObjectId),
    ("regex", ElementType::RegularExpression),
    ("string", ElementType::String),
    ("symbol", ElementType::Symbol),
    ("timestamp", ElementType::Timestamp),
    ("undefined", ElementType::Undefined),
];

/// A set of types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Kinds(u32);

impl Kinds {
    /// Reads the operand of `$type`: a number, an alias, or an array of them.
    pub(super) fn parse(operand: &Field<'_>) -> Result<Kinds, Fault> {
        let mut kinds = Kinds::default();
        let Some(array) = operand.array()? else {
            kinds.add(operand.value()?)?;
            return Ok(kinds);
        };
        for element in fields(array) {
            kinds.add(element?.value()?)?;
        }
        if kinds == Kinds::default() {
            return Err(Fault::new(Code::FailedToParse, "$type must match at least one type"));
        }
        Ok(kinds)
    }

    /// Whether a type is in the set.
    pub fn contains(self, kind: ElementType) -> bool {
        self.0 & bit(kind) != 0
    }

    fn add(&mut self, value: RawBsonRef<'_>) -> Result<(), Fault> {
        let number = match value {
            RawBsonRef::String("number") => {
                for kind in
                    [ElementType::Double, ElementType::Int32, ElementType::Int64, ElementType::Decimal128]
                {
                    self.0 |= bit(kind);
                }
                return Ok(());
            }
            RawBsonRef::String(alias) => {
                let known = ALIASES.iter().find(|(name, _)| *name == alias);
                let Some((_, kind)) = known else {
                    return Err(Fault::bad_value(format!("Unknown type name alias: {alias}")));
                };
                self.0 |= bit(*kind);
                return Ok(());
            }
            other => value::number::Number::from_raw(other).ok_or_else(|| {
                Fault::new(Code::TypeMismatch, "type must be represented as a number or a string")
            })?,
        };
        let kind = number.to_i64_exact().and_then(|number| match number {
            -1 => Some(ElementType::MinKey),
            127 => Some(ElementType::MaxKey),
            1..=19 => ElementType::from(number as u8),
            _ => None,
        });
        match kind {
            Some(kind) => {
                self.0 |= bit(kind);
                Ok(())
            }
            None => Err(Fault::bad_value(format!("Invalid numerical type code: {}", number.to_f64()))),
        }
    }
}

fn bit(kind: ElementType) -> u32 {
    match kind {
        ElementType::MinKey => 1 << 30,
        ElementType::MaxKey => 1 << 31,
        other => 1 << (other as u32),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_are_sorted() {
        assert!(ALIASES.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}
