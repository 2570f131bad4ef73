//! Exact comparison across number types. NaN is equal to NaN and below every number; both zeros are equal.

use super::{Number, TWO_POW_63, decimal};
use bson::Decimal128;
use std::cmp::Ordering;

impl Number {
    /// Compares exactly, whatever the two types are.
    pub fn compare(self, other: Number) -> Ordering {
        match (self, other) {
            (Number::Int32(left), Number::Int32(right)) => left.cmp(&right),
            (Number::Double(left), Number::Double(right)) => double_double(left, right),
            (Number::Decimal(left), Number::Decimal(right)) => decimal::compare(left, right),
            (Number::Int32(left), right) => Number::Int64(i64::from(left)).compare(right),
            (left, Number::Int32(right)) => left.compare(Number::Int64(i64::from(right))),
            (Number::Int64(left), Number::Int64(right)) => left.cmp(&right),
            (Number::Int64(left), Number::Double(right)) => int_double(left, right),
            (Number::Double(left), Number::Int64(right)) => int_double(right, left).reverse(),
            (Number::Int64(left), Number::Decimal(right)) => decimal::compare(decimal::from_i64(left), right),
            (Number::Decimal(left), Number::Int64(right)) => decimal::compare(left, decimal::from_i64(right)),
            (Number::Double(left), Number::Decimal(right)) => double_decimal(left, right),
            (Number::Decimal(left), Number::Double(right)) => double_decimal(right, left).reverse(),
        }
    }
}

fn double_double(left: f64, right: f64) -> Ordering {
    left.partial_cmp(&right).unwrap_or_else(|| right.is_nan().cmp(&left.is_nan()))
}

fn int_double(left: i64, right: f64) -> Ordering {
    if right.is_nan() {
        return Ordering::Greater;
    }
    if right >= TWO_POW_63 {
        return Ordering::Less;
    }
    if right < -TWO_POW_63 {
        return Ordering::Greater;
    }
    left.cmp(&(right as i64)).then_with(|| double_double(0.0, right.fract()))
}

fn double_decimal(left: f64, right: Decimal128) -> Ordering {
    if left.is_nan() || decimal::is_nan(right) {
        return decimal::is_nan(right).cmp(&left.is_nan());
    }
    let (truncated, exact) = decimal::to_f64_truncated(right);
    // No double lies strictly between the truncated value and the decimal, so only a tie needs the part cut off.
    double_double(left, truncated).then_with(|| match (exact, right.bytes()[15] >> 7) {
        (true, _) => Ordering::Equal,
        (false, 0) => Ordering::Less,
        (false, _) => Ordering::Greater,
    })
}
