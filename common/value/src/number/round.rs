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

#[cfg(test)]
mod tests {
    use super::*;
    use Number::{Double, Int32, Int64};

    fn check(number: Number, place: i32, rounded: Number, truncated: Number) {
        let show = |number: Option<Number>| number.map(|number| format!("{:?}", number.to_bson()));
        assert_eq!(show(number.round(place)), show(Some(rounded)), "round {number:?} to {place}");
        assert_eq!(show(number.trunc(place)), show(Some(truncated)), "trunc {number:?} to {place}");
    }

    #[test]
    fn rounds_halves_to_even() {
        let decimal = |text: &str| Number::Decimal(decimal::parse(text).unwrap());
        check(Double(2.5), 0, Double(2.0), Double(2.0));
        check(Double(-3.5), 0, Double(-4.0), Double(-3.0));
        check(Double(1234.5678), 2, Double(1234.57), Double(1234.56));
        check(Double(1234.5678), -2, Double(1200.0), Double(1200.0));
        check(Double(2.675), 2, Double(2.68), Double(2.67));
        check(Int32(1250), -2, Int32(1200), Int32(1200));
        check(Int32(1350), -2, Int32(1400), Int32(1300));
        check(Int32(-1251), -2, Int32(-1300), Int32(-1200));
        check(Int32(i32::MAX), -1, Int64(2_147_483_650), Int32(2_147_483_640));
        check(Int64(5), -20, Int64(0), Int64(0));
        check(decimal("1.25"), 1, decimal("1.2"), decimal("1.2"));
        check(decimal("1.25"), 5, decimal("1.25"), decimal("1.25"));
        check(decimal("155"), -1, decimal("1.6E+2"), decimal("1.5E+2"));
        assert!(Int64(i64::MAX).round(-1).is_none());
        assert!(Double(f64::NAN).round(1).unwrap().is_nan());
    }
}
