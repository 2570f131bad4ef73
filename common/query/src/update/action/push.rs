//! `$push`, with `$each`, `$position`, `$sort` and `$slice`: first insert, then sort, then cut.

use super::array::{integer, write};
use super::{Action, Surroundings, kind_name, show_id};
use crate::context::ParseContext;
use crate::raw::{Field, Writer, fields};
use crate::sort::Sort;
use crate::update::operand::{Operand, same};
use bson::{RawBsonRef, RawDocumentBuf};
use types::Fault;
use value::Collator;
use value::number::Number;
use value::order;

/// What is pushed, and how.
#[derive(Debug)]
pub(in crate::update) struct Push {
    values: Vec<Operand>,
    /// Counted from the end where it is negative.
    position: Option<i64>,
    sort: Option<Order>,
    /// So many from the front, or from the end where it is negative.
    slice: Option<i64>,
}

#[derive(Debug)]
enum Order {
    Whole { descending: bool, collation: Option<Collator> },
    By(Sort),
}

impl Push {
    pub(super) fn parse(field: &Field<'_>, ctx: &ParseContext) -> Result<Action, Fault> {
        let mut push = Push { values: Vec::new(), position: None, sort: None, slice: None };
        let clauses = match field.document()? {
            Some(doc) if crate::raw::find(doc, "$each")?.is_some() => doc,
            _ => {
                push.values.push(Operand::of(field)?);
                return Ok(Action::Push(push));
            }
        };
        for clause in fields(clauses) {
            let clause = clause?;
            match clause.name() {
                "$each" => {
                    let Some(list) = clause.array()? else {
                        return Err(Fault::bad_value(format!(
                            "The argument to $each in $push must be an array but it was of type: {}",
                            kind_name(clause.kind())
                        )));
                    };
                    push.values =
                        fields(list).map(|value| Operand::of(&value?)).collect::<Result<Vec<_>, Fault>>()?;
                }
                "$slice" => {
                    let message = "The value for $slice must be an integer value but was given type";
                    push.slice = Some(integer(&clause, message)?);
                }
                "$position" => {
                    let message = "The value for $position must be an integer value, not of type";
                    push.position = Some(integer(&clause, message)?);
                }
                "$sort" => push.sort = Some(Order::parse(&clause, ctx)?),
                other => return Err(Fault::bad_value(format!("Unrecognized clause in $push: {other}"))),
            }
        }
        Ok(Action::Push(push))
    }

    pub(super) fn apply(
        &self,
        around: &Surroundings<'_>,
        path: &str,
        name: &str,
        existing: Option<&Field<'_>>,
        writer: &mut Writer,
    ) -> Result<bool, Fault> {
        let mut elements = Vec::new();
        if let Some(field) = existing {
            let Some(array) = field.array()? else {
                return Err(Fault::bad_value(format!(
                    "The field '{path}' must be an array but is of type {} in document {}",
                    kind_name(field.kind()),
                    show_id(around.root)
                )));
            };
            elements = fields(array).collect::<Result<Vec<_>, Fault>>()?;
        }
        if let (Some(_), [value], None, None, None) =
            (existing, self.values.as_slice(), self.position, &self.sort, self.slice)
        {
            elements.push(value.field()?);
            write(name, &elements, writer);
            return Ok(true);
        }
        let before = elements.clone();
        let at = place(self.position, elements.len());
        let pushed = self.values.iter().map(Operand::field).collect::<Result<Vec<_>, Fault>>()?;
        elements.splice(at..at, pushed);
        if let Some(order) = &self.sort {
            elements = order.sorted(elements)?;
        }
        if let Some(slice) = self.slice {
            let kept = usize::try_from(slice.unsigned_abs()).unwrap_or(usize::MAX);
            if slice >= 0 {
                elements.truncate(kept);
            } else {
                elements.drain(..elements.len().saturating_sub(kept));
            }
        }
        write(name, &elements, writer);
        let unchanged = existing.is_some()
            && before.len() == elements.len()
            && before.iter().zip(&elements).all(|(old, new)| same(old, new));
        Ok(!unchanged)
    }
}

/// Where the new elements go in an array of `length`.
fn place(position: Option<i64>, length: usize) -> usize {
    match position {
        None => length,
        Some(position) => {
            let distance = usize::try_from(position.unsigned_abs()).unwrap_or(usize::MAX);
            if position >= 0 { distance.min(length) } else { length.saturating_sub(distance) }
        }
    }
}

impl Order {
    fn parse(clause: &Field<'_>, ctx: &ParseContext) -> Result<Order, Fault> {
        if let Some(pattern) = clause.document()? {
            if fields(pattern).next().is_none() {
                return Err(Fault::bad_value(
                    "The $sort pattern is empty when it should be a set of fields.",
                ));
            }
            for field in fields(pattern) {
                let field = field?;
                direction(field.value()?)?;
                if field.name().is_empty() || field.name().split('.').any(str::is_empty) {
                    return Err(Fault::bad_value("The $sort field is a dotted field but has an empty part"));
                }
            }
            return Ok(Order::By(Sort::parse(pattern)?.under(ctx.collation.clone())));
        }
        match clause.value()? {
            value @ (RawBsonRef::Int32(_)
            | RawBsonRef::Int64(_)
            | RawBsonRef::Double(_)
            | RawBsonRef::Decimal128(_)) => {
                Ok(Order::Whole { descending: direction(value)?, collation: ctx.collation.clone() })
            }
            _ => Err(Fault::bad_value(
                "The $sort is invalid: use 1/-1 to sort the whole element, or {field:1/-1} to sort embedded fields",
            )),
        }
    }

    fn sorted<'a>(&self, elements: Vec<Field<'a>>) -> Result<Vec<Field<'a>>, Fault> {
        match self {
            Order::Whole { descending, collation } => {
                let mut valued = elements
                    .into_iter()
                    .map(|field| Ok((field.value()?, field)))
                    .collect::<Result<Vec<_>, Fault>>()?;
                valued.sort_by(|(left, _), (right, _)| {
                    let ordering = order::compare_under(*left, *right, collation.as_ref());
                    if *descending { ordering.reverse() } else { ordering }
                });
                Ok(valued.into_iter().map(|(_, field)| field).collect())
            }
            Order::By(sort) => {
                let nothing = RawDocumentBuf::new();
                let mut keyed = elements
                    .into_iter()
                    .map(|field| {
                        let key = match field.document()? {
                            Some(doc) => sort.key(doc)?,
                            None => sort.key(&nothing)?,
                        };
                        Ok((key, field))
                    })
                    .collect::<Result<Vec<_>, Fault>>()?;
                keyed.sort_by(|(left, _), (right, _)| left.cmp(right));
                Ok(keyed.into_iter().map(|(_, field)| field).collect())
            }
        }
    }
}

/// Whether descending.
fn direction(value: RawBsonRef<'_>) -> Result<bool, Fault> {
    match Number::from_raw(value).and_then(Number::to_i64_exact) {
        Some(1) => Ok(false),
        Some(-1) => Ok(true),
        _ => Err(Fault::bad_value("The $sort element value must be either 1 or -1")),
    }
}
