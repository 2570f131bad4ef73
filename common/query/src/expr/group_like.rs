//! The accumulators as expressions: over the elements of one array, or over the operands.

use super::Value;
use super::operator::{Arity, Operator, Shape, required};
use super::value::{Evaluated, from_raw, is_nullish, type_name};
use crate::pipeline::accumulator::{self, State};
use bson::Bson;
use types::{Code, Fault};
use value::Collator;

pub(super) const OPERATORS: &[Operator] = &[
    Operator { name: "$avg", shape: Shape::Plain(Arity::Any, |values| unary("$avg", values, None)) },
    Operator {
        name: "$firstN",
        shape: Shape::Named(INPUT_AND_N, |named| bounded("$firstN", named.get(0), named.get(1), None)),
    },
    Operator {
        name: "$lastN",
        shape: Shape::Named(INPUT_AND_N, |named| bounded("$lastN", named.get(0), named.get(1), None)),
    },
    Operator { name: "$max", shape: Shape::Comparing(Arity::Any, |values, by| unary("$max", values, by)) },
    Operator {
        name: "$maxN",
        shape: Shape::NamedComparing(INPUT_AND_N, |named, by| {
            bounded("$maxN", named.get(0), named.get(1), by)
        }),
    },
    Operator { name: "$min", shape: Shape::Comparing(Arity::Any, |values, by| unary("$min", values, by)) },
    Operator {
        name: "$minN",
        shape: Shape::NamedComparing(INPUT_AND_N, |named, by| {
            bounded("$minN", named.get(0), named.get(1), by)
        }),
    },
    Operator {
        name: "$stdDevPop",
        shape: Shape::Plain(Arity::Any, |values| unary("$stdDevPop", values, None)),
    },
    Operator {
        name: "$stdDevSamp",
        shape: Shape::Plain(Arity::Any, |values| unary("$stdDevSamp", values, None)),
    },
    Operator { name: "$sum", shape: Shape::Plain(Arity::Any, |values| unary("$sum", values, None)) },
];

const INPUT_AND_N: &[super::operator::Param] = &[required("input"), required("n")];

fn unary(name: &str, values: &[Value], collation: Option<&Collator>) -> Result<Value, Fault> {
    let state = accumulator::unary(name, collation)
        .ok_or_else(|| Fault::internal(format!("{name} has no accumulator")))?;
    match values {
        [Some(Bson::Array(elements))] => collect(state, elements),
        _ => collect(state, values.iter().flatten()),
    }
}

fn collect<'a>(
    mut state: Box<dyn State>,
    values: impl IntoIterator<Item = &'a Bson>,
) -> Result<Value, Fault> {
    for value in values {
        state.add(Evaluated::Owned(value.clone()))?;
    }
    let result = state.result()?;
    from_raw(result.as_raw_bson_ref()).map(Some)
}

fn bounded(name: &str, input: &Value, n: &Value, collation: Option<&Collator>) -> Result<Value, Fault> {
    let n = accumulator::checked_n(n)?;
    match input {
        Some(Bson::Array(elements)) => {
            let state = accumulator::bounded(name, n, collation)
                .ok_or_else(|| Fault::internal(format!("{name} has no accumulator")))?;
            collect(state, elements)
        }
        other if is_nullish(other) && matches!(name, "$maxN" | "$minN") => Ok(Some(Bson::Null)),
        other => Err(Fault::new(
            Code::Location(5788200),
            format!("Input must be an array, but found {}", type_name(other)),
        )),
    }
}
