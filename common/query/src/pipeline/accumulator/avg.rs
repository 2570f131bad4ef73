//! `$avg`: the mean of the numbers, null if there are none. Its partial state is sum and count.

use super::sum::{Sum, numeric};
use super::{State, elements, malformed};
use crate::expr::Evaluated;
use bson::{RawBson, RawBsonRef};
use types::Fault;
use value::number::{Number, decimal};

pub(super) fn start() -> Box<dyn State> {
    Box::new(Avg::default())
}

#[derive(Default)]
struct Avg {
    sum: Sum,
    count: i64,
}

impl State for Avg {
    fn add(&mut self, value: Evaluated<'_>) -> Result<usize, Fault> {
        if let Some(number) = numeric(value) {
            self.sum.add_number(number);
            self.count += 1;
        }
        Ok(0)
    }

    fn merge(&mut self, partial: RawBsonRef<'_>) -> Result<usize, Fault> {
        let parts = elements("$avg", partial)?;
        let Some((RawBson::Int64(count), sum)) = parts.split_first() else { return Err(malformed("$avg")) };
        self.count = self.count.checked_add(*count).ok_or_else(|| malformed("$avg"))?;
        self.sum.add_parts(sum)?;
        Ok(0)
    }

    fn partial(&mut self) -> Result<RawBson, Fault> {
        let mut parts = bson::RawArrayBuf::new();
        parts.push(self.count);
        for part in &self.sum.to_parts() {
            parts.push(part.map_err(crate::context::invalid_bson)?);
        }
        Ok(RawBson::Array(parts))
    }

    fn result(&mut self) -> Result<RawBson, Fault> {
        if self.count == 0 {
            return Ok(RawBson::Null);
        }
        Ok(match self.sum.total() {
            Number::Decimal(total) => RawBson::Decimal128(decimal::div(total, decimal::from_i64(self.count))),
            total => RawBson::Double(total.to_f64() / self.count as f64),
        })
    }
}
