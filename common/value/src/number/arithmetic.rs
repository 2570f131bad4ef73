//! Sum, difference, product, quotient and remainder with MongoDB's result types:
//! decimal if either is decimal, else double if either is double, else int32 widened to int64, and to double on overflow.

use super::{Number, decimal};
use bson::Decimal128;

/// The two operands brought to one type.
enum Pair {
    Int { left: i64, right: i64, both_i32: bool },
    Double(f64, f64),
    Decimal(Decimal128, Decimal128),
}

fn pair(left: Number, right: Number) -> Pair {
    match (left, right) {
        (Number::Decimal(_), _) | (_, Number::Decimal(_)) => {
            Pair::Decimal(left.to_decimal(), right.to_decimal())
        }
        (Number::Double(_), _) | (_, Number::Double(_)) => Pair::Double(left.to_f64(), right.to_f64()),
        (Number::Int32(left), Number::Int32(right)) => {
            Pair::Int { left: i64::from(left), right: i64::from(right), both_i32: true }
        }
        _ => Pair::Int { left: left.to_i64_saturating(), right: right.to_i64_saturating(), both_i32: false },
    }
}

fn integer(number: i64, narrow: bool) -> Number {
    match i32::try_from(number) {
        Ok(number) if narrow => Number::Int32(number),
        _ => Number::Int64(number),
    }
}

// The operators of the language cannot widen or answer `None`, and a hidden widening behind `+` would surprise.
#[allow(clippy::should_implement_trait)]
impl Number {
    /// Sum; int64 overflow goes on as double.
    #[must_use]
    pub fn add(self, other: Number) -> Number {
        self.checked_add(other).unwrap_or_else(|| Number::Double(self.to_f64() + other.to_f64()))
    }

    /// Difference; int64 overflow goes on as double.
    #[must_use]
    pub fn sub(self, other: Number) -> Number {
        self.checked_sub(other).unwrap_or_else(|| Number::Double(self.to_f64() - other.to_f64()))
    }

    /// Product; int64 overflow goes on as double.
    #[must_use]
    pub fn mul(self, other: Number) -> Number {
        self.checked_mul(other).unwrap_or_else(|| Number::Double(self.to_f64() * other.to_f64()))
    }

    /// Sum; `None` on int64 overflow, where `$inc` answers an error.
    pub fn checked_add(self, other: Number) -> Option<Number> {
        Some(match pair(self, other) {
            Pair::Int { left, right, both_i32 } => integer(left.checked_add(right)?, both_i32),
            Pair::Double(left, right) => Number::Double(left + right),
            Pair::Decimal(left, right) => Number::Decimal(decimal::add(left, right)),
        })
    }

    /// Difference; `None` on int64 overflow.
    pub fn checked_sub(self, other: Number) -> Option<Number> {
        Some(match pair(self, other) {
            Pair::Int { left, right, both_i32 } => integer(left.checked_sub(right)?, both_i32),
            Pair::Double(left, right) => Number::Double(left - right),
            Pair::Decimal(left, right) => Number::Decimal(decimal::sub(left, right)),
        })
    }

    /// Product; `None` on int64 overflow, where `$mul` answers an error.
    pub fn checked_mul(self, other: Number) -> Option<Number> {
        Some(match pair(self, other) {
            Pair::Int { left, right, both_i32 } => integer(left.checked_mul(right)?, both_i32),
            Pair::Double(left, right) => Number::Double(left * right),
            Pair::Decimal(left, right) => Number::Decimal(decimal::mul(left, right)),
        })
    }

    /// Quotient: double, or decimal if either is. `None` if the divisor is zero.
    pub fn div(self, other: Number) -> Option<Number> {
        if other.is_zero() {
            return None;
        }
        Some(match pair(self, other) {
            Pair::Decimal(left, right) => Number::Decimal(decimal::div(left, right)),
            Pair::Int { .. } | Pair::Double(..) => Number::Double(self.to_f64() / other.to_f64()),
        })
    }

    /// Remainder with the sign of the dividend. `None` if the divisor is zero.
    pub fn modulo(self, other: Number) -> Option<Number> {
        if other.is_zero() {
            return None;
        }
        Some(match pair(self, other) {
            // i64::MIN % -1 overflows in hardware; its remainder is 0.
            Pair::Int { left, right, both_i32 } => integer(left.checked_rem(right).unwrap_or(0), both_i32),
            Pair::Double(left, right) => Number::Double(left % right),
            Pair::Decimal(left, right) => Number::Decimal(decimal::rem(left, right)),
        })
    }

    /// With the other sign; the lowest int32 widens to int64, the lowest int64 to double.
    #[must_use]
    pub fn negate(self) -> Number {
        match self {
            Number::Double(number) => Number::Double(-number),
            Number::Decimal(number) => Number::Decimal(decimal::negate(number)),
            Number::Int32(_) | Number::Int64(_) => Number::Int32(0).sub(self),
        }
    }

    /// Without its sign; `None` for the lowest int64, where `$abs` answers an error.
    pub fn abs(self) -> Option<Number> {
        match self {
            Number::Int32(number) => Some(integer(i64::from(number).abs(), true)),
            Number::Int64(number) => number.checked_abs().map(Number::Int64),
            Number::Double(number) => Some(Number::Double(number.abs())),
            Number::Decimal(number) => Some(Number::Decimal(decimal::abs(number))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Number::{Double, Int32, Int64};

    fn decimal(text: &str) -> Number {
        Number::Decimal(decimal::parse(text).unwrap())
    }

    /// Checks type and value; decimals with their exponent.
    fn check(got: Option<Number>, wanted: Option<Number>) {
        let show = |number: Option<Number>| number.map(|number| format!("{:?}", number.to_bson()));
        assert_eq!(show(got), show(wanted));
    }

    #[test]
    fn arithmetic_widens() {
        check(Some(Int32(1).add(Int32(2))), Some(Int32(3)));
        check(Some(Int32(i32::MAX).add(Int32(1))), Some(Int64(1 << 31)));
        check(Some(Int32(1).add(Int64(2))), Some(Int64(3)));
        check(Some(Int64(i64::MAX).add(Int32(1))), Some(Double(2f64.powi(63))));
        check(Int64(i64::MAX).checked_add(Int32(1)), None);
        check(Some(Int32(1).add(Double(0.5))), Some(Double(1.5)));
        check(Some(Int32(1).add(decimal("0.10"))), Some(decimal("1.10")));
        check(Some(Double(0.1).add(decimal("0"))), Some(decimal("0.100000000000000")));
        check(Some(Int32(5).sub(Int64(7))), Some(Int64(-2)));
        check(Some(Int32(1 << 20).mul(Int32(1 << 20))), Some(Int64(1 << 40)));
        check(Int64(i64::MAX).checked_mul(Int32(2)), None);
        check(Int32(10).div(Int32(4)), Some(Double(2.5)));
        check(Int32(10).div(Int32(0)), None);
        check(Int32(10).div(Double(-0.0)), None);
        check(decimal("1").div(Int32(3)), Some(decimal("0.3333333333333333333333333333333333")));
        check(Int32(-7).modulo(Int32(3)), Some(Int32(-1)));
        check(Int64(i64::MIN).modulo(Int32(-1)), Some(Int64(0)));
        check(Double(7.5).modulo(Int32(2)), Some(Double(1.5)));
        check(decimal("7.5").modulo(Int32(-2)), Some(decimal("1.5")));
        check(Some(Int32(i32::MIN).negate()), Some(Int64(1 << 31)));
        check(Int32(i32::MIN).abs(), Some(Int64(1 << 31)));
        check(Int64(i64::MIN).abs(), None);
    }
}
