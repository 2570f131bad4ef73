//! `$addToSet`: every distinct value once, in the order first seen; values that compare equal are the same.

use super::{State, elements, held};
use crate::expr::Evaluated;
use bson::{RawArrayBuf, RawBson, RawBsonRef};
use std::collections::HashSet;
use types::Fault;

pub(super) fn start() -> Box<dyn State> {
    Box::new(AddToSet { seen: HashSet::new(), values: RawArrayBuf::new() })
}

struct AddToSet {
    /// Encoded as keys: equal bytes are equal values.
    seen: HashSet<Vec<u8>>,
    values: RawArrayBuf,
}

impl AddToSet {
    fn keep(&mut self, value: RawBson) -> usize {
        let mut key = Vec::new();
        value::key::encode(&mut key, value.as_raw_bson_ref(), false);
        let bytes = key.len() + held(&value);
        if !self.seen.insert(key) {
            return 0;
        }
        self.values.push(value);
        bytes
    }
}

impl State for AddToSet {
    fn add(&mut self, value: Evaluated<'_>) -> Result<usize, Fault> {
        Ok(value.into_raw()?.map_or(0, |value| self.keep(value)))
    }

    fn merge(&mut self, partial: RawBsonRef<'_>) -> Result<usize, Fault> {
        Ok(elements("$addToSet", partial)?.into_iter().map(|value| self.keep(value)).sum())
    }

    fn partial(&mut self) -> Result<RawBson, Fault> {
        self.result()
    }

    fn result(&mut self) -> Result<RawBson, Fault> {
        self.seen.clear();
        Ok(RawBson::Array(std::mem::take(&mut self.values)))
    }
}
