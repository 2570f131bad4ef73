//! `$bitsAllSet $bitsAllClear $bitsAnySet $bitsAnyClear` on integers and binary data.
//! An integer is sign-extended: every position past 63 is its sign. Binary data is zero-extended.

use crate::raw::{Field, fields};
use bson::{RawBson, RawBsonRef};
use types::{Code, Fault};
use value::number::Number;

/// Which of the four tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quantity {
    AllSet,
    AllClear,
    AnySet,
    AnyClear,
}

/// Bit positions and what is asked of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bits {
    quantity: Quantity,
    positions: Vec<u32>,
}

impl Bits {
    /// Reads the operand: a mask as a number or binary data, or an array of positions.
    pub(super) fn parse(name: &str, quantity: Quantity, operand: &Field<'_>) -> Result<Bits, Fault> {
        let value = operand.value()?;
        let positions = if let Some(array) = operand.array()? {
            let mut positions = Vec::new();
            for element in fields(array) {
                positions.push(position(name, element?.value()?)?);
            }
            positions
        } else if let RawBsonRef::Binary(mask) = value {
            // A position is a u32, and a document is far below 2^29 bytes.
            (0..mask.bytes.len() as u32 * 8).filter(|at| byte_bit(mask.bytes, *at)).collect()
        } else if let Some(number) = Number::from_raw(value) {
            let mask = whole(name, number)?;
            if mask < 0 {
                return Err(expected("a non-negative number", name, value));
            }
            (0..63).filter(|at| mask >> at & 1 == 1).collect()
        } else {
            let value = RawBson::from(value);
            return Err(Fault::bad_value(format!(
                "{name} takes an Array, a number, or a BinData but received: {name}: {value:?}"
            )));
        };
        Ok(Bits { quantity, positions })
    }

    pub(super) fn test(&self, field: &Field<'_>) -> Result<bool, Fault> {
        let value = field.value()?;
        if let RawBsonRef::Binary(data) = value {
            return Ok(self.judge(|at| byte_bit(data.bytes, at)));
        }
        // A number with a fraction, or past 64 bits, has no bits to test.
        let Some(number) = Number::from_raw(value).and_then(Number::to_i64_exact) else { return Ok(false) };
        Ok(self.judge(|at| number >> at.min(63) & 1 == 1))
    }

    fn judge(&self, set: impl Fn(u32) -> bool) -> bool {
        let mut positions = self.positions.iter();
        match self.quantity {
            Quantity::AllSet => positions.all(|at| set(*at)),
            Quantity::AllClear => positions.all(|at| !set(*at)),
            Quantity::AnySet => positions.any(|at| set(*at)),
            Quantity::AnyClear => positions.any(|at| !set(*at)),
        }
    }
}

fn byte_bit(bytes: &[u8], at: u32) -> bool {
    bytes.get(at as usize / 8).is_some_and(|byte| byte >> (at % 8) & 1 == 1)
}

fn whole(name: &str, number: Number) -> Result<i64, Fault> {
    number.to_i64_exact().ok_or_else(|| expected("an integer", name, number.to_raw_ref()))
}

fn position(name: &str, value: RawBsonRef<'_>) -> Result<u32, Fault> {
    let Some(number) = Number::from_raw(value) else {
        return Err(Fault::bad_value(format!(
            "Failed to parse bit position. Expected a number in: {name}: {:?}",
            RawBson::from(value)
        )));
    };
    let position = whole(name, number)?;
    match u32::try_from(position) {
        Ok(position) if position <= i32::MAX as u32 => Ok(position),
        Ok(_) => Err(Fault::bad_value(format!(
            "bit positions cannot be represented as a 32-bit signed integer: {position}"
        ))),
        Err(_) => Err(expected("a non-negative number", name, value)),
    }
}

fn expected(what: &str, name: &str, value: RawBsonRef<'_>) -> Fault {
    Fault::new(Code::FailedToParse, format!("Expected {what}: {name}: {:?}", RawBson::from(value)))
}
