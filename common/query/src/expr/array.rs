//! Arrays: elements, slices, order, and the operators that bind a variable per element.

use super::Value;
use super::array_each;
use super::operator::{Arity, Operator, Shape};
use super::value::{is_nullish, number, render, type_name};
use bson::{Bson, Document};
use types::{Code, Fault};
use value::Collator;
use value::number::Number;

pub(super) const OPERATORS: &[Operator] = &[
    Operator { name: "$arrayElemAt", shape: Shape::Plain(Arity::Exactly(2), elem_at) },
    Operator { name: "$arrayToObject", shape: Shape::Plain(Arity::Exactly(1), array_to_object) },
    Operator { name: "$concatArrays", shape: Shape::Plain(Arity::Any, concat_arrays) },
    Operator { name: "$filter", shape: Shape::Special(array_each::parse_filter) },
    Operator { name: "$first", shape: Shape::Plain(Arity::Exactly(1), |values| edge("$first", values, 0)) },
    Operator { name: "$in", shape: Shape::Comparing(Arity::Exactly(2), contains) },
    Operator { name: "$indexOfArray", shape: Shape::Comparing(Arity::Between(2, 4), index_of_array) },
    Operator { name: "$isArray", shape: Shape::Plain(Arity::Exactly(1), is_array) },
    Operator { name: "$last", shape: Shape::Plain(Arity::Exactly(1), |values| edge("$last", values, -1)) },
    Operator { name: "$map", shape: Shape::Special(array_each::parse_map) },
    Operator { name: "$range", shape: Shape::Plain(Arity::Between(2, 3), range) },
    Operator { name: "$reduce", shape: Shape::Special(array_each::parse_reduce) },
    Operator { name: "$reverseArray", shape: Shape::Plain(Arity::Exactly(1), reverse) },
    Operator { name: "$size", shape: Shape::Plain(Arity::Exactly(1), size) },
    Operator { name: "$slice", shape: Shape::Plain(Arity::Between(2, 3), slice) },
    Operator { name: "$sortArray", shape: Shape::Special(array_each::parse_sort) },
    Operator { name: "$zip", shape: Shape::Special(array_each::parse_zip) },
];

pub(super) fn fail<T>(code: i32, message: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::new(Code::from_number(code), message))
}

const NULL: Value = Some(Bson::Null);

fn at(elements: &[Bson], index: i64) -> Value {
    let index = if index < 0 { index.checked_add(i64::try_from(elements.len()).ok()?)? } else { index };
    elements.get(usize::try_from(index).ok()?).cloned()
}

fn elem_at(operands: &[Value]) -> Result<Value, Fault> {
    let [array, index] = operands else { return Ok(None) };
    if is_nullish(array) || is_nullish(index) {
        return Ok(NULL);
    }
    let Some(Bson::Array(elements)) = array else {
        return fail(
            28689,
            format!("$arrayElemAt's first argument must be an array, but is {}", type_name(array)),
        );
    };
    let Some(number) = index.as_ref().and_then(number) else {
        return fail(
            28690,
            format!("$arrayElemAt's second argument must be a numeric value, but is {}", type_name(index)),
        );
    };
    match number.to_i32_exact() {
        Some(index) => Ok(at(elements, i64::from(index))),
        None => fail(
            28691,
            format!(
                "$arrayElemAt's second argument must be representable as a 32-bit integer: {}",
                render(index)
            ),
        ),
    }
}

fn edge(name: &str, operands: &[Value], index: i64) -> Result<Value, Fault> {
    match operands.first() {
        Some(Some(Bson::Array(elements))) => Ok(at(elements, index)),
        Some(value) if !is_nullish(value) => {
            fail(28689, format!("{name}'s argument must be an array, but is {}", type_name(value)))
        }
        _ => Ok(NULL),
    }
}

fn array_to_object(operands: &[Value]) -> Result<Value, Fault> {
    let Some(value) = operands.first().filter(|value| !is_nullish(value)) else { return Ok(NULL) };
    let Some(Bson::Array(elements)) = value else {
        return fail(40386, format!("$arrayToObject requires an array input, found: {}", type_name(value)));
    };
    let mut out = Document::new();
    let mut pairs = None;
    for element in elements {
        let (is_pair, key, value) = match element {
            Bson::Array(pair) => match pair.as_slice() {
                [key, value] => (true, key, value),
                _ => {
                    return fail(
                        40397,
                        format!(
                            "$arrayToObject requires an array of size 2 arrays,found array of size: {}",
                            pair.len()
                        ),
                    );
                }
            },
            Bson::Document(document) => {
                if document.len() != 2 {
                    return fail(
                        40392,
                        format!(
                            "$arrayToObject requires an object keys of 'k' and 'v'. Found incorrect number of keys:{}",
                            document.len()
                        ),
                    );
                }
                match (document.get("k"), document.get("v")) {
                    (Some(key), Some(value)) => (false, key, value),
                    _ => {
                        return fail(
                            40393,
                            "$arrayToObject requires an object with keys 'k' and 'v'. Missing either or both keys",
                        );
                    }
                }
            }
            _ => return fail(40398, "Unrecognised input type format for $arrayToObject"),
        };
        if *pairs.get_or_insert(is_pair) != is_pair {
            return fail(
                40391,
                "$arrayToObject requires a consistent input format. Elements must all be arrays or all be objects",
            );
        }
        let Bson::String(key) = key else {
            return fail(
                40394,
                format!(
                    "$arrayToObject requires an object with keys 'k' and 'v', where the value of 'k' must be of type string. Found type: {}",
                    type_name(&Some(key.clone()))
                ),
            );
        };
        if key.contains('\0') {
            return fail(4940400, "Key field cannot contain an embedded null byte");
        }
        out.insert(key.as_str(), value.clone());
    }
    Ok(Some(Bson::Document(out)))
}

fn concat_arrays(operands: &[Value]) -> Result<Value, Fault> {
    let mut out = Vec::new();
    for operand in operands {
        match operand {
            None | Some(Bson::Null | Bson::Undefined) => return Ok(NULL),
            Some(Bson::Array(elements)) => out.extend_from_slice(elements),
            other => {
                return fail(28664, format!("$concatArrays only supports arrays, not {}", type_name(other)));
            }
        }
    }
    Ok(Some(Bson::Array(out)))
}

fn contains(operands: &[Value], collation: Option<&Collator>) -> Result<Value, Fault> {
    let [value, array] = operands else { return Ok(None) };
    let Some(Bson::Array(elements)) = array else {
        return fail(
            40081,
            format!("$in requires an array as a second argument, found: {}", type_name(array)),
        );
    };
    Ok(Some(Bson::Boolean(elements.iter().any(|element| equal(element, value, collation)))))
}

fn equal(element: &Bson, value: &Value, collation: Option<&Collator>) -> bool {
    value.as_ref().is_some_and(|value| value::order::compare_bson_under(element, value, collation).is_eq())
}

/// Start and end of a search, as `$indexOfArray` and the `$indexOf…` of strings take them. `None`: nothing to search.
pub(super) fn bounds(name: &str, operands: &[Value], length: usize) -> Result<Option<(usize, usize)>, Fault> {
    let mut found = [0, length];
    for (place, (operand, code)) in operands.iter().zip([40096, 40097]).enumerate() {
        let Some(number) = operand.as_ref().and_then(number).and_then(Number::to_i32_exact) else {
            return fail(
                40096,
                format!(
                    "{name} requires an integral index, found a value of type: {}, with value: {}",
                    type_name(operand),
                    render(operand)
                ),
            );
        };
        match usize::try_from(number) {
            Ok(number) => found[place] = number,
            Err(_) => return fail(code, format!("{name} requires a nonnegative index, found: {number}")),
        }
    }
    let [start, end] = found;
    let end = end.min(length);
    Ok((start <= end).then_some((start, end)))
}

fn index_of_array(operands: &[Value], collation: Option<&Collator>) -> Result<Value, Fault> {
    let [array, value, rest @ ..] = operands else { return Ok(None) };
    if is_nullish(array) {
        return Ok(NULL);
    }
    let Some(Bson::Array(elements)) = array else {
        return fail(
            40090,
            format!("$indexOfArray requires an array as a first argument, found: {}", type_name(array)),
        );
    };
    let found = bounds("$indexOfArray", rest, elements.len())?.and_then(|(start, end)| {
        elements
            .get(start..end)?
            .iter()
            .position(|element| equal(element, value, collation))
            .map(|index| index + start)
    });
    Ok(Some(Bson::Int32(found.and_then(|index| i32::try_from(index).ok()).unwrap_or(-1))))
}

fn is_array(operands: &[Value]) -> Result<Value, Fault> {
    Ok(Some(Bson::Boolean(matches!(operands.first(), Some(Some(Bson::Array(_)))))))
}

fn range(operands: &[Value]) -> Result<Value, Fault> {
    /// As many int32 as fit the 100 MB that one expression may make.
    const ELEMENT_COUNT_MAX: usize = types::limits::BLOCKING_STAGE_BYTES_MAX / std::mem::size_of::<Bson>();
    let whole = |value: &Value, codes: (i32, i32), what: &str| {
        match value.as_ref().and_then(number) {
        Some(number) => number.to_i32_exact().map_or_else(
            || fail(codes.1, format!("$range requires a {what} that can be represented as a 32-bit integer, found value: {}", render(value))),
            |number| Ok(i64::from(number)),
        ),
        None => fail(codes.0, format!("$range requires a numeric {what}, found value of type: {}", type_name(value))),
    }
    };
    let [start, end, step @ ..] = operands else { return Ok(None) };
    let start = whole(start, (34443, 34444), "starting value")?;
    let end = whole(end, (34445, 34446), "ending value")?;
    let step = step.first().map_or(Ok(1), |step| whole(step, (34447, 34448), "step value"))?;
    if step == 0 {
        return fail(34449, "$range requires a non-zero step value");
    }
    let count = usize::try_from((end - start + step - step.signum()) / step).unwrap_or(0);
    if count > ELEMENT_COUNT_MAX {
        return fail(Code::ExceededMemoryLimit.number(), "$range would use too much memory");
    }
    let mut out = Vec::with_capacity(count);
    let mut at = start;
    while if step > 0 { at < end } else { at > end } {
        // All values lie between two int32.
        out.push(i32::try_from(at).map_or(Bson::Int64(at), Bson::Int32));
        at += step;
    }
    Ok(Some(Bson::Array(out)))
}

fn reverse(operands: &[Value]) -> Result<Value, Fault> {
    match operands.first() {
        Some(Some(Bson::Array(elements))) => Ok(Some(Bson::Array(elements.iter().rev().cloned().collect()))),
        Some(value) if !is_nullish(value) => fail(
            34435,
            format!("The argument to $reverseArray must be an array, but was of type: {}", type_name(value)),
        ),
        _ => Ok(NULL),
    }
}

fn size(operands: &[Value]) -> Result<Value, Fault> {
    match operands.first() {
        Some(Some(Bson::Array(elements))) => {
            Ok(Some(i32::try_from(elements.len()).map_or(Bson::Null, Bson::Int32)))
        }
        other => fail(
            17124,
            format!(
                "The argument to $size must be an array, but was of type: {}",
                type_name(other.unwrap_or(&None))
            ),
        ),
    }
}

fn slice(operands: &[Value]) -> Result<Value, Fault> {
    let [array, second, third @ ..] = operands else { return Ok(None) };
    if is_nullish(array) || is_nullish(second) || third.first().is_some_and(is_nullish) {
        return Ok(NULL);
    }
    let Some(Bson::Array(elements)) = array else {
        return fail(
            28724,
            format!("First argument to $slice must be an array, but is of type: {}", type_name(array)),
        );
    };
    let whole = |value: &Value, code: i32, which: &str| match value.as_ref().and_then(number) {
        Some(number) => number.to_i32_exact().map_or_else(
            || {
                fail(
                    code + 1,
                    format!(
                        "{which} argument to $slice can't be represented as a 32-bit integer: {}",
                        render(value)
                    ),
                )
            },
            |number| Ok(i64::from(number)),
        ),
        None => fail(
            code,
            format!("{which} argument to $slice must be numeric, but is of type: {}", type_name(value)),
        ),
    };
    let length = i64::try_from(elements.len()).unwrap_or(i64::MAX);
    let second = whole(second, 28725, "Second")?;
    let (start, count) = match third.first() {
        None if second < 0 => ((length + second).max(0), -second),
        None => (0, second),
        Some(third) => {
            let count = whole(third, 28727, "Third")?;
            if count <= 0 {
                return fail(28729, format!("Third argument to $slice must be positive: {count}"));
            }
            (if second < 0 { (length + second).max(0) } else { second.min(length) }, count)
        }
    };
    let end = start.saturating_add(count).min(length);
    let (start, end) = (usize::try_from(start).unwrap_or(0), usize::try_from(end).unwrap_or(0));
    Ok(Some(Bson::Array(elements.get(start..end).unwrap_or_default().to_vec())))
}
