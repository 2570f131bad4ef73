//! `$regexMatch`, `$regexFind`, `$regexFindAll`: the patterns of the matcher, over one string.

use super::array::fail;
use super::operator::{Operator, Shape, optional, required};
use super::value::{is_nullish, type_name};
use super::{Env, Evaluate, Expr, Value, Variables, arguments};
use crate::context::ParseContext;
use crate::matcher::pattern;
use bson::{Bson, RawBsonRef, doc};
use regex::bytes::{Captures, Regex};
use types::{Code, Fault};

pub(super) const OPERATORS: &[Operator] = &[
    Operator {
        name: "$regexFind",
        shape: Shape::Special(|raw, scope, ctx| parse("$regexFind", Mode::First, raw, scope, ctx)),
    },
    Operator {
        name: "$regexFindAll",
        shape: Shape::Special(|raw, scope, ctx| parse("$regexFindAll", Mode::All, raw, scope, ctx)),
    },
    Operator {
        name: "$regexMatch",
        shape: Shape::Special(|raw, scope, ctx| parse("$regexMatch", Mode::Test, raw, scope, ctx)),
    },
];

#[derive(Debug, Clone, Copy)]
enum Mode {
    Test,
    First,
    All,
}

#[derive(Debug)]
struct Search {
    name: &'static str,
    mode: Mode,
    input: Expr,
    regex: Expr,
    options: Option<Expr>,
    /// The pattern if it does not depend on the document; `Some(None)` if it is null then.
    compiled: Option<Option<Regex>>,
}

fn parse(
    name: &'static str,
    mode: Mode,
    raw: RawBsonRef<'_>,
    scope: &Variables,
    ctx: &ParseContext,
) -> Result<Expr, Fault> {
    let document = arguments::object(name, raw, 51103)?;
    let params = [required("input"), required("regex"), optional("options")];
    let [input, regex, options] = arguments::raw_named(name, document, &params)?;
    let lost = || Fault::internal("a regex operator lost an operand");
    let input = Expr::parse(input.ok_or_else(lost)?, scope, ctx)?;
    let regex = Expr::parse(regex.ok_or_else(lost)?, scope, ctx)?;
    let options = options.map(|options| Expr::parse(options, scope, ctx)).transpose()?;
    let constant_options = match &options {
        None => Some(&None),
        Some(options) => options.as_constant(),
    };
    let compiled = match (regex.as_constant(), constant_options) {
        (Some(regex), Some(options)) => Some(compile(name, regex, options)?),
        _ => None,
    };
    Ok(Expr::special(Search { name, mode, input, regex, options, compiled }))
}

fn compile(name: &str, regex: &Value, options: &Value) -> Result<Option<Regex>, Fault> {
    let given = match options {
        options if is_nullish(options) => "",
        Some(Bson::String(options)) => options,
        other => {
            return fail(
                51106,
                format!("{name} needs 'options' to be of type string, got {}", type_name(other)),
            );
        }
    };
    match regex {
        regex if is_nullish(regex) => Ok(None),
        Some(Bson::String(source)) => pattern::compile(source, given).map(Some),
        Some(Bson::RegularExpression(regex)) => {
            let own = regex.options.as_str();
            if !own.is_empty() && !given.is_empty() {
                return fail(
                    51107,
                    format!("{name}: found regex option(s) specified in both 'regex' and 'option' fields"),
                );
            }
            pattern::compile(regex.pattern.as_str(), if own.is_empty() { given } else { own }).map(Some)
        }
        other => fail(
            51105,
            format!("{name} needs 'regex' to be of type string or regex, got {}", type_name(other)),
        ),
    }
}

impl Evaluate for Search {
    fn eval(&self, env: &Env<'_>) -> Result<Value, Fault> {
        let input = self.input.eval(env)?;
        let dynamic;
        let regex = match &self.compiled {
            Some(compiled) => compiled.as_ref(),
            None => {
                let options = self.options.as_ref().map_or(Ok(None), |options| options.eval(env))?;
                dynamic = compile(self.name, &self.regex.eval(env)?, &options)?;
                dynamic.as_ref()
            }
        };
        let text = match &input {
            Some(Bson::String(text)) => Some(text),
            other if is_nullish(other) => None,
            other => {
                return fail(
                    51104,
                    format!("{} needs 'input' to be of type string, got {}", self.name, type_name(other)),
                );
            }
        };
        let (Some(text), Some(regex)) = (text, regex) else {
            return Ok(Some(match self.mode {
                Mode::Test => Bson::Boolean(false),
                Mode::First => Bson::Null,
                Mode::All => Bson::Array(Vec::new()),
            }));
        };
        Ok(Some(match self.mode {
            Mode::Test => Bson::Boolean(regex.is_match(text.as_bytes())),
            Mode::First => match regex.captures(text.as_bytes()) {
                Some(captures) => found(text, &captures)?,
                None => Bson::Null,
            },
            Mode::All => {
                let all = regex.captures_iter(text.as_bytes()).map(|captures| found(text, &captures));
                Bson::Array(all.collect::<Result<_, _>>()?)
            }
        }))
    }
}

/// `{match, idx, captures}`; the index counts code points.
fn found(text: &str, captures: &Captures<'_>) -> Result<Bson, Fault> {
    let invalid = || Fault::new(Code::Location(51156), "regular expression matched within a character");
    let whole = captures.get(0).ok_or_else(invalid)?;
    let part = |found: regex::bytes::Match<'_>| text.get(found.range()).ok_or_else(invalid);
    let before = text.get(..whole.start()).ok_or_else(invalid)?;
    let mut groups = Vec::new();
    for group in captures.iter().skip(1) {
        groups.push(
            group.map_or(Ok(Bson::Null), |group| part(group).map(|text| Bson::String(text.to_owned())))?,
        );
    }
    let index = i32::try_from(before.chars().count()).map_err(|_| invalid())?;
    Ok(Bson::Document(doc! { "match": part(whole)?, "idx": index, "captures": groups }))
}
