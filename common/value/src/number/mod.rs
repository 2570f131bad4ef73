//! Numbers of all four BSON types as one: exact comparison, arithmetic with MongoDB's widening, rounding, conversion.
//! Comparison is exact across types; arithmetic follows the wider type, and int64 overflow goes on as double.

mod arithmetic;
mod compare;
pub mod decimal;
mod round;

use bson::{Bson, Decimal128, RawBson, RawBsonRef};

/// A number of any BSON type.
#[derive(Debug, Clone, Copy)]
pub enum Number {
    Int32(i32),
    Int64(i64),
    Double(f64),
    Decimal(Decimal128),
}

/// Equal under [`Number::compare`]: `1`, `1.0` and `1.00` are equal, and so are two NaNs.
impl PartialEq for Number {
    fn eq(&self, other: &Number) -> bool {
        self.compare(*other).is_eq()
    }
}

impl Number {
    /// The number in a raw value, if it is one.
    pub fn from_raw(value: RawBsonRef<'_>) -> Option<Number> {
        match value {
            RawBsonRef::Int32(number) => Some(Number::Int32(number)),
            RawBsonRef::Int64(number) => Some(Number::Int64(number)),
            RawBsonRef::Double(number) => Some(Number::Double(number)),
            RawBsonRef::Decimal128(number) => Some(Number::Decimal(number)),
            _ => None,
        }
    }

    /// The number in an owned value, if it is one.
    pub fn from_bson(value: &Bson) -> Option<Number> {
        match value {
            Bson::Int32(number) => Some(Number::Int32(*number)),
            Bson::Int64(number) => Some(Number::Int64(*number)),
            Bson::Double(number) => Some(Number::Double(*number)),
            Bson::Decimal128(number) => Some(Number::Decimal(*number)),
            _ => None,
        }
    }

    /// As an owned value of its own type.
    pub fn to_bson(self) -> Bson {
        match self {
            Number::Int32(number) => Bson::Int32(number),
            Number::Int64(number) => Bson::Int64(number),
            Number::Double(number) => Bson::Double(number),
            Number::Decimal(number) => Bson::Decimal128(number),
        }
    }

    /// As a raw value of its own type.
    pub fn to_raw(self) -> RawBson {
        match self {
            Number::Int32(number) => RawBson::Int32(number),
            Number::Int64(number) => RawBson::Int64(number),
            Number::Double(number) => RawBson::Double(number),
            Number::Decimal(number) => RawBson::Decimal128(number),
        }
    }

    /// As a raw value that borrows nothing.
    pub fn to_raw_ref(self) -> RawBsonRef<'static> {
        match self {
            Number::Int32(number) => RawBsonRef::Int32(number),
            Number::Int64(number) => RawBsonRef::Int64(number),
            Number::Double(number) => RawBsonRef::Double(number),
            Number::Decimal(number) => RawBsonRef::Decimal128(number),
        }
    }

    /// Whether it is a NaN of double or decimal.
    pub fn is_nan(self) -> bool {
        match self {
            Number::Int32(_) | Number::Int64(_) => false,
            Number::Double(number) => number.is_nan(),
            Number::Decimal(number) => decimal::is_nan(number),
        }
    }

    /// Whether it is neither NaN nor infinite.
    pub fn is_finite(self) -> bool {
        match self {
            Number::Int32(_) | Number::Int64(_) => true,
            Number::Double(number) => number.is_finite(),
            Number::Decimal(number) => matches!(decimal::unpack(number), decimal::Unpacked::Finite { .. }),
        }
    }

    /// Whether it is zero of either sign.
    pub fn is_zero(self) -> bool {
        match self {
            Number::Int32(number) => number == 0,
            Number::Int64(number) => number == 0,
            Number::Double(number) => number == 0.0,
            Number::Decimal(number) => {
                matches!(decimal::unpack(number), decimal::Unpacked::Finite { coefficient: 0, .. })
            }
        }
    }

    /// Whether it is below zero; false for NaN and both zeros.
    pub fn is_negative(self) -> bool {
        !self.is_nan() && self.compare(Number::Int32(0)).is_lt()
    }

    /// Whether it is of an integer type.
    pub fn is_integer_type(self) -> bool {
        matches!(self, Number::Int32(_) | Number::Int64(_))
    }

    /// The value as int64 if it is a whole number within range.
    pub fn to_i64_exact(self) -> Option<i64> {
        let truncated = match self {
            Number::Int32(number) => i64::from(number),
            Number::Int64(number) => number,
            Number::Double(_) | Number::Decimal(_) => self.to_i64_truncated()?,
        };
        (self.compare(Number::Int64(truncated)).is_eq()).then_some(truncated)
    }

    /// The value as int32 if it is a whole number within range.
    pub fn to_i32_exact(self) -> Option<i32> {
        self.to_i64_exact().and_then(|number| i32::try_from(number).ok())
    }

    /// The value without its fraction; `None` for NaN and what int64 does not hold.
    pub fn to_i64_truncated(self) -> Option<i64> {
        match self {
            Number::Int32(number) => Some(i64::from(number)),
            Number::Int64(number) => Some(number),
            // -2^63 is a double, 2^63 is the first double that is too large.
            Number::Double(number) => (-TWO_POW_63..TWO_POW_63).contains(&number).then_some(number as i64),
            Number::Decimal(number) => decimal::to_i64_truncated(number),
        }
    }

    /// The value without its fraction, held within int64; NaN becomes 0. As MongoDB's `safeNumberLong`.
    pub fn to_i64_saturating(self) -> i64 {
        match self {
            Number::Int32(number) => i64::from(number),
            Number::Int64(number) => number,
            // Rust's cast saturates and turns NaN into 0.
            Number::Double(number) => number as i64,
            Number::Decimal(number) => decimal::to_i64_saturating(number),
        }
    }

    /// The nearest double.
    pub fn to_f64(self) -> f64 {
        match self {
            Number::Int32(number) => f64::from(number),
            Number::Int64(number) => number as f64,
            Number::Double(number) => number,
            Number::Decimal(number) => decimal::to_f64(number),
        }
    }

    /// As decimal; a double is taken to 15 digits, as MongoDB does.
    pub fn to_decimal(self) -> Decimal128 {
        match self {
            Number::Int32(number) => decimal::from_i64(i64::from(number)),
            Number::Int64(number) => decimal::from_i64(number),
            Number::Double(number) => decimal::from_f64(number),
            Number::Decimal(number) => number,
        }
    }

    /// Reads decimal text such as `-1.5E+3`, `NaN`, `Infinity`.
    pub fn parse_decimal(text: &str) -> Option<Decimal128> {
        decimal::parse(text)
    }
}

pub(crate) const TWO_POW_63: f64 = 9_223_372_036_854_775_808.0;
