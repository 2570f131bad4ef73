//! Rounding: floor, ceiling, and `$round`/`$trunc` to a decimal place (-20 to 100).

use super::{Number, decimal};

impl Number {
    /// The whole number at or below, of the same type.
    #[must_use]
    pub fn floor(self) -> Number {
        match self {
            Number::Double(number) => Number::Double(number.floor()),
            Number::Decimal(number) => Number::Decimal(decimal::floor(number)),
            Number::Int32(_) | Number::Int64(_) => self,
        }
    }

    /// The whole number at or above, of the same type.
    #[must_use]
    pub fn ceil(self) -> Number {
        match self {
            Number::Double(number) => Number::Double(number.ceil()),
            Number::Decimal(number) => Number::Decimal(decimal::ceil(number)),
            Number::Int32(_) | Number::Int64(_) => self,
        }
    }

    /// To `place` digits after the point, halves to even; a negative place rounds before the point.
    /// `None` if an int64 would overflow.
    pub fn round(self, place: i32) -> Option<Number> {
        self.to_place(place, true)
    }

    /// As [`Number::round`], further digits dropped.
    pub fn trunc(self, place: i32) -> Option<Number> {
        self.to_place(place, false)
    }

    fn to_place(self, place: i32, nearest: bool) -> Option<Number> {
        match self {
            Number::Int32(number) => match i32::try_from(int_to_place(i64::from(number), place, nearest)?) {
                Ok(narrow) => Some(Number::Int32(narrow)),
                Err(_) => int_to_place(i64::from(number), place, nearest).map(Number::Int64),
            },
            Number::Int64(number) => int_to_place(number, place, nearest).map(Number::Int64),
            Number::Double(number) if !number.is_finite() => Some(self),
            Number::Double(number) if place == 0 => {
                Some(Number::Double(if nearest { number.round_ties_even() } else { number.trunc() }))
            }
            // The digits that a user sees decide: by way of decimal, 2.675 rounds as written and not as stored.
            Number::Double(number) => {
                let text = format!("{number:e}");
                let exact = decimal::parse(&text)?;
                Some(Number::Double(decimal::to_f64(decimal_to_place(exact, place, nearest))))
            }
            Number::Decimal(number) => Some(Number::Decimal(decimal_to_place(number, place, nearest))),
        }
    }
}

fn int_to_place(number: i64, place: i32, nearest: bool) -> Option<i64> {
    if place >= 0 {
        return Some(number);
    }
    let Some(unit) = 10i128.checked_pow(place.unsigned_abs()) else { return Some(0) };
    let number = i128::from(number);
    let rest = number % unit;
    let base = number - rest;
    let twice = rest.abs() * 2;
    let up = nearest && (twice > unit || (twice == unit && (base / unit) % 2 != 0));
    i64::try_from(if up { base + unit * number.signum() } else { base }).ok()
}

fn decimal_to_place(number: bson::Decimal128, place: i32, nearest: bool) -> bson::Decimal128 {
    let decimal::Unpacked::Finite { exponent, .. } = decimal::unpack(number) else { return number };
    // Fewer digits after the point than asked for: nothing to round.
    if exponent >= -place {
        return number;
    }
    let unit = decimal::pack(decimal::Unpacked::Finite { negative: false, coefficient: 1, exponent: -place });
    match unit {
        Some(unit) if nearest => decimal::quantize_half_even(number, unit),
        Some(unit) => decimal::quantize_trunc(number, unit),
        None => number,
    }
}
