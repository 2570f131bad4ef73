//! Comparison by BSON order, across all types.

use super::Value;
use super::operator::{Arity, Operator, Shape};
use super::ordering::compare;
use bson::Bson;
use std::cmp::Ordering;
use types::Fault;
use value::Collator;

const TWO: Arity = Arity::Exactly(2);

pub(super) const OPERATORS: &[Operator] = &[
    Operator {
        name: "$cmp",
        shape: Shape::Comparing(TWO, |values, by| order(values, by, |order| Bson::Int32(order as i32))),
    },
    Operator { name: "$eq", shape: Shape::Comparing(TWO, |values, by| test(values, by, Ordering::is_eq)) },
    Operator { name: "$gt", shape: Shape::Comparing(TWO, |values, by| test(values, by, Ordering::is_gt)) },
    Operator { name: "$gte", shape: Shape::Comparing(TWO, |values, by| test(values, by, Ordering::is_ge)) },
    Operator { name: "$lt", shape: Shape::Comparing(TWO, |values, by| test(values, by, Ordering::is_lt)) },
    Operator { name: "$lte", shape: Shape::Comparing(TWO, |values, by| test(values, by, Ordering::is_le)) },
    Operator { name: "$ne", shape: Shape::Comparing(TWO, |values, by| test(values, by, Ordering::is_ne)) },
];

fn order(values: &[Value], collation: Option<&Collator>, of: fn(Ordering) -> Bson) -> Result<Value, Fault> {
    let [left, right] = values else { return Ok(None) };
    Ok(Some(of(compare(left, right, collation))))
}

fn test(values: &[Value], collation: Option<&Collator>, holds: fn(Ordering) -> bool) -> Result<Value, Fault> {
    let [left, right] = values else { return Ok(None) };
    Ok(Some(Bson::Boolean(holds(compare(left, right, collation)))))
}
