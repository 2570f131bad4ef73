//! `$addToSet`: every distinct value once, in the order first seen; values that compare equal are the same.

use super::{State, elements, held};
use crate::expr::Evaluated;
use bson::{RawArrayBuf, RawBson, RawBsonRef};
use std::collections::HashSet;
use types::Fault;
use value::Collator;

pub(super) fn start(collation: Option<Collator>) -> Box<dyn State> {
    Box::new(AddToSet { seen: HashSet::new(), values: RawArrayBuf::new(), collation })
}

struct AddToSet {
    /// Encoded as keys: equal bytes are equal values.
    seen: HashSet<Vec<u8>>,
    values: RawArrayBuf,
    collation: Option<Collator>,
}

impl AddToSet {
    fn keep(&mut self, value: RawBson) -> usize {
        let key = value::key::of_under(value.as_raw_bson_ref(), self.collation.as_ref());
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
