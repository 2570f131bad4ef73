//! `$stdDevPop` and `$stdDevSamp`: count, mean and sum of squared distances, by Welford; two states merge exactly.

use super::sum::numeric;
use super::{State, elements, malformed};
use crate::expr::Evaluated;
use bson::{RawArrayBuf, RawBson, RawBsonRef};
use types::Fault;

pub(super) fn population() -> Box<dyn State> {
    Box::new(StdDev { sample: false, count: 0, mean: 0.0, squares: 0.0 })
}

pub(super) fn sample() -> Box<dyn State> {
    Box::new(StdDev { sample: true, count: 0, mean: 0.0, squares: 0.0 })
}

struct StdDev {
    sample: bool,
    count: i64,
    mean: f64,
    /// The sum of the squared distances from the mean.
    squares: f64,
}

impl State for StdDev {
    fn add(&mut self, value: Evaluated<'_>) -> Result<usize, Fault> {
        if let Some(number) = numeric(value) {
            let number = number.to_f64();
            self.count += 1;
            let delta = number - self.mean;
            self.mean += delta / self.count as f64;
            self.squares += delta * (number - self.mean);
        }
        Ok(0)
    }

    fn merge(&mut self, partial: RawBsonRef<'_>) -> Result<usize, Fault> {
        let parts = elements("$stdDevPop", partial)?;
        let [RawBson::Int64(count), RawBson::Double(mean), RawBson::Double(squares)] = parts.as_slice()
        else {
            return Err(malformed("$stdDevPop"));
        };
        if *count == 0 {
            return Ok(0);
        }
        let total = self.count.checked_add(*count).ok_or_else(|| malformed("$stdDevPop"))?;
        let (left, right, whole) = (self.count as f64, *count as f64, total as f64);
        let delta = mean - self.mean;
        self.squares += squares + delta * delta * (left * right / whole);
        self.mean = if self.count == 0 { *mean } else { self.mean + delta * (right / whole) };
        self.count = total;
        Ok(0)
    }

    fn partial(&mut self) -> Result<RawBson, Fault> {
        let mut parts = RawArrayBuf::new();
        parts.push(self.count);
        parts.push(self.mean);
        parts.push(self.squares);
        Ok(RawBson::Array(parts))
    }

    fn result(&mut self) -> Result<RawBson, Fault> {
        let divisor = if self.sample { self.count - 1 } else { self.count };
        if divisor <= 0 {
            return Ok(RawBson::Null);
        }
        Ok(RawBson::Double((self.squares / divisor as f64).sqrt()))
    }
}
