//! `$cond`, `$ifNull`, `$switch`: only the branch that is taken is evaluated.

use super::operator::{Arity, Operator, Shape, required};
use super::{Env, Evaluate, Expr, Value, Variables, arguments, is_nullish, is_true};
use crate::context::ParseContext;
use bson::RawBsonRef;
use types::{Code, Fault};

pub(super) const OPERATORS: &[Operator] = &[
    Operator { name: "$cond", shape: Shape::Special(parse_cond) },
    Operator { name: "$ifNull", shape: Shape::Special(parse_if_null) },
    Operator { name: "$switch", shape: Shape::Special(parse_switch) },
];

#[derive(Debug)]
struct Switch {
    branches: Vec<(Expr, Expr)>,
    default: Option<Expr>,
}

impl Evaluate for Switch {
    fn eval(&self, env: &Env<'_>) -> Result<Value, Fault> {
        for (case, then) in &self.branches {
            if case.is_true(env)? {
                return then.eval(env);
            }
        }
        match &self.default {
            Some(default) => default.eval(env),
            None => Err(Fault::new(
                Code::Location(40066),
                "$switch could not find a matching branch for an input, and no default was specified.",
            )),
        }
    }
}

/// A choice, folded as far as the conditions are constant.
fn choice(branches: Vec<(Expr, Expr)>, default: Option<Expr>) -> Expr {
    let mut left = Vec::new();
    for (case, then) in branches {
        match case.as_constant().map(is_true) {
            Some(false) => {}
            Some(true) if left.is_empty() => return then,
            Some(true) => return Expr::special(Switch { branches: left, default: Some(then) }),
            None => left.push((case, then)),
        }
    }
    match default {
        Some(default) if left.is_empty() => default,
        default => Expr::special(Switch { branches: left, default }),
    }
}

fn parse_cond(raw: RawBsonRef<'_>, scope: &Variables, ctx: &ParseContext) -> Result<Expr, Fault> {
    let [condition, then, otherwise] = match raw {
        RawBsonRef::Document(document) => {
            let params = [required("if"), required("then"), required("else")];
            let (operands, _) = arguments::named("$cond", document, &params, scope, ctx)?;
            three(operands)?
        }
        other => three(arguments::positional("$cond", other, Arity::Exactly(3), scope, ctx)?)?,
    };
    Ok(choice(vec![(condition, then)], Some(otherwise)))
}

fn three(operands: Vec<Expr>) -> Result<[Expr; 3], Fault> {
    operands.try_into().map_err(|_| Fault::internal("$cond lost an operand"))
}

#[derive(Debug)]
struct IfNull(Vec<Expr>);

fn parse_if_null(raw: RawBsonRef<'_>, scope: &Variables, ctx: &ParseContext) -> Result<Expr, Fault> {
    let operands = arguments::positional("$ifNull", raw, Arity::Any, scope, ctx)?;
    if operands.len() < 2 {
        return Err(Fault::new(
            Code::Location(1257300),
            format!("$ifNull needs at least two arguments, had: {}", operands.len()),
        ));
    }
    if let Some(value) = operands.first().and_then(Expr::as_constant)
        && !is_nullish(value)
    {
        return Ok(Expr::constant(value.clone()));
    }
    Ok(Expr::special(IfNull(operands)))
}

impl Evaluate for IfNull {
    fn eval(&self, env: &Env<'_>) -> Result<Value, Fault> {
        let mut last = None;
        for operand in &self.0 {
            last = operand.eval(env)?;
            if !is_nullish(&last) {
                break;
            }
        }
        Ok(last)
    }
}

fn parse_switch(raw: RawBsonRef<'_>, scope: &Variables, ctx: &ParseContext) -> Result<Expr, Fault> {
    let refuse = |code, message: String| Err(Fault::new(Code::Location(code), message));
    let spec = arguments::object("$switch", raw, 40060)?;
    let (mut branches, mut default) = (Vec::new(), None);
    for element in spec {
        let (name, value) = element.map_err(arguments::invalid)?;
        match (name.as_str(), value) {
            ("branches", RawBsonRef::Array(array)) => {
                for branch in array {
                    branches.push(parse_branch(branch.map_err(arguments::invalid)?, scope, ctx)?);
                }
            }
            ("branches", _) => return refuse(40061, "$switch expected an array for 'branches'".into()),
            ("default", value) => default = Some(Expr::parse(value, scope, ctx)?),
            (other, _) => return refuse(40067, format!("$switch found an unknown argument: {other}")),
        }
    }
    if branches.is_empty() {
        return refuse(40068, "$switch requires at least one branch.".into());
    }
    Ok(choice(branches, default))
}

fn parse_branch(raw: RawBsonRef<'_>, scope: &Variables, ctx: &ParseContext) -> Result<(Expr, Expr), Fault> {
    let refuse = |code, message: String| Err(Fault::new(Code::Location(code), message));
    let Some(branch) = raw.as_document() else {
        return refuse(40062, "$switch expected each branch to be an object".into());
    };
    let (mut case, mut then) = (None, None);
    for element in branch {
        let (name, value) = element.map_err(arguments::invalid)?;
        match name.as_str() {
            "case" => case = Some(Expr::parse(value, scope, ctx)?),
            "then" => then = Some(Expr::parse(value, scope, ctx)?),
            other => return refuse(40063, format!("$switch found an unknown argument to a branch: {other}")),
        }
    }
    match (case, then) {
        (Some(case), Some(then)) => Ok((case, then)),
        (None, _) => refuse(40064, "$switch requires each branch have a 'case' expression".into()),
        (_, None) => refuse(40065, "$switch requires each branch have a 'then' expression.".into()),
    }
}
