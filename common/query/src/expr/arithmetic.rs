//! Arithmetic and bits. Widths follow MongoDB: int32 grows to int64, int64 to double, decimal stays decimal.

use super::Value;
use super::operator::{Arity, Operator, Shape};
use super::value::{is_nullish, number, render, type_name};
use bson::{Bson, DateTime};
use types::{Code, Fault};
use value::number::{Number, decimal};

pub(super) const OPERATORS: &[Operator] = &[
    Operator { name: "$abs", shape: Shape::Plain(Arity::Exactly(1), abs) },
    Operator { name: "$add", shape: Shape::Plain(Arity::Any, add) },
    Operator { name: "$bitAnd", shape: Shape::Plain(Arity::Any, bit_and) },
    Operator { name: "$bitNot", shape: Shape::Plain(Arity::Exactly(1), bit_not) },
    Operator { name: "$bitOr", shape: Shape::Plain(Arity::Any, bit_or) },
    Operator { name: "$bitXor", shape: Shape::Plain(Arity::Any, bit_xor) },
    Operator { name: "$ceil", shape: Shape::Plain(Arity::Exactly(1), ceil) },
    Operator { name: "$divide", shape: Shape::Plain(Arity::Exactly(2), divide) },
    Operator { name: "$exp", shape: Shape::Plain(Arity::Exactly(1), exp) },
    Operator { name: "$floor", shape: Shape::Plain(Arity::Exactly(1), floor) },
    Operator { name: "$ln", shape: Shape::Plain(Arity::Exactly(1), ln) },
    Operator { name: "$log", shape: Shape::Plain(Arity::Exactly(2), log) },
    Operator { name: "$log10", shape: Shape::Plain(Arity::Exactly(1), log10) },
    Operator { name: "$mod", shape: Shape::Plain(Arity::Exactly(2), modulo) },
    Operator { name: "$multiply", shape: Shape::Plain(Arity::Any, multiply) },
    Operator { name: "$pow", shape: Shape::Plain(Arity::Exactly(2), pow) },
    Operator { name: "$round", shape: Shape::Plain(Arity::Between(1, 2), round) },
    Operator { name: "$sqrt", shape: Shape::Plain(Arity::Exactly(1), sqrt) },
    Operator { name: "$subtract", shape: Shape::Plain(Arity::Exactly(2), subtract) },
    Operator { name: "$trunc", shape: Shape::Plain(Arity::Between(1, 2), trunc) },
];

fn fail<T>(code: i32, message: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::new(Code::from_number(code), message))
}

const NULL: Value = Some(Bson::Null);

fn some(number: Number) -> Result<Value, Fault> {
    Ok(Some(number.to_bson()))
}

/// The only operand as a number; `None` for null.
fn single(name: &str, operands: &[Value]) -> Result<Option<Number>, Fault> {
    match operands.first() {
        Some(value) if !is_nullish(value) => match value.as_ref().and_then(number) {
            Some(number) => Ok(Some(number)),
            None => fail(28765, format!("{name} only supports numeric types, not {}", type_name(value))),
        },
        _ => Ok(None),
    }
}

fn map(
    name: &str,
    operands: &[Value],
    of: impl FnOnce(Number) -> Result<Number, Fault>,
) -> Result<Value, Fault> {
    single(name, operands)?.map_or(Ok(NULL), |number| some(of(number)?))
}

fn add(operands: &[Value]) -> Result<Value, Fault> {
    let mut sum = Number::Int32(0);
    let mut date = None;
    for operand in operands {
        match operand {
            None | Some(Bson::Null | Bson::Undefined) => return Ok(NULL),
            Some(Bson::DateTime(_)) if date.is_some() => {
                return fail(16612, "only one date allowed in an $add expression");
            }
            Some(Bson::DateTime(at)) => date = Some(*at),
            Some(value) => match number(value) {
                Some(number) => sum = sum.add(number),
                None => {
                    return fail(
                        14,
                        format!("$add only supports numeric or date types, not {}", type_name(operand)),
                    );
                }
            },
        }
    }
    match date {
        None => some(sum),
        Some(at) => moved(at, sum, "$add").map(Some),
    }
}

/// A date a number of milliseconds later.
fn moved(at: DateTime, by: Number, name: &str) -> Result<Bson, Fault> {
    let by = match by {
        Number::Double(by) if by.is_finite() => Number::Double(by.round()).to_i64_truncated(),
        Number::Decimal(by) => Number::Decimal(decimal::round_half_even(by)).to_i64_truncated(),
        by => by.to_i64_truncated(),
    };
    match by.and_then(|by| at.timestamp_millis().checked_add(by)) {
        Some(millis) => Ok(Bson::DateTime(DateTime::from_millis(millis))),
        None => fail(Code::Overflow.number(), format!("date overflow in {name}")),
    }
}

fn subtract(operands: &[Value]) -> Result<Value, Fault> {
    let [left, right] = operands else { return Ok(None) };
    if is_nullish(left) || is_nullish(right) {
        return Ok(NULL);
    }
    match (left, right) {
        (Some(Bson::DateTime(left)), Some(Bson::DateTime(right))) => {
            match left.timestamp_millis().checked_sub(right.timestamp_millis()) {
                Some(millis) => Ok(Some(Bson::Int64(millis))),
                None => fail(Code::Overflow.number(), "overflow in $subtract of two dates"),
            }
        }
        (Some(Bson::DateTime(left)), Some(right)) if number(right).is_some() => {
            let by = number(right).unwrap_or(Number::Int32(0));
            moved(*left, by.negate(), "$subtract").map(Some)
        }
        _ => match (left.as_ref().and_then(number), right.as_ref().and_then(number)) {
            (Some(left), Some(right)) => some(left.sub(right)),
            _ => fail(14, format!("can't $subtract {} from {}", type_name(right), type_name(left))),
        },
    }
}

fn multiply(operands: &[Value]) -> Result<Value, Fault> {
    let mut product = Number::Int32(1);
    let mut null = false;
    for operand in operands {
        match operand.as_ref().and_then(number) {
            Some(number) => product = product.mul(number),
            None if is_nullish(operand) => null = true,
            None => {
                return fail(
                    14,
                    format!("$multiply only supports numeric types, not {}", type_name(operand)),
                );
            }
        }
    }
    if null { Ok(NULL) } else { some(product) }
}

fn two(name: &str, operands: &[Value]) -> Result<Option<(Number, Number)>, Fault> {
    let [left, right] = operands else { return Ok(None) };
    match (left.as_ref().and_then(number), right.as_ref().and_then(number)) {
        (Some(left), Some(right)) => Ok(Some((left, right))),
        _ if is_nullish(left) || is_nullish(right) => Ok(None),
        _ => fail(
            14,
            format!("{name} only supports numeric types, not {} and {}", type_name(left), type_name(right)),
        ),
    }
}

fn divide(operands: &[Value]) -> Result<Value, Fault> {
    let Some((left, right)) = two("$divide", operands)? else { return Ok(NULL) };
    left.div(right).map_or_else(|| fail(2, "can't $divide by zero"), some)
}

fn modulo(operands: &[Value]) -> Result<Value, Fault> {
    let Some((left, right)) = two("$mod", operands)? else { return Ok(NULL) };
    left.modulo(right).map_or_else(|| fail(16610, "can't $mod by zero"), some)
}

fn abs(operands: &[Value]) -> Result<Value, Fault> {
    map("$abs", operands, |number| {
        number.abs().map_or_else(|| fail(28680, "can't take $abs of long long min"), Ok)
    })
}

fn ceil(operands: &[Value]) -> Result<Value, Fault> {
    map("$ceil", operands, |number| Ok(number.ceil()))
}

fn floor(operands: &[Value]) -> Result<Value, Fault> {
    map("$floor", operands, |number| Ok(number.floor()))
}

/// A function that has a double and a decimal form.
fn real(number: Number, double: fn(f64) -> f64, dec: fn(bson::Decimal128) -> bson::Decimal128) -> Number {
    match number {
        Number::Decimal(number) => Number::Decimal(dec(number)),
        other => Number::Double(double(other.to_f64())),
    }
}

fn exp(operands: &[Value]) -> Result<Value, Fault> {
    map("$exp", operands, |number| Ok(real(number, f64::exp, decimal::exp)))
}

fn positive(name: &str, code: i32, number: Number) -> Result<Number, Fault> {
    if number.is_nan() || (!number.is_negative() && !number.is_zero()) {
        return Ok(number);
    }
    let shown = render(&Some(number.to_bson()));
    fail(code, format!("{name}'s argument must be a positive number, but is {shown}"))
}

fn ln(operands: &[Value]) -> Result<Value, Fault> {
    map("$ln", operands, |number| Ok(real(positive("$ln", 28766, number)?, f64::ln, decimal::ln)))
}

fn log10(operands: &[Value]) -> Result<Value, Fault> {
    map("$log10", operands, |number| Ok(real(positive("$log10", 28761, number)?, f64::log10, decimal::log10)))
}

fn log(operands: &[Value]) -> Result<Value, Fault> {
    let [argument, base] = operands else { return Ok(None) };
    if is_nullish(argument) || is_nullish(base) {
        return Ok(NULL);
    }
    let Some(number_) = argument.as_ref().and_then(number) else {
        return fail(28756, format!("$log's argument must be numeric, not {}", type_name(argument)));
    };
    let Some(base_) = base.as_ref().and_then(number) else {
        return fail(28757, format!("$log's base must be numeric, not {}", type_name(base)));
    };
    let number_ = positive("$log", 28758, number_)?;
    if base_.compare(Number::Int32(1)).is_le() && !base_.is_nan() {
        return fail(
            28759,
            format!("$log's base must be a positive number not equal to 1, but is {}", render(base)),
        );
    }
    match (number_, base_) {
        (Number::Decimal(_), _) | (_, Number::Decimal(_)) => {
            let (number_, base_) = (decimal::ln(number_.to_decimal()), decimal::ln(base_.to_decimal()));
            some(Number::Decimal(decimal::div(number_, base_)))
        }
        _ => some(Number::Double(number_.to_f64().ln() / base_.to_f64().ln())),
    }
}

fn sqrt(operands: &[Value]) -> Result<Value, Fault> {
    map("$sqrt", operands, |number| {
        if number.is_negative() {
            return fail(28714, "$sqrt's argument must be greater than or equal to 0");
        }
        Ok(real(number, f64::sqrt, decimal::sqrt))
    })
}

fn pow(operands: &[Value]) -> Result<Value, Fault> {
    let [base, exponent] = operands else { return Ok(None) };
    if is_nullish(base) || is_nullish(exponent) {
        return Ok(NULL);
    }
    let Some(base_) = base.as_ref().and_then(number) else {
        return fail(28762, format!("$pow's base must be numeric, not {}", type_name(base)));
    };
    let Some(exponent_) = exponent.as_ref().and_then(number) else {
        return fail(28763, format!("$pow's exponent must be numeric, not {}", type_name(exponent)));
    };
    if base_.is_zero() && exponent_.is_negative() {
        return fail(28764, "$pow cannot take a base of 0 and a negative exponent");
    }
    match (base_, exponent_) {
        (Number::Decimal(_), _) | (_, Number::Decimal(_)) => {
            some(Number::Decimal(decimal::pow(base_.to_decimal(), exponent_.to_decimal())))
        }
        (Number::Double(_), _) | (_, Number::Double(_)) => {
            some(Number::Double(base_.to_f64().powf(exponent_.to_f64())))
        }
        _ => some(integer_power(base_, exponent_)),
    }
}

/// A power of integers: an integer of the wider type if it is one and fits, else a double.
fn integer_power(base: Number, exponent: Number) -> Number {
    let narrow = matches!((base, exponent), (Number::Int32(_), Number::Int32(_)));
    let (base, exponent) = (base.to_i64_saturating(), exponent.to_i64_saturating());
    let exact = match (base, u32::try_from(exponent)) {
        (1, _) => Some(1),
        (-1, _) => Some(if exponent % 2 == 0 { 1 } else { -1 }),
        (0, Ok(0)) => Some(1),
        (0, _) => Some(0),
        (_, Ok(exponent)) => base.checked_pow(exponent),
        (_, Err(_)) => None,
    };
    match exact {
        Some(power) => match i32::try_from(power) {
            Ok(power) if narrow => Number::Int32(power),
            _ => Number::Int64(power),
        },
        None => Number::Double((base as f64).powf(exponent as f64)),
    }
}

fn round(operands: &[Value]) -> Result<Value, Fault> {
    to_place("$round", operands, Number::round)
}

fn trunc(operands: &[Value]) -> Result<Value, Fault> {
    to_place("$trunc", operands, Number::trunc)
}

fn to_place(
    name: &str,
    operands: &[Value],
    rounded: fn(Number, i32) -> Option<Number>,
) -> Result<Value, Fault> {
    let place = match operands.get(1) {
        None => 0,
        Some(place) if is_nullish(place) => return Ok(NULL),
        Some(place) => {
            let Some(whole) = place.as_ref().and_then(number).and_then(Number::to_i64_exact) else {
                return fail(51082, format!("precision argument to  {name} must be a integral value"));
            };
            match i32::try_from(whole) {
                Ok(place @ -20..=100) => place,
                _ => {
                    return fail(
                        51083,
                        format!(
                            "cannot apply {name} with precision value {whole} value must be in [-20, 100]"
                        ),
                    );
                }
            }
        }
    };
    let Some(value) = operands.first().filter(|value| !is_nullish(value)) else { return Ok(NULL) };
    let Some(number) = value.as_ref().and_then(number) else {
        return fail(51081, format!("{name} only supports numeric types, not {}", type_name(value)));
    };
    match rounded(number, place) {
        Some(number) => some(number),
        None => fail(51080, "invalid conversion from Decimal128 result in $round resulting from arguments"),
    }
}

fn bit_and(operands: &[Value]) -> Result<Value, Fault> {
    bits("$bitAnd", operands, -1, |left, right| left & right)
}

fn bit_or(operands: &[Value]) -> Result<Value, Fault> {
    bits("$bitOr", operands, 0, |left, right| left | right)
}

fn bit_xor(operands: &[Value]) -> Result<Value, Fault> {
    bits("$bitXor", operands, 0, |left, right| left ^ right)
}

fn bits(name: &str, operands: &[Value], identity: i64, with: fn(i64, i64) -> i64) -> Result<Value, Fault> {
    let (mut result, mut wide, mut null) = (identity, false, false);
    for operand in operands {
        match operand {
            None | Some(Bson::Null | Bson::Undefined) => null = true,
            Some(Bson::Int32(number)) => result = with(result, i64::from(*number)),
            Some(Bson::Int64(number)) => {
                wide = true;
                result = with(result, *number);
            }
            _ => return fail(14, format!("{name} only supports int and long operands.")),
        }
    }
    Ok(match (null, i32::try_from(result)) {
        (true, _) => NULL,
        (false, Ok(result)) if !wide => Some(Bson::Int32(result)),
        _ => Some(Bson::Int64(result)),
    })
}

fn bit_not(operands: &[Value]) -> Result<Value, Fault> {
    match operands.first() {
        Some(Some(Bson::Int32(number))) => Ok(Some(Bson::Int32(!number))),
        Some(Some(Bson::Int64(number))) => Ok(Some(Bson::Int64(!number))),
        Some(value) if !is_nullish(value) => {
            fail(14, format!("$bitNot only supports int and long, not: {}.", type_name(value)))
        }
        _ => Ok(NULL),
    }
}
