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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::number::decimal::Unpacked;
    use crate::sample::any_number;
    use proptest::prelude::*;

    /// A number written out in full: rank of its kind, then exponent of the first digit and digits.
    fn written(number: Number) -> (i32, i32, String) {
        let finite = |negative: bool, digits: &str, last_exponent: i32| {
            let digits = digits.trim_start_matches('0');
            let exponent = last_exponent + digits.len() as i32 - 1;
            let digits = digits.trim_end_matches('0').to_owned();
            match (digits.is_empty(), negative) {
                (true, _) => (0, 0, String::new()),
                (false, negative) => (if negative { -1 } else { 1 }, exponent, digits),
            }
        };
        match number {
            Number::Int32(number) => finite(number < 0, &number.unsigned_abs().to_string(), 0),
            Number::Int64(number) => finite(number < 0, &number.unsigned_abs().to_string(), 0),
            Number::Double(number) if number.is_nan() => (-3, 0, String::new()),
            Number::Double(number) if number.is_infinite() => (number.signum() as i32 * 2, 0, String::new()),
            // Every double ends within 1074 places.
            Number::Double(number) => {
                finite(number < 0.0, &format!("{:.1074}", number.abs()).replace('.', ""), -1074)
            }
            Number::Decimal(number) => match decimal::unpack(number) {
                Unpacked::NaN => (-3, 0, String::new()),
                Unpacked::Infinity { negative } => (if negative { -2 } else { 2 }, 0, String::new()),
                Unpacked::Finite { negative, coefficient, exponent } => {
                    finite(negative, &coefficient.to_string(), exponent)
                }
            },
        }
    }

    fn slow_compare(left: Number, right: Number) -> Ordering {
        let (left_rank, left_exponent, left_digits) = written(left);
        let (right_rank, right_exponent, right_digits) = written(right);
        let size = (left_exponent, left_digits).cmp(&(right_exponent, right_digits));
        left_rank.cmp(&right_rank).then(if left_rank < 0 { size.reverse() } else { size })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1500))]

        #[test]
        fn agrees_with_numbers_written_out(left in any_number(), right in any_number()) {
            let (left, right) = (Number::from_bson(&left).unwrap(), Number::from_bson(&right).unwrap());
            prop_assert_eq!(left.compare(right), slow_compare(left, right), "{:?} {:?}", left, right);
            prop_assert_eq!(left.compare(left), Ordering::Equal);
        }

        #[test]
        fn conversions_agree(number in any_number()) {
            let number = Number::from_bson(&number).unwrap();
            let exact = number.to_i64_exact();
            prop_assert_eq!(exact.is_some_and(|exact| Number::Int64(exact).compare(number).is_eq()), exact.is_some());
            if let Some(truncated) = number.to_i64_truncated() {
                prop_assert_eq!(truncated, number.to_i64_saturating());
            }
            if let Number::Decimal(decimal) = number {
                let shown = decimal::parse(&decimal.to_string()).unwrap();
                prop_assert_eq!(decimal::unpack(shown), decimal::unpack(decimal::parse(&shown.to_string()).unwrap()));
                prop_assert_eq!(decimal::compare(shown, decimal), Ordering::Equal);
            }
        }
    }

    #[test]
    fn decimal_text_is_checked() {
        for good in ["1", "-1.5E+3", ".5", "5.", "1e5", "NaN", "-Infinity", "+inf"] {
            assert!(decimal::parse(good).is_some(), "{good}");
        }
        for bad in ["", ".", "e5", "1e", "0x1", "1 2", "--1", "1.2.3", "abc", "1e+"] {
            assert!(decimal::parse(bad).is_none(), "{bad}");
        }
    }
}
