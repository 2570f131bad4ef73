//! `$first` and `$last`: the value of the first or last document, missing as null.

use super::{State, elements, held};
use crate::expr::Evaluated;
use bson::{RawArrayBuf, RawBson, RawBsonRef};
use types::Fault;

pub(super) fn first() -> Box<dyn State> {
    Box::new(Edge { last: false, value: None })
}

pub(super) fn last() -> Box<dyn State> {
    Box::new(Edge { last: true, value: None })
}

struct Edge {
    last: bool,
    value: Option<RawBson>,
}

impl Edge {
    fn keep(&mut self, value: RawBson) -> usize {
        let before = self.value.as_ref().map_or(0, held);
        let after = held(&value);
        self.value = Some(value);
        after.saturating_sub(before)
    }
}

impl State for Edge {
    fn add(&mut self, value: Evaluated<'_>) -> Result<usize, Fault> {
        if self.value.is_some() && !self.last {
            return Ok(0);
        }
        let value = value.into_raw()?.unwrap_or(RawBson::Null);
        Ok(self.keep(value))
    }

    fn merge(&mut self, partial: RawBsonRef<'_>) -> Result<usize, Fault> {
        match elements("$first", partial)?.pop() {
            Some(value) if self.last || self.value.is_none() => Ok(self.keep(value)),
            _ => Ok(0),
        }
    }

    fn partial(&mut self) -> Result<RawBson, Fault> {
        Ok(RawBson::Array(self.value.take().into_iter().collect::<RawArrayBuf>()))
    }

    fn result(&mut self) -> Result<RawBson, Fault> {
        Ok(self.value.take().unwrap_or(RawBson::Null))
    }
}
