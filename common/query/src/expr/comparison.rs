//! Comparison by BSON order, across all types.

use super::Value;
use super::operator::{Arity, Operator, Shape};
use super::ordering::compare;
use bson::Bson;
use std::cmp::Ordering;
use types::Fault;

const TWO: Arity = Arity::Exactly(2);

pub(super) const OPERATORS: &[Operator] = &[
    Operator {
        name: "$cmp",
        shape: Shape::Plain(TWO, |values| order(values, |order| Bson::Int32(order as i32))),
    },
    Operator { name: "$eq", shape: Shape::Plain(TWO, |values| test(values, Ordering::is_eq)) },
    Operator { name: "$gt", shape: Shape::Plain(TWO, |values| test(values, Ordering::is_gt)) },
    Operator { name: "$gte", shape: Shape::Plain(TWO, |values| test(values, Ordering::is_ge)) },
    Operator { name: "$lt", shape: Shape::Plain(TWO, |values| test(values, Ordering::is_lt)) },
    Operator { name: "$lte", shape: Shape::Plain(TWO, |values| test(values, Ordering::is_le)) },
    Operator { name: "$ne", shape: Shape::Plain(TWO, |values| test(values, Ordering::is_ne)) },
];

fn order(values: &[Value], of: fn(Ordering) -> Bson) -> Result<Value, Fault> {
    let [left, right] = values else { return Ok(None) };
    Ok(Some(of(compare(left, right))))
}

fn test(values: &[Value], holds: fn(Ordering) -> bool) -> Result<Value, Fault> {
    let [left, right] = values else { return Ok(None) };
    Ok(Some(Bson::Boolean(holds(compare(left, right)))))
}
