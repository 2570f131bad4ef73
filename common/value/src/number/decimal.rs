//! Decimal128: packing and unpacking of its bits, exact conversion, and arithmetic by Intel's library.
//! Encodings with a coefficient beyond 34 digits are zero, as IEEE 754 says; NaN payloads are ignored.

use bson::Decimal128;
use dfp_number_sys::{self as intel, bid128_000 as math};
use std::cmp::Ordering;

/// Digits of a decimal's coefficient.
const DIGITS_MAX: u32 = 34;
const EXPONENT_BIAS: i32 = 6176;
const EXPONENT_MAX: i32 = 6111;
const COEFFICIENT_MAX: u128 = 10u128.pow(DIGITS_MAX) - 1;
const NEAREST_EVEN: intel::RndMode = intel::RND_NEAREST_EVEN;
const TOWARD_ZERO: intel::RndMode = intel::RND_TOWARD_ZERO;

/// The parts of a decimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unpacked {
    NaN,
    Infinity {
        negative: bool,
    },
    /// `coefficient` × 10^`exponent`.
    Finite {
        negative: bool,
        coefficient: u128,
        exponent: i32,
    },
}

/// Reads the bits.
pub fn unpack(decimal: Decimal128) -> Unpacked {
    let bits = u128::from_le_bytes(decimal.bytes());
    let high = (bits >> 64) as u64;
    let negative = high >> 63 == 1;
    match (high >> 58) & 0x1F {
        0x1F => return Unpacked::NaN,
        0x1E => return Unpacked::Infinity { negative },
        _ => {}
    }
    // Both top bits of the combination field set: a coefficient above the maximum, hence zero.
    if (high >> 61) & 3 == 3 {
        let exponent = ((high >> 47) & 0x3FFF) as i32 - EXPONENT_BIAS;
        return Unpacked::Finite { negative, coefficient: 0, exponent };
    }
    let exponent = ((high >> 49) & 0x3FFF) as i32 - EXPONENT_BIAS;
    let coefficient = bits & ((1u128 << 113) - 1);
    let coefficient = if coefficient > COEFFICIENT_MAX { 0 } else { coefficient };
    Unpacked::Finite { negative, coefficient, exponent }
}

/// Writes the bits. `None` if coefficient or exponent are out of range.
pub fn pack(parts: Unpacked) -> Option<Decimal128> {
    let sign = |negative: bool| u128::from(negative) << 127;
    let bits = match parts {
        Unpacked::NaN => 0x1F << 122,
        Unpacked::Infinity { negative } => sign(negative) | (0x1E << 122),
        Unpacked::Finite { negative, coefficient, exponent } => {
            if coefficient > COEFFICIENT_MAX || !(-EXPONENT_BIAS..=EXPONENT_MAX).contains(&exponent) {
                return None;
            }
            sign(negative) | ((exponent + EXPONENT_BIAS) as u128) << 113 | coefficient
        }
    };
    Some(Decimal128::from_bytes(bits.to_le_bytes()))
}

fn digits(coefficient: u128) -> u32 {
    coefficient.checked_ilog10().map_or(1, |log| log + 1)
}

/// A finite magnitude other than zero with exactly 34 digits, so that equal values have equal parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Magnitude {
    /// The exponent of the first digit.
    pub exponent: i32,
    /// 34 digits, the first not 0.
    pub coefficient: u128,
}

impl Magnitude {
    /// Of `coefficient` × 10^`exponent`; `None` for zero.
    pub fn new(coefficient: u128, exponent: i32) -> Option<Magnitude> {
        if coefficient == 0 {
            return None;
        }
        let digits = digits(coefficient);
        let shift = DIGITS_MAX.checked_sub(digits)?;
        Some(Magnitude {
            exponent: exponent + digits as i32 - 1,
            coefficient: coefficient * 10u128.pow(shift),
        })
    }
}

/// Compares two values of sign and magnitude; NaN lowest and equal to itself, both zeros equal.
pub fn compare(left: Decimal128, right: Decimal128) -> Ordering {
    rank(left).cmp(&rank(right)).then_with(|| {
        let (
            Unpacked::Finite { negative, coefficient: c1, exponent: e1 },
            Unpacked::Finite { coefficient: c2, exponent: e2, .. },
        ) = (unpack(left), unpack(right))
        else {
            return Ordering::Equal;
        };
        let order = Magnitude::new(c1, e1).cmp(&Magnitude::new(c2, e2));
        if negative { order.reverse() } else { order }
    })
}

/// NaN, -inf, negative, zero, positive, inf.
fn rank(decimal: Decimal128) -> i32 {
    match unpack(decimal) {
        Unpacked::NaN => 0,
        Unpacked::Infinity { negative: true } => 1,
        Unpacked::Finite { coefficient: 0, .. } => 3,
        Unpacked::Finite { negative: true, .. } => 2,
        Unpacked::Finite { .. } => 4,
        Unpacked::Infinity { negative: false } => 5,
    }
}

/// Whether it is a NaN.
pub fn is_nan(decimal: Decimal128) -> bool {
    unpack(decimal) == Unpacked::NaN
}

fn intel(decimal: Decimal128) -> intel::BID128 {
    let bits = u128::from_le_bytes(decimal.bytes());
    intel::BID128::new(bits as u64, (bits >> 64) as u64)
}

/// The binding shows its result only as text; `+12E-1` keeps digits and exponent exactly.
fn from_intel(number: intel::BID128) -> Decimal128 {
    let mut flags = 0;
    let text = math::bid128_to_string(number, &mut flags);
    parse_exact(&text).unwrap_or_else(nan)
}

fn nan() -> Decimal128 {
    Decimal128::from_bytes((0x1Fu128 << 122).to_le_bytes())
}

fn parse_exact(text: &str) -> Option<Decimal128> {
    let (negative, body) = match text.strip_prefix('-') {
        Some(body) => (true, body),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = body.to_ascii_lowercase();
    if lower == "inf" || lower == "infinity" {
        return pack(Unpacked::Infinity { negative });
    }
    if lower == "nan" || lower == "snan" {
        return Some(nan());
    }
    let (digits, exponent) = lower.split_once('e')?;
    pack(Unpacked::Finite { negative, coefficient: digits.parse().ok()?, exponent: exponent.parse().ok()? })
}

/// Reads decimal text, rounding to 34 digits. `None` if it is not a number.
pub fn parse(text: &str) -> Option<Decimal128> {
    let text = text.trim();
    if !is_decimal_text(text) {
        return None;
    }
    let mut flags = 0;
    Some(from_intel(math::bid128_from_string(text, NEAREST_EVEN, &mut flags)))
}

fn is_decimal_text(text: &str) -> bool {
    let body = text.strip_prefix(['+', '-']).unwrap_or(text);
    if ["inf", "infinity", "nan"].iter().any(|word| body.eq_ignore_ascii_case(word)) {
        return true;
    }
    let (mantissa, exponent) = match body.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (body, None),
    };
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent_ok = exponent.is_none_or(|exponent| {
        let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !digits.is_empty() && all_digits(digits)
    });
    !(whole.is_empty() && fraction.is_empty()) && all_digits(whole) && all_digits(fraction) && exponent_ok
}

/// From an integer, exactly.
pub fn from_i64(number: i64) -> Decimal128 {
    let parts = Unpacked::Finite {
        negative: number < 0,
        coefficient: u128::from(number.unsigned_abs()),
        exponent: 0,
    };
    pack(parts).unwrap_or_else(nan)
}

/// From a double to 15 digits, as MongoDB converts.
pub fn from_f64(number: f64) -> Decimal128 {
    if number.is_nan() {
        return nan();
    }
    if number.is_infinite() {
        return pack(Unpacked::Infinity { negative: number < 0.0 }).unwrap_or_else(nan);
    }
    if number == 0.0 {
        let parts = Unpacked::Finite { negative: number.is_sign_negative(), coefficient: 0, exponent: 0 };
        return pack(parts).unwrap_or_else(nan);
    }
    parse(&format!("{number:.14e}")).unwrap_or_else(nan)
}

/// The nearest double.
pub fn to_f64(decimal: Decimal128) -> f64 {
    let mut flags = 0;
    math::bid128_to_binary64(intel(decimal), NEAREST_EVEN, &mut flags)
}

/// The double next to it toward zero, and whether that is exactly the same number.
pub fn to_f64_truncated(decimal: Decimal128) -> (f64, bool) {
    let mut flags = 0;
    let double = math::bid128_to_binary64(intel(decimal), TOWARD_ZERO, &mut flags);
    (double, flags & intel::EXE_INEXACT == 0)
}

/// The whole part of `coefficient` × 10^`exponent` and whether there is no fraction; `None` beyond u128.
fn whole(coefficient: u128, exponent: i32) -> Option<(u128, bool)> {
    if coefficient == 0 {
        return Some((0, true));
    }
    let power = exponent.unsigned_abs();
    if exponent >= 0 {
        return Some((coefficient.checked_mul(10u128.checked_pow(power)?)?, true));
    }
    match 10u128.checked_pow(power) {
        Some(divisor) => Some((coefficient / divisor, coefficient.is_multiple_of(divisor))),
        None => Some((0, false)),
    }
}

/// The whole part of the magnitude and whether there is no fraction; `None` if not finite or beyond u64.
pub fn whole_part(decimal: Decimal128) -> Option<(u64, bool)> {
    let Unpacked::Finite { coefficient, exponent, .. } = unpack(decimal) else { return None };
    let (whole, exact) = whole(coefficient, exponent)?;
    Some((u64::try_from(whole).ok()?, exact))
}

/// The value without its fraction, if int64 holds it.
pub fn to_i64_truncated(decimal: Decimal128) -> Option<i64> {
    let Unpacked::Finite { negative, coefficient, exponent } = unpack(decimal) else { return None };
    let magnitude = i128::try_from(whole(coefficient, exponent)?.0).ok()?;
    i64::try_from(if negative { -magnitude } else { magnitude }).ok()
}

/// The value without its fraction, held within int64; NaN becomes 0.
pub fn to_i64_saturating(decimal: Decimal128) -> i64 {
    match unpack(decimal) {
        Unpacked::NaN => 0,
        Unpacked::Infinity { negative } | Unpacked::Finite { negative, .. } => {
            to_i64_truncated(decimal).unwrap_or(if negative { i64::MIN } else { i64::MAX })
        }
    }
}

macro_rules! unary {
    ($($(#[$doc:meta])* $name:ident = $call:expr;)*) => {
        $($(#[$doc])* pub fn $name(decimal: Decimal128) -> Decimal128 {
            let mut flags = 0;
            let call: fn(intel::BID128, &mut intel::ExcFlags) -> intel::BID128 = $call;
            from_intel(call(intel(decimal), &mut flags))
        })*
    };
}

macro_rules! binary {
    ($($(#[$doc:meta])* $name:ident = $call:expr;)*) => {
        $($(#[$doc])* pub fn $name(left: Decimal128, right: Decimal128) -> Decimal128 {
            let mut flags = 0;
            let call: fn(intel::BID128, intel::BID128, &mut intel::ExcFlags) -> intel::BID128 = $call;
            from_intel(call(intel(left), intel(right), &mut flags))
        })*
    };
}

unary! {
    /// To the nearest whole number, halves to even.
    round_half_even = |x, flags| math::bid128_round_integral_nearest_even(x, flags);
    /// Without its fraction.
    trunc = |x, flags| math::bid128_round_integral_zero(x, flags);
    /// The whole number at or below.
    floor = |x, flags| math::bid128_round_integral_negative(x, flags);
    /// The whole number at or above.
    ceil = |x, flags| math::bid128_round_integral_positive(x, flags);
    /// The square root; NaN below zero.
    sqrt = |x, flags| math::bid128_sqrt(x, NEAREST_EVEN, flags);
    /// e to that power.
    exp = |x, flags| math::bid128_exp(x, NEAREST_EVEN, flags);
    /// The natural logarithm.
    ln = |x, flags| math::bid128_log(x, NEAREST_EVEN, flags);
    /// The logarithm to base 10.
    log10 = |x, flags| math::bid128_log10(x, NEAREST_EVEN, flags);
}

binary! {
    /// Sum.
    add = |x, y, flags| math::bid128_add(x, y, NEAREST_EVEN, flags);
    /// Difference.
    sub = |x, y, flags| math::bid128_sub(x, y, NEAREST_EVEN, flags);
    /// Product.
    mul = |x, y, flags| math::bid128_mul(x, y, NEAREST_EVEN, flags);
    /// Quotient.
    div = |x, y, flags| math::bid128_div(x, y, NEAREST_EVEN, flags);
    /// Remainder with the sign of the dividend.
    rem = |x, y, flags| math::bid128_fmod(x, y, flags);
    /// Power.
    pow = |x, y, flags| math::bid128_pow(x, y, NEAREST_EVEN, flags);
    /// `x` with the exponent of `y`, halves to even.
    quantize_half_even = |x, y, flags| math::bid128_quantize(x, y, NEAREST_EVEN, flags);
    /// `x` with the exponent of `y`, further digits dropped.
    quantize_trunc = |x, y, flags| math::bid128_quantize(x, y, TOWARD_ZERO, flags);
}

/// With the other sign.
pub fn negate(decimal: Decimal128) -> Decimal128 {
    let bits = u128::from_le_bytes(decimal.bytes()) ^ (1 << 127);
    Decimal128::from_bytes(bits.to_le_bytes())
}

/// Without its sign.
pub fn abs(decimal: Decimal128) -> Decimal128 {
    let bits = u128::from_le_bytes(decimal.bytes()) & !(1 << 127);
    Decimal128::from_bytes(bits.to_le_bytes())
}
