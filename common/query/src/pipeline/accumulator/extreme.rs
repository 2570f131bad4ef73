//! `$min` and `$max`: by BSON order, null and missing not counted.

use super::{State, held};
use crate::expr::Evaluated;
use bson::{Bson, RawBson, RawBsonRef};
use types::Fault;
use value::{Collator, order};

pub(super) fn min(collation: Option<Collator>) -> Box<dyn State> {
    Box::new(Extreme { max: false, value: None, collation })
}

pub(super) fn max(collation: Option<Collator>) -> Box<dyn State> {
    Box::new(Extreme { max: true, value: None, collation })
}

struct Extreme {
    max: bool,
    value: Option<RawBson>,
    collation: Option<Collator>,
}

impl Extreme {
    fn wants(&self, value: RawBsonRef<'_>) -> bool {
        if matches!(value, RawBsonRef::Null | RawBsonRef::Undefined) {
            return false;
        }
        let Some(kept) = &self.value else { return true };
        let order = order::compare_under(value, kept.as_raw_bson_ref(), self.collation.as_ref());
        if self.max { order.is_gt() } else { order.is_lt() }
    }

    fn offer(&mut self, value: RawBsonRef<'_>) -> usize {
        if !self.wants(value) {
            return 0;
        }
        let before = self.value.as_ref().map_or(0, held);
        let value = RawBson::from(value);
        let after = held(&value);
        self.value = Some(value);
        after.saturating_sub(before)
    }
}

impl State for Extreme {
    fn add(&mut self, value: Evaluated<'_>) -> Result<usize, Fault> {
        match value {
            Evaluated::Missing | Evaluated::Owned(Bson::Null | Bson::Undefined) => Ok(0),
            Evaluated::Raw(raw) => Ok(self.offer(raw)),
            owned => {
                let raw = owned.into_raw()?.unwrap_or(RawBson::Null);
                Ok(self.offer(raw.as_raw_bson_ref()))
            }
        }
    }

    fn merge(&mut self, partial: RawBsonRef<'_>) -> Result<usize, Fault> {
        Ok(self.offer(partial))
    }

    fn partial(&mut self) -> Result<RawBson, Fault> {
        self.result()
    }

    fn result(&mut self) -> Result<RawBson, Fault> {
        Ok(self.value.take().unwrap_or(RawBson::Null))
    }
}
