//! `$sum`: integers exactly, doubles with a compensated sum so that the order hardly matters, decimals as decimals.
//! The result has the widest type seen; int32 grows to int64, int64 to double.

use super::{State, elements, malformed};
use crate::expr::{Evaluated, number};
use bson::{Decimal128, RawArrayBuf, RawBson, RawBsonRef};
use types::Fault;
use value::number::{Number, decimal};

pub(super) fn start() -> Box<dyn State> {
    Box::new(Sum::default())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
enum Widest {
    #[default]
    Int32,
    Int64,
    Double,
    Decimal,
}

/// A running sum.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sum {
    widest: Widest,
    integers: i128,
    /// The finite doubles: sum and what rounding lost.
    sum: f64,
    lost: f64,
    /// The infinities and NaNs.
    special: f64,
    decimals: Option<Decimal128>,
}

impl Sum {
    pub(super) fn add_number(&mut self, number: Number) {
        match number {
            Number::Int32(number) => self.integers += i128::from(number),
            Number::Int64(number) => {
                self.integers += i128::from(number);
                self.widest = self.widest.max(Widest::Int64);
            }
            Number::Double(number) => {
                self.add_double(number);
                self.widest = self.widest.max(Widest::Double);
            }
            Number::Decimal(number) => {
                self.decimals = Some(self.decimals.map_or(number, |sum| decimal::add(sum, number)));
                self.widest = Widest::Decimal;
            }
        }
    }

    fn add_double(&mut self, number: f64) {
        if !number.is_finite() {
            self.special += number;
            return;
        }
        // Knuth's two-sum: the exact error of the rounded sum.
        let sum = self.sum + number;
        let part = sum - self.sum;
        self.lost += (self.sum - (sum - part)) + (number - part);
        self.sum = sum;
    }

    fn double(&self) -> f64 {
        if self.special != 0.0 || self.special.is_nan() {
            return self.special;
        }
        let total = self.sum + self.lost;
        // Past the range the error term is NaN; the sum itself is the infinity.
        if total.is_nan() { self.sum } else { total }
    }

    pub(super) fn total(&self) -> Number {
        match self.widest {
            Widest::Int32 => match (i32::try_from(self.integers), i64::try_from(self.integers)) {
                (Ok(narrow), _) => Number::Int32(narrow),
                (_, Ok(wide)) => Number::Int64(wide),
                _ => Number::Double(self.integers as f64),
            },
            Widest::Int64 => {
                i64::try_from(self.integers).map_or(Number::Double(self.integers as f64), Number::Int64)
            }
            Widest::Double => {
                let mut whole = *self;
                whole.add_double(self.integers as f64);
                Number::Double(whole.double())
            }
            Widest::Decimal => {
                let integers = i64::try_from(self.integers)
                    .map_or_else(|_| decimal::from_f64(self.integers as f64), decimal::from_i64);
                let doubles = decimal::from_f64(self.double());
                let decimals = self.decimals.unwrap_or_else(|| decimal::from_i64(0));
                let total = if self.integers == 0 { decimals } else { decimal::add(decimals, integers) };
                let no_doubles = self.sum == 0.0 && self.special == 0.0;
                Number::Decimal(if no_doubles { total } else { decimal::add(total, doubles) })
            }
        }
    }

    /// The sum as an array of its parts.
    pub(super) fn to_parts(self) -> RawArrayBuf {
        let mut parts = RawArrayBuf::new();
        parts.push(self.widest as i32);
        parts.push((self.integers >> 64) as i64);
        parts.push(self.integers as u64 as i64);
        parts.push(self.sum);
        parts.push(self.lost);
        parts.push(self.special);
        if let Some(decimals) = self.decimals {
            parts.push(decimals);
        }
        parts
    }

    /// Adds the parts of another sum.
    pub(super) fn add_parts(&mut self, parts: &[RawBson]) -> Result<(), Fault> {
        let (head, decimals) = parts.split_at_checked(6).ok_or_else(|| malformed("$sum"))?;
        let [
            RawBson::Int32(widest),
            RawBson::Int64(high),
            RawBson::Int64(low),
            RawBson::Double(sum),
            RawBson::Double(lost),
            RawBson::Double(special),
        ] = head
        else {
            return Err(malformed("$sum"));
        };
        let widest = match widest {
            0 => Widest::Int32,
            1 => Widest::Int64,
            2 => Widest::Double,
            3 => Widest::Decimal,
            _ => return Err(malformed("$sum")),
        };
        let integers = (i128::from(*high) << 64) | i128::from(*low as u64);
        self.integers = self.integers.checked_add(integers).ok_or_else(|| malformed("$sum"))?;
        self.add_double(*sum);
        self.lost += lost;
        self.special += special;
        if let Some(RawBson::Decimal128(number)) = decimals.first() {
            self.add_number(Number::Decimal(*number));
        }
        self.widest = self.widest.max(widest);
        Ok(())
    }
}

/// The number in a value; anything else does not count.
pub(super) fn numeric(value: Evaluated<'_>) -> Option<Number> {
    match value {
        Evaluated::Raw(raw) => Number::from_raw(raw),
        Evaluated::Owned(value) => number(&value),
        Evaluated::Missing => None,
    }
}

impl State for Sum {
    fn add(&mut self, value: Evaluated<'_>) -> Result<usize, Fault> {
        if let Some(number) = numeric(value) {
            self.add_number(number);
        }
        Ok(0)
    }

    fn merge(&mut self, partial: RawBsonRef<'_>) -> Result<usize, Fault> {
        self.add_parts(&elements("$sum", partial)?)?;
        Ok(0)
    }

    fn partial(&mut self) -> Result<RawBson, Fault> {
        Ok(RawBson::Array(self.to_parts()))
    }

    fn result(&mut self) -> Result<RawBson, Fault> {
        Ok(self.total().to_raw())
    }
}
