//! Arrays as sets: order and repetition do not count; equality is that of comparison.

use super::Value;
use super::operator::{Arity, Operator, Shape};
use super::value::{is_nullish, type_name};
use bson::Bson;
use std::collections::HashSet;
use types::{Code, Fault};
use value::Collator;

pub(super) const OPERATORS: &[Operator] = &[
    Operator { name: "$allElementsTrue", shape: Shape::Plain(Arity::Exactly(1), all_true) },
    Operator { name: "$anyElementTrue", shape: Shape::Plain(Arity::Exactly(1), any_true) },
    Operator { name: "$setDifference", shape: Shape::Comparing(Arity::Exactly(2), difference) },
    Operator { name: "$setEquals", shape: Shape::Comparing(Arity::Any, equals) },
    Operator { name: "$setIntersection", shape: Shape::Comparing(Arity::Any, intersection) },
    Operator { name: "$setIsSubset", shape: Shape::Comparing(Arity::Exactly(2), is_subset) },
    Operator { name: "$setUnion", shape: Shape::Comparing(Arity::Any, union) },
];

fn fail<T>(code: i32, message: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::new(Code::Location(code), message))
}

fn key(value: &Bson, collation: Option<&Collator>) -> Vec<u8> {
    let mut key = Vec::new();
    value::key::encode_bson_under(&mut key, value, false, collation);
    key
}

fn keys(elements: &[Bson], collation: Option<&Collator>) -> HashSet<Vec<u8>> {
    elements.iter().map(|element| key(element, collation)).collect()
}

fn array<'a>(value: &'a Value, code: i32, what: &str) -> Result<&'a [Bson], Fault> {
    match value {
        Some(Bson::Array(elements)) => Ok(elements),
        other => fail(code, format!("{what} must be an array, but is {}", type_name(other))),
    }
}

fn distinct<'a>(
    elements: impl IntoIterator<Item = &'a Bson>,
    seen: &mut HashSet<Vec<u8>>,
    out: &mut Vec<Bson>,
    collation: Option<&Collator>,
) {
    for element in elements {
        if seen.insert(key(element, collation)) {
            out.push(element.clone());
        }
    }
}

/// Results of set operators are sorted, so that they do not depend on the order of the operands.
fn sorted(mut elements: Vec<Bson>, collation: Option<&Collator>) -> Value {
    elements.sort_by_cached_key(|element| key(element, collation));
    Some(Bson::Array(elements))
}

fn union(operands: &[Value], collation: Option<&Collator>) -> Result<Value, Fault> {
    let (mut seen, mut out) = (HashSet::new(), Vec::new());
    for operand in operands {
        if is_nullish(operand) {
            return Ok(Some(Bson::Null));
        }
        let elements = array(operand, 17043, "All operands of $setUnion")?;
        distinct(elements, &mut seen, &mut out, collation);
    }
    Ok(sorted(out, collation))
}

fn intersection(operands: &[Value], collation: Option<&Collator>) -> Result<Value, Fault> {
    let mut common: Option<Vec<Bson>> = None;
    for operand in operands {
        if is_nullish(operand) {
            return Ok(Some(Bson::Null));
        }
        let elements = array(operand, 17047, "All operands of $setIntersection")?;
        common = Some(match common {
            None => {
                let mut out = Vec::new();
                distinct(elements, &mut HashSet::new(), &mut out, collation);
                out
            }
            Some(mut kept) => {
                let there = keys(elements, collation);
                kept.retain(|element| there.contains(&key(element, collation)));
                kept
            }
        });
    }
    Ok(sorted(common.unwrap_or_default(), collation))
}

fn difference(operands: &[Value], collation: Option<&Collator>) -> Result<Value, Fault> {
    let [left, right] = operands else { return Ok(None) };
    if is_nullish(left) || is_nullish(right) {
        return Ok(Some(Bson::Null));
    }
    let left = array(left, 17048, "Both operands of $setDifference")?;
    let mut seen = keys(array(right, 17049, "Both operands of $setDifference")?, collation);
    let mut out = Vec::new();
    distinct(left, &mut seen, &mut out, collation);
    Ok(Some(Bson::Array(out)))
}

fn equals(operands: &[Value], collation: Option<&Collator>) -> Result<Value, Fault> {
    if operands.len() < 2 {
        return fail(17045, format!("$setEquals needs at least two arguments had: {}", operands.len()));
    }
    let mut sets = Vec::with_capacity(operands.len());
    for operand in operands {
        sets.push(keys(array(operand, 17044, "All operands of $setEquals")?, collation));
    }
    Ok(Some(Bson::Boolean(sets.windows(2).all(|pair| pair.first() == pair.last()))))
}

fn is_subset(operands: &[Value], collation: Option<&Collator>) -> Result<Value, Fault> {
    let [left, right] = operands else { return Ok(None) };
    let left = array(left, 17046, "both operands of $setIsSubset. First argument")?;
    let right = keys(array(right, 17042, "both operands of $setIsSubset. Second argument")?, collation);
    Ok(Some(Bson::Boolean(left.iter().all(|element| right.contains(&key(element, collation))))))
}

fn truths(operands: &[Value], code: i32, name: &str) -> Result<Vec<bool>, Fault> {
    let elements = array(operands.first().unwrap_or(&None), code, &format!("{name}'s argument"))?;
    Ok(elements.iter().map(|element| super::is_true(&Some(element.clone()))).collect())
}

fn all_true(operands: &[Value]) -> Result<Value, Fault> {
    Ok(Some(Bson::Boolean(truths(operands, 17040, "$allElementsTrue")?.into_iter().all(|truth| truth))))
}

fn any_true(operands: &[Value]) -> Result<Value, Fault> {
    Ok(Some(Bson::Boolean(truths(operands, 17041, "$anyElementTrue")?.into_iter().any(|truth| truth))))
}
