//! Numbers as sortable bytes, exact across int32, int64, double and decimal.
//!
//! The tag gives sign and size class of the magnitude m; bytes after a negative tag are inverted.
//! - whole numbers below 2^63: `2m` in as few bytes as it takes, the tag counting them;
//! - others between 1 and 2^63: `2⌊m⌋ + 1` likewise, then a *tail*;
//! - below 1, and from 2^63 on (infinity included): the tail alone.
//!
//! The tail is the double next to m toward zero, then `00` if that is m itself, else `01` and m as a 34-digit decimal: between
//! two neighbouring doubles there are only decimals, and those sort by their digits.

use crate::number::decimal::{self, Magnitude, Unpacked};
use crate::number::{Number, TWO_POW_63};
use bson::Decimal128;

pub(super) const NAN: u8 = 0x1E;
/// From 2^63 down to minus infinity.
const NEGATIVE_LARGE: u8 = 0x1F;
/// Minus the number of bytes, 1 to 8.
const NEGATIVE_WHOLE: u8 = 0x28;
const NEGATIVE_SMALL: u8 = 0x28;
const ZERO: u8 = 0x29;
const POSITIVE_SMALL: u8 = 0x2A;
/// Plus the number of bytes, 1 to 8.
const POSITIVE_WHOLE: u8 = 0x2A;
const POSITIVE_LARGE: u8 = 0x33;
/// Keeps every decimal exponent positive.
const EXPONENT_OFFSET: i32 = 0x4000;

pub(super) fn encode(out: &mut Vec<u8>, number: Number) {
    match number {
        Number::Int32(number) => integer(out, i64::from(number)),
        Number::Int64(number) => integer(out, number),
        Number::Double(number) => double(out, number),
        Number::Decimal(number) => decimal(out, number),
    }
}

fn integer(out: &mut Vec<u8>, number: i64) {
    let magnitude = number.unsigned_abs();
    if magnitude == 0 {
        out.push(ZERO);
    } else if magnitude < 1 << 63 {
        whole(out, number < 0, magnitude << 1);
    } else {
        large(out, true, |out| tail(out, TWO_POW_63, None));
    }
}

fn double(out: &mut Vec<u8>, number: f64) {
    if number.is_nan() {
        out.push(NAN);
    } else if number == 0.0 {
        out.push(ZERO);
    } else {
        magnitude(out, number < 0.0, number.abs(), None);
    }
}

fn decimal(out: &mut Vec<u8>, number: Decimal128) {
    match decimal::unpack(number) {
        Unpacked::NaN => out.push(NAN),
        Unpacked::Infinity { negative } => magnitude(out, negative, f64::INFINITY, None),
        Unpacked::Finite { negative, coefficient, exponent } => {
            let Some(digits) = Magnitude::new(coefficient, exponent) else {
                out.push(ZERO);
                return;
            };
            if let Some((whole_part, true)) = decimal::whole_part(number)
                && whole_part < 1 << 63
            {
                whole(out, negative, whole_part << 1);
                return;
            }
            let (truncated, exact) = decimal::to_f64_truncated(number);
            magnitude(out, negative, truncated.abs(), (!exact).then_some(digits));
        }
    }
}

/// A magnitude other than zero, as the double toward zero and the decimal beyond it.
fn magnitude(out: &mut Vec<u8>, negative: bool, double: f64, beyond: Option<Magnitude>) {
    if double >= TWO_POW_63 {
        large(out, negative, |out| tail(out, double, beyond));
    } else if double >= 1.0 {
        let floor = double as u64;
        if beyond.is_none() && floor as f64 == double {
            whole(out, negative, floor << 1);
        } else {
            whole(out, negative, (floor << 1) | 1);
            signed(out, negative, |out| tail(out, double, beyond));
        }
    } else {
        out.push(if negative { NEGATIVE_SMALL } else { POSITIVE_SMALL });
        signed(out, negative, |out| tail(out, double, beyond));
    }
}

fn whole(out: &mut Vec<u8>, negative: bool, doubled: u64) {
    let skipped = (doubled.leading_zeros() / 8) as usize;
    let count = (8 - skipped) as u8;
    out.push(if negative { NEGATIVE_WHOLE - count } else { POSITIVE_WHOLE + count });
    let bytes = if negative { !doubled } else { doubled }.to_be_bytes();
    out.extend(bytes.iter().skip(skipped));
}

fn large(out: &mut Vec<u8>, negative: bool, write: impl FnOnce(&mut Vec<u8>)) {
    out.push(if negative { NEGATIVE_LARGE } else { POSITIVE_LARGE });
    signed(out, negative, write);
}

fn signed(out: &mut Vec<u8>, negative: bool, write: impl FnOnce(&mut Vec<u8>)) {
    super::directed(out, negative, write);
}

fn tail(out: &mut Vec<u8>, double: f64, beyond: Option<Magnitude>) {
    out.extend_from_slice(&double.to_bits().to_be_bytes());
    match beyond {
        None => out.push(0),
        Some(digits) => {
            out.push(1);
            out.extend_from_slice(&((digits.exponent + EXPONENT_OFFSET) as u16).to_be_bytes());
            out.extend_from_slice(&digits.coefficient.to_be_bytes());
        }
    }
}
