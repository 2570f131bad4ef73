//! `$inc` and `$mul`.

use super::{Action, Surroundings, kind_name, show, show_id};
use crate::context::ParseContext;
use crate::raw::Field;
use types::{Code, Fault};
use value::number::Number;

/// Which of both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::update) enum Arithmetic {
    Add,
    Multiply,
}

impl Arithmetic {
    pub(super) fn parse_inc(field: &Field<'_>, _: &ParseContext) -> Result<Action, Fault> {
        operand(field, "increment").map(|number| Action::Arithmetic(Arithmetic::Add, number))
    }

    pub(super) fn parse_mul(field: &Field<'_>, _: &ParseContext) -> Result<Action, Fault> {
        operand(field, "multiply").map(|number| Action::Arithmetic(Arithmetic::Multiply, number))
    }

    /// The new number. A missing one counts as zero, which leaves the operand, or zero of the operand's type.
    pub(super) fn apply(
        self,
        around: &Surroundings<'_>,
        path: &str,
        existing: Option<&Field<'_>>,
        operand: Number,
    ) -> Result<Number, Fault> {
        let Some(field) = existing else {
            return Ok(match self {
                Arithmetic::Add => operand,
                Arithmetic::Multiply => Number::Int32(0).mul(operand),
            });
        };
        let Some(old) = Number::from_raw(field.value()?) else {
            return Err(Fault::new(
                Code::TypeMismatch,
                format!(
                    "Cannot apply {} to a value of non-numeric type. {} has the field '{}' of non-numeric type {}",
                    self.name(),
                    show_id(around.root),
                    path,
                    kind_name(field.kind())
                ),
            ));
        };
        let new = match self {
            Arithmetic::Add => old.checked_add(operand),
            Arithmetic::Multiply => old.checked_mul(operand),
        };
        new.ok_or_else(|| {
            Fault::bad_value(format!(
                "Failed to apply {} operations to current value ({}) for document {}",
                self.name(),
                show(field),
                show_id(around.root)
            ))
        })
    }

    fn name(self) -> &'static str {
        match self {
            Arithmetic::Add => "$inc",
            Arithmetic::Multiply => "$mul",
        }
    }
}

fn operand(field: &Field<'_>, verb: &str) -> Result<Number, Fault> {
    Number::from_raw(field.value()?).ok_or_else(|| {
        Fault::new(
            Code::TypeMismatch,
            format!("Cannot {verb} with non-numeric argument: {{{}: {}}}", field.name(), show(field)),
        )
    })
}
