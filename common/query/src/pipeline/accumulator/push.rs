//! `$push`: all values in order, missing ones left out.

use super::{State, elements, held};
use crate::expr::Evaluated;
use bson::{RawArrayBuf, RawBson, RawBsonRef};
use types::Fault;

pub(super) fn start() -> Box<dyn State> {
    Box::new(Push { values: RawArrayBuf::new() })
}

struct Push {
    values: RawArrayBuf,
}

impl Push {
    fn keep(&mut self, value: RawBson) -> usize {
        let bytes = held(&value);
        self.values.push(value);
        bytes
    }
}

impl State for Push {
    fn add(&mut self, value: Evaluated<'_>) -> Result<usize, Fault> {
        Ok(match value {
            Evaluated::Missing => 0,
            Evaluated::Raw(raw) => {
                let before = self.values.as_bytes().len();
                self.values.push(raw);
                self.values.as_bytes().len() - before
            }
            Evaluated::Owned(value) => self.keep(crate::expr::to_raw(&value)?),
        })
    }

    fn merge(&mut self, partial: RawBsonRef<'_>) -> Result<usize, Fault> {
        Ok(elements("$push", partial)?.into_iter().map(|value| self.keep(value)).sum())
    }

    fn partial(&mut self) -> Result<RawBson, Fault> {
        self.result()
    }

    fn result(&mut self) -> Result<RawBson, Fault> {
        Ok(RawBson::Array(std::mem::take(&mut self.values)))
    }
}
