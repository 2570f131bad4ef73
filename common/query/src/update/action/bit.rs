//! `$bit`: and, or, xor of integers.

use super::{Action, Surroundings, kind_name, show_id};
use crate::context::ParseContext;
use crate::raw::{Field, fields};
use bson::RawBsonRef;
use types::Fault;

/// The operations, in the order given.
#[derive(Debug)]
pub(in crate::update) struct Bits(Vec<(Operation, Integer)>);

#[derive(Debug, Clone, Copy)]
enum Operation {
    And,
    Or,
    Xor,
}

/// An integer of its own width; two widths meet as 64 bits.
#[derive(Debug, Clone, Copy)]
enum Integer {
    Int32(i32),
    Int64(i64),
}

impl Bits {
    pub(super) fn parse(field: &Field<'_>, _: &ParseContext) -> Result<Action, Fault> {
        let Some(doc) = field.document()? else {
            return Err(Fault::bad_value(format!(
                "The $bit modifier is not compatible with a {}. You must pass in an embedded document: {{$bit: {{field: \
                 {{and/or/xor: #}}}}",
                kind_name(field.kind())
            )));
        };
        let mut operations = Vec::new();
        for operation in fields(doc) {
            let operation = operation?;
            let kind = match operation.name() {
                "and" => Operation::And,
                "or" => Operation::Or,
                "xor" => Operation::Xor,
                other => {
                    return Err(Fault::bad_value(format!(
                        "The $bit modifier only supports 'and', 'or', and 'xor', not '{other}' which is an unknown operator: \
                         {{{other}: {}}}",
                        super::show(&operation)
                    )));
                }
            };
            let Some(operand) = Integer::of(operation.value()?) else {
                return Err(Fault::bad_value(format!(
                    "The $bit modifier field must be an Integer(32/64 bit); a '{}' is not supported here: {{{}: {}}}",
                    kind_name(operation.kind()),
                    operation.name(),
                    super::show(&operation)
                )));
            };
            operations.push((kind, operand));
        }
        if operations.is_empty() {
            return Err(Fault::bad_value(
                "You must pass in at least one bitwise operation. The format is: {$bit: {field: {and/or/xor: #}}",
            ));
        }
        Ok(Action::Bit(Bits(operations)))
    }

    pub(super) fn apply(
        &self,
        around: &Surroundings<'_>,
        path: &str,
        existing: Option<&Field<'_>>,
    ) -> Result<RawBsonRef<'static>, Fault> {
        let mut number = match existing {
            None => Integer::Int32(0),
            Some(field) => Integer::of(field.value()?).ok_or_else(|| {
                Fault::bad_value(format!(
                    "Cannot apply $bit to a value of non-integral type. {} has the field {path} of non-integer type {}",
                    show_id(around.root),
                    kind_name(field.kind())
                ))
            })?,
        };
        for (operation, operand) in &self.0 {
            number = operation.apply(number, *operand);
        }
        Ok(match number {
            Integer::Int32(number) => RawBsonRef::Int32(number),
            Integer::Int64(number) => RawBsonRef::Int64(number),
        })
    }
}

impl Integer {
    fn of(value: RawBsonRef<'_>) -> Option<Integer> {
        match value {
            RawBsonRef::Int32(number) => Some(Integer::Int32(number)),
            RawBsonRef::Int64(number) => Some(Integer::Int64(number)),
            _ => None,
        }
    }

    fn wide(self) -> i64 {
        match self {
            Integer::Int32(number) => i64::from(number),
            Integer::Int64(number) => number,
        }
    }
}

impl Operation {
    fn apply(self, left: Integer, right: Integer) -> Integer {
        match (left, right) {
            (Integer::Int32(left), Integer::Int32(right)) => Integer::Int32(match self {
                Operation::And => left & right,
                Operation::Or => left | right,
                Operation::Xor => left ^ right,
            }),
            _ => Integer::Int64(match self {
                Operation::And => left.wide() & right.wide(),
                Operation::Or => left.wide() | right.wide(),
                Operation::Xor => left.wide() ^ right.wide(),
            }),
        }
    }
}
