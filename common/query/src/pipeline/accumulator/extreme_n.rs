//! `$minN` and `$maxN`: the n smallest or largest values in order, null and missing not counted.

use super::{Start, State, edge_n, elements, held};
use crate::expr::{Evaluated, Expr};
use crate::pipeline::stage::Parsing;
use bson::{RawArrayBuf, RawBson, RawBsonRef};
use std::sync::Arc;
use types::Fault;
use value::{Collator, order};

pub(super) fn start(max: bool, n: usize, collation: Option<Collator>) -> Box<dyn State> {
    Box::new(ExtremeN { max, n, values: Vec::new(), collation })
}

pub(super) fn parse(
    name: &'static str,
    raw: RawBsonRef<'_>,
    parsing: &Parsing<'_>,
) -> Result<(Expr, Start), Fault> {
    let (input, n) = edge_n::input_and_n(name, raw, parsing)?;
    let max = name == "$maxN";
    let collation = parsing.ctx.collation.clone();
    Ok((input, Arc::new(move || start(max, n, collation.clone()))))
}

struct ExtremeN {
    max: bool,
    n: usize,
    /// In the order of the result, at most n.
    values: Vec<RawBson>,
    collation: Option<Collator>,
}

impl ExtremeN {
    fn offer(&mut self, value: RawBson) -> usize {
        if matches!(value, RawBson::Null | RawBson::Undefined) {
            return 0;
        }
        let (max, collation) = (self.max, self.collation.as_ref());
        let place = self.values.partition_point(|kept| {
            let order = order::compare_under(kept.as_raw_bson_ref(), value.as_raw_bson_ref(), collation);
            if max { order.is_ge() } else { order.is_le() }
        });
        if place >= self.n {
            return 0;
        }
        let grown = held(&value);
        self.values.insert(place, value);
        self.values.truncate(self.n);
        grown
    }
}

impl State for ExtremeN {
    fn add(&mut self, value: Evaluated<'_>) -> Result<usize, Fault> {
        Ok(value.into_raw()?.map_or(0, |value| self.offer(value)))
    }

    fn merge(&mut self, partial: RawBsonRef<'_>) -> Result<usize, Fault> {
        Ok(elements("$maxN", partial)?.into_iter().map(|value| self.offer(value)).sum())
    }

    fn partial(&mut self) -> Result<RawBson, Fault> {
        self.result()
    }

    fn result(&mut self) -> Result<RawBson, Fault> {
        Ok(RawBson::Array(self.values.drain(..).collect::<RawArrayBuf>()))
    }
}
