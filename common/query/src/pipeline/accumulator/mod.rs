//! What `$group` computes, one file per accumulator; expressions of the same names use the same states.
//! A state can be taken out as a partial value and merged into another, so that shards and router together
//! compute what one of them would alone.

mod add_to_set;
mod avg;
mod count;
mod edge;
mod edge_n;
mod extreme;
mod extreme_n;
mod merge_objects;
mod push;
mod std_dev;
mod sum;
mod top;

pub(crate) use edge_n::checked_n;

use super::stage::Parsing;
use crate::context::invalid_bson;
use crate::expr::{Evaluated, Expr};
use bson::{RawBson, RawBsonRef};
use std::fmt;
use std::sync::Arc;
use types::{Code, Fault};
use value::Collator;

/// The state of one accumulator in one group.
pub(crate) trait State: Send {
    /// Takes a value; answers the bytes that the state grew by.
    fn add(&mut self, value: Evaluated<'_>) -> Result<usize, Fault>;
    /// Takes what [`State::partial`] of another state gave.
    fn merge(&mut self, partial: RawBsonRef<'_>) -> Result<usize, Fault>;
    /// Everything that another state needs to go on.
    fn partial(&mut self) -> Result<RawBson, Fault>;
    /// The result; missing is stored as null.
    fn result(&mut self) -> Result<RawBson, Fault>;
}

/// How a state is begun.
pub(crate) type Start = Arc<dyn Fn() -> Box<dyn State> + Send + Sync>;

/// A parsed accumulator: what is computed per document, and what collects it.
#[derive(Clone)]
pub(crate) struct Accumulator {
    name: &'static str,
    pub(crate) input: Expr,
    start: Start,
}

impl Accumulator {
    pub(crate) fn start(&self) -> Box<dyn State> {
        (self.start)()
    }
}

impl fmt::Debug for Accumulator {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct(self.name).field("input", &self.input).finish()
    }
}

/// A row of the table.
pub(crate) struct Spec {
    name: &'static str,
    parse: Parse,
}

type SpecialParse = fn(&'static str, RawBsonRef<'_>, &Parsing<'_>) -> Result<(Expr, Start), Fault>;

#[derive(Clone, Copy)]
enum Parse {
    /// One operand, collected by a state without settings.
    Unary(fn() -> Box<dyn State>),
    /// As `Unary`, with a state that compares values.
    Comparing(fn(Option<Collator>) -> Box<dyn State>),
    Special(SpecialParse),
    /// MongoDB has it, we do not.
    Unbuilt,
}

const ACCUMULATORS: &[Spec] = &[
    Spec { name: "$accumulator", parse: Parse::Unbuilt },
    Spec { name: "$addToSet", parse: Parse::Comparing(add_to_set::start) },
    Spec { name: "$avg", parse: Parse::Unary(avg::start) },
    Spec { name: "$bottom", parse: Parse::Special(top::parse_one) },
    Spec { name: "$bottomN", parse: Parse::Special(top::parse_n) },
    Spec { name: "$count", parse: Parse::Special(count::parse) },
    Spec { name: "$first", parse: Parse::Unary(edge::first) },
    Spec { name: "$firstN", parse: Parse::Special(edge_n::parse) },
    Spec { name: "$last", parse: Parse::Unary(edge::last) },
    Spec { name: "$lastN", parse: Parse::Special(edge_n::parse) },
    Spec { name: "$max", parse: Parse::Comparing(extreme::max) },
    Spec { name: "$maxN", parse: Parse::Special(extreme_n::parse) },
    Spec { name: "$median", parse: Parse::Unbuilt },
    Spec { name: "$mergeObjects", parse: Parse::Unary(merge_objects::start) },
    Spec { name: "$min", parse: Parse::Comparing(extreme::min) },
    Spec { name: "$minN", parse: Parse::Special(extreme_n::parse) },
    Spec { name: "$percentile", parse: Parse::Unbuilt },
    Spec { name: "$push", parse: Parse::Unary(push::start) },
    Spec { name: "$stdDevPop", parse: Parse::Unary(std_dev::population) },
    Spec { name: "$stdDevSamp", parse: Parse::Unary(std_dev::sample) },
    Spec { name: "$sum", parse: Parse::Unary(sum::start) },
    Spec { name: "$top", parse: Parse::Special(top::parse_one) },
    Spec { name: "$topN", parse: Parse::Special(top::parse_n) },
];

fn find(name: &str) -> Option<&'static Spec> {
    ACCUMULATORS.binary_search_by(|spec| spec.name.cmp(name)).ok().and_then(|index| ACCUMULATORS.get(index))
}

/// A fresh state of an accumulator with one operand, for the expression of the same name.
pub(crate) fn unary(name: &str, collation: Option<&Collator>) -> Option<Box<dyn State>> {
    match find(name)?.parse {
        Parse::Unary(start) => Some(start()),
        Parse::Comparing(start) => Some(start(collation.cloned())),
        Parse::Special(_) | Parse::Unbuilt => None,
    }
}

/// A fresh state of `$firstN`, `$lastN`, `$maxN` or `$minN`, for the expression of the same name.
pub(crate) fn bounded(name: &str, n: usize, collation: Option<&Collator>) -> Option<Box<dyn State>> {
    match name {
        "$firstN" | "$lastN" => Some(edge_n::start(name == "$lastN", n)),
        "$maxN" | "$minN" => Some(extreme_n::start(name == "$maxN", n, collation.cloned())),
        _ => None,
    }
}

/// Parses `{field: {$name: operand}}`, the part behind `field`.
pub(super) fn parse(field: &str, raw: RawBsonRef<'_>, parsing: &Parsing<'_>) -> Result<Accumulator, Fault> {
    let Some(document) = raw.as_document() else {
        return Err(Fault::new(
            Code::Location(40234),
            format!("The field '{field}' must be an accumulator object"),
        ));
    };
    let mut elements = document.iter();
    let (Some(element), None) = (elements.next(), elements.next()) else {
        return Err(Fault::new(
            Code::Location(40238),
            format!("The field '{field}' must specify one accumulator"),
        ));
    };
    let (name, operand) = element.map_err(invalid_bson)?;
    let Some(spec) = find(name.as_str()) else {
        return Err(Fault::new(Code::Location(15952), format!("unknown group operator '{name}'")));
    };
    let (input, start): (Expr, Start) = match spec.parse {
        Parse::Unary(start) => (unary_operand(name.as_str(), operand, parsing)?, Arc::new(start)),
        Parse::Comparing(start) => {
            let collation = parsing.ctx.collation.clone();
            let start: Start = Arc::new(move || start(collation.clone()));
            (unary_operand(name.as_str(), operand, parsing)?, start)
        }
        Parse::Special(parse) => parse(spec.name, operand, parsing)?,
        Parse::Unbuilt => return Err(Fault::not_implemented(format!("accumulator {name}"))),
    };
    Ok(Accumulator { name: spec.name, input, start })
}

fn unary_operand(name: &str, operand: RawBsonRef<'_>, parsing: &Parsing<'_>) -> Result<Expr, Fault> {
    if matches!(operand, RawBsonRef::Array(_)) {
        return Err(Fault::new(Code::Location(40237), format!("The {name} accumulator is a unary operator")));
    }
    Expr::parse(operand, parsing.scope, parsing.ctx)
}

/// A partial state that is not of the shape its accumulator makes.
fn malformed(name: &str) -> Fault {
    Fault::new(Code::FailedToParse, format!("malformed partial state of {name}"))
}

/// The elements of an array of partial values.
fn elements(name: &str, partial: RawBsonRef<'_>) -> Result<Vec<RawBson>, Fault> {
    let array = partial.as_array().ok_or_else(|| malformed(name))?;
    array.into_iter().map(|value| Ok(value.map_err(invalid_bson)?.into())).collect()
}

/// Bytes of a value kept in memory, with what the allocator adds, roughly.
fn held(value: &RawBson) -> usize {
    const VALUE_BYTES: usize = std::mem::size_of::<RawBson>();
    VALUE_BYTES
        + match value {
            RawBson::Document(document) => document.as_bytes().len(),
            RawBson::Array(array) => array.as_bytes().len(),
            RawBson::String(text) | RawBson::Symbol(text) | RawBson::JavaScriptCode(text) => text.len(),
            RawBson::Binary(binary) => binary.bytes.len(),
            _ => 0,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted() {
        assert!(ACCUMULATORS.is_sorted_by(|a, b| a.name < b.name));
    }
}
