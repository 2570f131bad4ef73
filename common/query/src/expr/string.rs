//! Strings: by bytes and by code points. Case changes only ASCII, as MongoDB documents it.

use super::Value;
use super::array::{bounds, fail};
use super::operator::{Arity, Named, Operator, Param, Shape, optional, required};
use super::value::{is_nullish, number, type_name};
use bson::Bson;
use types::{Code, Fault, limits};

const TRIM: &[Param] = &[required("input"), optional("chars")];
const REPLACE: &[Param] = &[required("input"), required("find"), required("replacement")];

pub(super) const OPERATORS: &[Operator] = &[
    Operator { name: "$concat", shape: Shape::Plain(Arity::Any, concat) },
    Operator { name: "$indexOfBytes", shape: Shape::Plain(Arity::Between(2, 4), index_of_bytes) },
    Operator { name: "$indexOfCP", shape: Shape::Plain(Arity::Between(2, 4), index_of_cp) },
    Operator { name: "$ltrim", shape: Shape::Named(TRIM, |named| trim("$ltrim", named, true, false)) },
    Operator { name: "$replaceAll", shape: Shape::Named(REPLACE, |named| replace("$replaceAll", named)) },
    Operator { name: "$replaceOne", shape: Shape::Named(REPLACE, |named| replace("$replaceOne", named)) },
    Operator { name: "$rtrim", shape: Shape::Named(TRIM, |named| trim("$rtrim", named, false, true)) },
    Operator { name: "$split", shape: Shape::Plain(Arity::Exactly(2), split) },
    Operator {
        name: "$strLenBytes",
        shape: Shape::Plain(Arity::Exactly(1), |values| length(values, 34473, "$strLenBytes", str::len)),
    },
    Operator {
        name: "$strLenCP",
        shape: Shape::Plain(Arity::Exactly(1), |values| {
            length(values, 34471, "$strLenCP", |s| s.chars().count())
        }),
    },
    Operator { name: "$strcasecmp", shape: Shape::Plain(Arity::Exactly(2), strcasecmp) },
    Operator { name: "$substr", shape: Shape::Plain(Arity::Exactly(3), substr_bytes) },
    Operator { name: "$substrBytes", shape: Shape::Plain(Arity::Exactly(3), substr_bytes) },
    Operator { name: "$substrCP", shape: Shape::Plain(Arity::Exactly(3), substr_cp) },
    Operator {
        name: "$toLower",
        shape: Shape::Plain(Arity::Exactly(1), |values| cased(values, str::to_ascii_lowercase)),
    },
    Operator {
        name: "$toUpper",
        shape: Shape::Plain(Arity::Exactly(1), |values| cased(values, str::to_ascii_uppercase)),
    },
    Operator { name: "$trim", shape: Shape::Named(TRIM, |named| trim("$trim", named, true, true)) },
];

const NULL: Value = Some(Bson::Null);

fn text(value: impl Into<String>) -> Result<Value, Fault> {
    Ok(Some(Bson::String(value.into())))
}

fn int(value: usize) -> Value {
    Some(i32::try_from(value).map_or(Bson::Int64(i64::try_from(value).unwrap_or(i64::MAX)), Bson::Int32))
}

/// What the operators that coerce see of a value: strings, numbers and dates as text, null as nothing.
fn coerced(value: &Value) -> Result<String, Fault> {
    match value {
        None | Some(Bson::Null | Bson::Undefined) => Ok(String::new()),
        Some(Bson::String(text) | Bson::Symbol(text) | Bson::JavaScriptCode(text)) => Ok(text.clone()),
        Some(Bson::Timestamp(at)) => Ok(format!("Timestamp({}, {})", at.time, at.increment)),
        Some(value) => match super::convert::to_text(value) {
            Some(text) if !matches!(value, Bson::ObjectId(_) | Bson::Boolean(_)) => Ok(text),
            _ => fail(
                16007,
                format!("can't convert from BSON type {} to String", type_name(&Some(value.clone()))),
            ),
        },
    }
}

fn concat(operands: &[Value]) -> Result<Value, Fault> {
    let mut out = String::new();
    for operand in operands {
        match operand {
            None | Some(Bson::Null | Bson::Undefined) => return Ok(NULL),
            Some(Bson::String(text)) => out.push_str(text),
            other => return fail(16702, format!("$concat only supports strings, not {}", type_name(other))),
        }
        if out.len() > limits::DOCUMENT_BYTES_MAX {
            return fail(
                Code::BSONObjectTooLarge.number(),
                "$concat result is larger than a document may be",
            );
        }
    }
    text(out)
}

fn index_of_bytes(operands: &[Value]) -> Result<Value, Fault> {
    let Some((haystack, needle, rest)) = search("$indexOfBytes", operands, (40091, 40092))? else {
        return Ok(NULL);
    };
    let found = bounds("$indexOfBytes", rest, haystack.len())?.and_then(|(start, end)| {
        let part = haystack.as_bytes().get(start..end)?;
        let needle = needle.as_bytes();
        match needle.is_empty() {
            true => Some(start),
            false => {
                part.windows(needle.len()).position(|window| window == needle).map(|index| index + start)
            }
        }
    });
    Ok(found.map_or(Some(Bson::Int32(-1)), int))
}

fn index_of_cp(operands: &[Value]) -> Result<Value, Fault> {
    let Some((haystack, needle, rest)) = search("$indexOfCP", operands, (40093, 40094))? else {
        return Ok(NULL);
    };
    // Byte offset of each code point, and of the end.
    let offsets: Vec<usize> =
        haystack.char_indices().map(|(offset, _)| offset).chain([haystack.len()]).collect();
    let found = bounds("$indexOfCP", rest, offsets.len() - 1)?.and_then(|(start, end)| {
        let (from, to) = (*offsets.get(start)?, *offsets.get(end)?);
        let found = haystack.get(from..to)?.find(needle)? + from;
        offsets.binary_search(&found).ok()
    });
    Ok(found.map_or(Some(Bson::Int32(-1)), int))
}

type Search<'a> = Option<(&'a str, &'a str, &'a [Value])>;

fn search<'a>(name: &str, operands: &'a [Value], codes: (i32, i32)) -> Result<Search<'a>, Fault> {
    let [haystack, needle, rest @ ..] = operands else { return Ok(None) };
    if is_nullish(haystack) {
        return Ok(None);
    }
    match (haystack, needle) {
        (Some(Bson::String(haystack)), Some(Bson::String(needle))) => Ok(Some((haystack, needle, rest))),
        (Some(Bson::String(_)), other) => fail(
            codes.1,
            format!("{name} requires a string as the second argument, found: {}", type_name(other)),
        ),
        (other, _) => fail(
            codes.0,
            format!("{name} requires a string as the first argument, found: {}", type_name(other)),
        ),
    }
}

fn trim(name: &str, named: &Named<'_>, left: bool, right: bool) -> Result<Value, Fault> {
    let (input, chars) = (named.get(0), named.get(1));
    if is_nullish(input) {
        return Ok(NULL);
    }
    let Some(Bson::String(input)) = input else {
        return fail(
            50699,
            format!(
                "{name} requires its input to be a string, got {} (of type {}) instead.",
                super::render(input),
                type_name(input)
            ),
        );
    };
    let is_trimmed: Box<dyn Fn(char) -> bool> = match chars {
        _ if !named.given(1) => Box::new(|c| c.is_whitespace() || c == '\0'),
        Some(Bson::String(chars)) => Box::new(move |c| chars.contains(c)),
        chars if is_nullish(chars) => return Ok(NULL),
        chars => {
            return fail(
                50700,
                format!(
                    "{name} requires 'chars' to be a string, got {} (of type {}) instead.",
                    super::render(chars),
                    type_name(chars)
                ),
            );
        }
    };
    let mut rest = input.as_str();
    if left {
        rest = rest.trim_start_matches(&is_trimmed);
    }
    if right {
        rest = rest.trim_end_matches(&is_trimmed);
    }
    text(rest)
}

fn replace(name: &str, named: &Named<'_>) -> Result<Value, Fault> {
    let (mut parts, mut null) = ([""; 3], false);
    for (index, (what, code)) in
        [("input", 51746), ("find", 51745), ("replacement", 51744)].into_iter().enumerate()
    {
        match named.get(index) {
            Some(Bson::String(part)) => parts[index] = part,
            other if is_nullish(other) => null = true,
            other => {
                return fail(
                    code,
                    format!("{name} requires that '{what}' be a string, found: {}", super::render(other)),
                );
            }
        }
    }
    if null {
        return Ok(NULL);
    }
    let [input, find, replacement] = parts;
    let count = if name == "$replaceOne" { 1 } else { input.matches(find).count() };
    let grown = count.saturating_mul(replacement.len()).saturating_add(input.len());
    if grown > limits::DOCUMENT_BYTES_MAX && grown > 4 * input.len() {
        return fail(
            Code::BSONObjectTooLarge.number(),
            format!("{name} result is larger than a document may be"),
        );
    }
    text(input.replacen(find, replacement, count))
}

fn split(operands: &[Value]) -> Result<Value, Fault> {
    let [input, separator] = operands else { return Ok(None) };
    if is_nullish(input) || is_nullish(separator) {
        return Ok(NULL);
    }
    match (input, separator) {
        (Some(Bson::String(_)), Some(Bson::String(separator))) if separator.is_empty() => {
            fail(40087, "$split requires a non-empty separator")
        }
        (Some(Bson::String(input)), Some(Bson::String(separator))) => {
            let parts = input.split(separator.as_str()).map(|part| Bson::String(part.to_owned()));
            Ok(Some(Bson::Array(parts.collect())))
        }
        (Some(Bson::String(_)), other) => fail(
            40086,
            format!(
                "$split requires an expression that evaluates to a string as a second argument, found: {}",
                type_name(other)
            ),
        ),
        (other, _) => fail(
            40085,
            format!(
                "$split requires an expression that evaluates to a string as a first argument, found: {}",
                type_name(other)
            ),
        ),
    }
}

fn length(operands: &[Value], code: i32, name: &str, of: fn(&str) -> usize) -> Result<Value, Fault> {
    match operands.first() {
        Some(Some(Bson::String(text))) => Ok(int(of(text))),
        other => fail(
            code,
            format!("{name} requires a string argument, found: {}", type_name(other.unwrap_or(&None))),
        ),
    }
}

fn strcasecmp(operands: &[Value]) -> Result<Value, Fault> {
    let [left, right] = operands else { return Ok(None) };
    let (left, right) = (coerced(left)?.to_ascii_uppercase(), coerced(right)?.to_ascii_uppercase());
    Ok(Some(Bson::Int32(left.as_bytes().cmp(right.as_bytes()) as i32)))
}

fn substr_bytes(operands: &[Value]) -> Result<Value, Fault> {
    let [input, start, length] = operands else { return Ok(None) };
    let input = coerced(input)?;
    let whole = |value: &Value, code: i32, what: &str| match value.as_ref().and_then(number) {
        Some(number) => Ok(number.to_i64_saturating()),
        None => fail(
            code,
            format!("$substrBytes:  {what} must be a numeric type (is BSON type {})", type_name(value)),
        ),
    };
    let start = whole(start, 16034, "starting index")?;
    let length = whole(length, 16035, "length")?;
    let Ok(start) = usize::try_from(start) else {
        return fail(50752, format!("$substrBytes: starting index must be non-negative (got: {start})"));
    };
    if start >= input.len() {
        return text("");
    }
    // A negative length means the rest.
    let end =
        usize::try_from(length).map_or(input.len(), |length| start.saturating_add(length).min(input.len()));
    if !input.is_char_boundary(start) {
        return fail(28656, "$substrBytes:  Invalid range, starting index is a UTF-8 continuation byte.");
    }
    match input.get(start..end) {
        Some(part) => text(part),
        None => {
            fail(28657, "$substrBytes:  Invalid range, ending index is in the middle of a UTF-8 character.")
        }
    }
}

fn substr_cp(operands: &[Value]) -> Result<Value, Fault> {
    let [input, start, length] = operands else { return Ok(None) };
    let input = coerced(input)?;
    let whole = |value: &Value, codes: [i32; 3], what: &str| {
        let Some(number) = value.as_ref().and_then(number) else {
            return fail(
                codes[0],
                format!("$substrCP: {what} must be a numeric type (is BSON type {})", type_name(value)),
            );
        };
        let Some(whole) = number.to_i32_exact() else {
            return fail(
                codes[1],
                format!("$substrCP: {what} cannot be represented as a 32-bit integral value"),
            );
        };
        usize::try_from(whole)
            .or_else(|_| fail(codes[2], format!("$substrCP: {what} must be a nonnegative integer.")))
    };
    let start = whole(start, [34450, 34451, 34455], "starting index")?;
    let length = whole(length, [34452, 34453, 34454], "length")?;
    text(input.chars().skip(start).take(length).collect::<String>())
}

fn cased(operands: &[Value], change: fn(&str) -> String) -> Result<Value, Fault> {
    text(change(&coerced(operands.first().unwrap_or(&None))?))
}
