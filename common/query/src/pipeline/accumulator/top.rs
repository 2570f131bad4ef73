//! `$top`, `$topN`, `$bottom`, `$bottomN`: outputs of the documents that come first or last by a sort pattern.
//! Equal documents keep the order they came in.

use super::{Start, State, edge_n, elements, held, malformed};
use crate::context::invalid_bson;
use crate::expr::{Env, Evaluate, Evaluated, Expr, Value};
use crate::pipeline::stage::Parsing;
use crate::sort::Sort;
use bson::spec::BinarySubtype;
use bson::{Binary, Bson, RawArrayBuf, RawBson, RawBsonRef};
use std::sync::Arc;
use types::{Code, Fault};

pub(super) fn parse_one(
    name: &'static str,
    raw: RawBsonRef<'_>,
    parsing: &Parsing<'_>,
) -> Result<(Expr, Start), Fault> {
    let (input, _) = parse(name, raw, parsing, false)?;
    let bottom = name == "$bottom";
    Ok((input, Arc::new(move || Box::new(Top { bottom, single: true, n: 1, kept: Vec::new() }))))
}

pub(super) fn parse_n(
    name: &'static str,
    raw: RawBsonRef<'_>,
    parsing: &Parsing<'_>,
) -> Result<(Expr, Start), Fault> {
    let (input, n) = parse(name, raw, parsing, true)?;
    let bottom = name == "$bottomN";
    Ok((input, Arc::new(move || Box::new(Top { bottom, single: false, n, kept: Vec::new() }))))
}

fn parse(
    name: &'static str,
    raw: RawBsonRef<'_>,
    parsing: &Parsing<'_>,
    with_n: bool,
) -> Result<(Expr, usize), Fault> {
    let (mut output, mut sort, mut n) = (None, None, None);
    for element in edge_n::specification(name, raw)? {
        let (field, value) = element.map_err(invalid_bson)?;
        match field.as_str() {
            "output" => output = Some(Expr::parse(value, parsing.scope, parsing.ctx)?),
            "sortBy" => {
                let Some(pattern) = value.as_document() else {
                    return Err(Fault::new(Code::Location(5788604), "expected 'sortBy' to be an object"));
                };
                sort = Some(Sort::parse(pattern)?.under(parsing.ctx.collation.clone()));
            }
            "n" if with_n => n = Some(edge_n::parse_n(name, value, parsing)?),
            other => {
                return Err(Fault::new(
                    Code::Location(5788002),
                    format!("Unknown argument to {name} '{other}'"),
                ));
            }
        }
    }
    let lacks = |what: &str, code| Fault::new(Code::Location(code), format!("Missing value for '{what}'"));
    let sort = sort.ok_or_else(|| lacks("sortBy", 5788005))?;
    let output = output.ok_or_else(|| lacks("output", 5788004))?;
    let n = if with_n { n.ok_or_else(|| lacks("n", 5788003))? } else { 1 };
    Ok((Expr::special(Input { sort, output }), n))
}

/// Evaluates to the sort key and the output.
#[derive(Debug)]
struct Input {
    sort: Sort,
    output: Expr,
}

impl Evaluate for Input {
    fn eval(&self, env: &Env<'_>) -> Result<Value, Fault> {
        let key = Binary { subtype: BinarySubtype::Generic, bytes: self.sort.key(env.root)? };
        let output = self.output.eval(env)?.unwrap_or(Bson::Null);
        Ok(Some(Bson::Array(vec![Bson::Binary(key), output])))
    }
}

struct Top {
    bottom: bool,
    single: bool,
    n: usize,
    /// Sort key and output, in sort order.
    kept: Vec<(Vec<u8>, RawBson)>,
}

impl Top {
    fn offer(&mut self, key: Vec<u8>, output: RawBson) -> usize {
        let place = self.kept.partition_point(|(kept, _)| *kept <= key);
        let full = self.kept.len() == self.n;
        if full && if self.bottom { place == 0 } else { place == self.n } {
            return 0;
        }
        let bytes = key.len() + held(&output);
        self.kept.insert(place, (key, output));
        if full {
            self.kept.remove(if self.bottom { 0 } else { self.n });
        }
        bytes
    }

    fn offer_pair(&mut self, pair: RawBsonRef<'_>) -> Result<usize, Fault> {
        let mut pair = elements("$top", pair)?.into_iter();
        match (pair.next(), pair.next()) {
            (Some(RawBson::Binary(key)), Some(output)) => Ok(self.offer(key.bytes, output)),
            _ => Err(malformed("$top")),
        }
    }
}

impl State for Top {
    fn add(&mut self, value: Evaluated<'_>) -> Result<usize, Fault> {
        match value.into_raw()? {
            Some(pair) => self.offer_pair(pair.as_raw_bson_ref()),
            None => Err(malformed("$top")),
        }
    }

    fn merge(&mut self, partial: RawBsonRef<'_>) -> Result<usize, Fault> {
        let mut bytes = 0;
        for pair in elements("$top", partial)? {
            bytes += self.offer_pair(pair.as_raw_bson_ref())?;
        }
        Ok(bytes)
    }

    fn partial(&mut self) -> Result<RawBson, Fault> {
        let mut out = RawArrayBuf::new();
        for (key, output) in self.kept.drain(..) {
            let mut pair = RawArrayBuf::new();
            pair.push(Binary { subtype: BinarySubtype::Generic, bytes: key });
            pair.push(output);
            out.push(pair);
        }
        Ok(RawBson::Array(out))
    }

    fn result(&mut self) -> Result<RawBson, Fault> {
        let mut outputs = self.kept.drain(..).map(|(_, output)| output);
        Ok(match self.single {
            true => outputs.next().unwrap_or(RawBson::Null),
            false => RawBson::Array(outputs.collect::<RawArrayBuf>()),
        })
    }
}
