//! `$firstN` and `$lastN`: the values of the first or last n documents, missing as null.

use super::{Start, State, elements, held};
use crate::context::invalid_bson;
use crate::expr::{Env, Evaluated, Expr, number, render};
use crate::pipeline::stage::Parsing;
use bson::{RawArrayBuf, RawBson, RawBsonRef, RawDocument, RawDocumentBuf};
use std::collections::VecDeque;
use std::sync::Arc;
use types::{Code, Fault};

pub(super) fn start(last: bool, n: usize) -> Box<dyn State> {
    Box::new(EdgeN { last, n, values: VecDeque::new() })
}

pub(super) fn parse(
    name: &'static str,
    raw: RawBsonRef<'_>,
    parsing: &Parsing<'_>,
) -> Result<(Expr, Start), Fault> {
    let (input, n) = input_and_n(name, raw, parsing)?;
    let last = name == "$lastN";
    Ok((input, Arc::new(move || start(last, n))))
}

/// Parses `{input: expression, n: constant}`.
pub(super) fn input_and_n(
    name: &'static str,
    raw: RawBsonRef<'_>,
    parsing: &Parsing<'_>,
) -> Result<(Expr, usize), Fault> {
    let document = specification(name, raw)?;
    let (mut input, mut n) = (None, None);
    for element in document {
        let (field, value) = element.map_err(invalid_bson)?;
        match field.as_str() {
            "input" => input = Some(Expr::parse(value, parsing.scope, parsing.ctx)?),
            "n" => n = Some(parse_n(name, value, parsing)?),
            other => {
                return Err(Fault::new(
                    Code::Location(5787901),
                    format!("Unknown argument for '{name}': {other}"),
                ));
            }
        }
    }
    match (input, n) {
        (Some(input), Some(n)) => Ok((input, n)),
        (_, None) => Err(Fault::new(Code::Location(5787906), "Missing value for 'n'")),
        (None, _) => Err(Fault::new(Code::Location(5787907), "Missing value for 'input'")),
    }
}

pub(super) fn specification<'a>(name: &str, raw: RawBsonRef<'a>) -> Result<&'a RawDocument, Fault> {
    raw.as_document().ok_or_else(|| {
        Fault::new(Code::Location(5787801), format!("specification must be an object; found {name}: {raw:?}"))
    })
}

/// The number of values to keep: a positive whole number that does not depend on documents.
pub(super) fn parse_n(name: &str, raw: RawBsonRef<'_>, parsing: &Parsing<'_>) -> Result<usize, Fault> {
    let expr = Expr::parse(raw, parsing.scope, parsing.ctx)?;
    if expr.as_constant().is_none() {
        return Err(Fault::not_implemented(format!("{name} with an 'n' that is not constant")));
    }
    checked_n(&expr.eval(&Env::new(&RawDocumentBuf::new()))?)
}

/// A positive whole number.
pub(crate) fn checked_n(value: &crate::expr::Value) -> Result<usize, Fault> {
    let Some(n) = value.as_ref().and_then(number) else {
        return Err(Fault::new(
            Code::Location(5787902),
            format!("Value for 'n' must be of integral type, but found {}", render(value)),
        ));
    };
    let Some(n) = n.to_i64_exact() else {
        return Err(Fault::new(
            Code::Location(5787903),
            format!("Value for 'n' must be of integral type, but found {}", render(value)),
        ));
    };
    match usize::try_from(n) {
        Ok(n) if n > 0 => Ok(n),
        _ => Err(Fault::new(Code::Location(5787908), format!("'n' must be greater than 0, found {n}"))),
    }
}

struct EdgeN {
    last: bool,
    n: usize,
    values: VecDeque<RawBson>,
}

impl EdgeN {
    fn keep(&mut self, value: RawBson) -> usize {
        if self.values.len() == self.n {
            if !self.last {
                return 0;
            }
            self.values.pop_front();
        }
        let bytes = held(&value);
        self.values.push_back(value);
        bytes
    }
}

impl State for EdgeN {
    fn add(&mut self, value: Evaluated<'_>) -> Result<usize, Fault> {
        if self.values.len() == self.n && !self.last {
            return Ok(0);
        }
        let value = value.into_raw()?.unwrap_or(RawBson::Null);
        Ok(self.keep(value))
    }

    fn merge(&mut self, partial: RawBsonRef<'_>) -> Result<usize, Fault> {
        Ok(elements("$firstN", partial)?.into_iter().map(|value| self.keep(value)).sum())
    }

    fn partial(&mut self) -> Result<RawBson, Fault> {
        self.result()
    }

    fn result(&mut self) -> Result<RawBson, Fault> {
        Ok(RawBson::Array(self.values.drain(..).collect::<RawArrayBuf>()))
    }
}
