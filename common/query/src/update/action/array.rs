//! `$addToSet` and `$pop`, and how arrays are written.

use super::{Action, keep, kind_name};
use crate::context::ParseContext;
use crate::raw::{Field, Writer, fields};
use crate::update::operand::{Operand, index_name};
use bson::RawBsonRef;
use std::collections::HashSet;
use types::{Code, Fault};
use value::number::Number;
use value::{Collator, key};

/// Writes an array of these elements.
pub(super) fn write(name: &str, elements: &[Field<'_>], writer: &mut Writer) {
    let mut buffer = [0; 20];
    writer.begin_array(name);
    for (index, element) in elements.iter().enumerate() {
        let index = index_name(&mut buffer, index);
        if element.name() == index {
            writer.copy(element);
        } else {
            writer.copy_as(index, element);
        }
    }
    writer.end();
}

/// `$addToSet`: the values that the array does not have yet go to its end.
#[derive(Debug)]
pub(in crate::update) struct AddToSet {
    /// Without repetitions.
    values: Vec<Operand>,
    collation: Option<Collator>,
}

impl AddToSet {
    pub(super) fn parse(field: &Field<'_>, ctx: &ParseContext) -> Result<Action, Fault> {
        let collation = ctx.collation.clone();
        let mut values = Vec::new();
        match each(field)? {
            Some(list) => {
                let mut seen = HashSet::new();
                for value in fields(list) {
                    let value = value?;
                    if seen.insert(encoded(&value, collation.as_ref())?) {
                        values.push(Operand::of(&value)?);
                    }
                }
            }
            None => values.push(Operand::of(field)?),
        }
        Ok(Action::AddToSet(AddToSet { values, collation }))
    }

    pub(super) fn apply(
        &self,
        path: &str,
        name: &str,
        existing: Option<&Field<'_>>,
        writer: &mut Writer,
    ) -> Result<bool, Fault> {
        let mut elements = Vec::new();
        if let Some(field) = existing {
            let Some(array) = field.array()? else {
                return Err(Fault::bad_value(format!(
                    "Cannot apply $addToSet to non-array field. Field named '{path}' has non-array type {}",
                    kind_name(field.kind())
                )));
            };
            elements = fields(array).collect::<Result<Vec<_>, Fault>>()?;
        }
        let before = elements.len();
        let mut known = HashSet::with_capacity(before);
        for element in &elements {
            known.insert(encoded(element, self.collation.as_ref())?);
        }
        for value in &self.values {
            let value = value.field()?;
            if !known.contains(&encoded(&value, self.collation.as_ref())?) {
                elements.push(value);
            }
        }
        write(name, &elements, writer);
        Ok(existing.is_none() || elements.len() > before)
    }
}

/// The array of `{$each: […]}`; `None` for a plain value.
fn each<'a>(field: &Field<'a>) -> Result<Option<&'a bson::RawDocument>, Fault> {
    let Some(doc) = field.document()? else { return Ok(None) };
    let mut options = fields(doc);
    let Some(first) = options.next().transpose()?.filter(|first| first.name() == "$each") else {
        return Ok(None);
    };
    if let Some(other) = options.next() {
        return Err(Fault::bad_value(format!(
            "Found unexpected fields after $each in $addToSet: {}",
            other?.name()
        )));
    }
    first.array()?.map(Some).ok_or_else(|| {
        Fault::new(
            Code::TypeMismatch,
            format!(
                "The argument to $each in $addToSet must be an array but it was of type {}",
                kind_name(first.kind())
            ),
        )
    })
}

/// Bytes that are equal for equal values, numbers of different types included.
pub(super) fn encoded(field: &Field<'_>, collation: Option<&Collator>) -> Result<Vec<u8>, Fault> {
    let mut out = Vec::with_capacity(field.value_bytes().len() + 8);
    key::encode_under(&mut out, field.value()?, false, collation);
    Ok(out)
}

/// `$pop: 1` takes the last element, `$pop: -1` the first.
pub(super) fn parse_pop(field: &Field<'_>, _: &ParseContext) -> Result<Action, Fault> {
    let Some(number) = Number::from_raw(field.value()?) else {
        return Err(Fault::new(
            Code::FailedToParse,
            format!("Expected a number in: {}: {}", field.name(), super::show(field)),
        ));
    };
    match number.to_i64_exact() {
        Some(1) => Ok(Action::Pop { first: false }),
        Some(-1) => Ok(Action::Pop { first: true }),
        _ => Err(Fault::new(
            Code::FailedToParse,
            format!("$pop expects 1 or -1, found: {}", super::show(field)),
        )),
    }
}

pub(super) fn pop(
    first: bool,
    path: &str,
    name: &str,
    existing: Option<&Field<'_>>,
    writer: &mut Writer,
) -> Result<bool, Fault> {
    let Some(field) = existing else { return Ok(false) };
    let Some(array) = field.array()? else {
        return Err(Fault::new(
            Code::TypeMismatch,
            format!("Path '{path}' contains an element of non-array type '{}'", kind_name(field.kind())),
        ));
    };
    let elements = fields(array).collect::<Result<Vec<_>, Fault>>()?;
    let Some(last) = elements.len().checked_sub(1) else { return Ok(keep(name, existing, writer)) };
    write(name, if first { &elements[1..] } else { &elements[..last] }, writer);
    Ok(true)
}

/// The whole number of an operand such as `$slice`, or error 2 with `message` and the type.
pub(super) fn integer(field: &Field<'_>, message: &str) -> Result<i64, Fault> {
    let value = field.value()?;
    let whole = match value {
        RawBsonRef::Int32(_) | RawBsonRef::Int64(_) | RawBsonRef::Double(_) | RawBsonRef::Decimal128(_) => {
            Number::from_raw(value).and_then(Number::to_i64_exact)
        }
        _ => None,
    };
    whole.ok_or_else(|| Fault::bad_value(format!("{message}: {}", kind_name(field.kind()))))
}
