//! `$and`, `$or`, `$not`: operands behind the one that decides are not evaluated.

use super::operator::{Arity, Operator, Shape};
use super::{Env, Evaluate, Expr, Value, Variables, arguments, is_true};
use crate::context::ParseContext;
use bson::{Bson, RawBsonRef};
use types::Fault;

pub(super) const OPERATORS: &[Operator] = &[
    Operator { name: "$and", shape: Shape::Special(|raw, scope, ctx| parse("$and", raw, scope, ctx)) },
    Operator { name: "$not", shape: Shape::Plain(Arity::Exactly(1), not) },
    Operator { name: "$or", shape: Shape::Special(|raw, scope, ctx| parse("$or", raw, scope, ctx)) },
];

#[derive(Debug)]
struct Junction {
    /// The truth of one operand that decides: false for `$and`, true for `$or`.
    decides: bool,
    operands: Vec<Expr>,
}

fn parse(name: &str, raw: RawBsonRef<'_>, scope: &Variables, ctx: &ParseContext) -> Result<Expr, Fault> {
    let decides = name == "$or";
    let mut operands = Vec::new();
    for operand in arguments::positional(name, raw, Arity::Any, scope, ctx)? {
        match operand.as_constant().map(is_true) {
            Some(truth) if truth == decides => return Ok(Expr::constant(Some(Bson::Boolean(decides)))),
            Some(_) => {}
            None => operands.push(operand),
        }
    }
    Ok(match operands.is_empty() {
        true => Expr::constant(Some(Bson::Boolean(!decides))),
        false => Expr::special(Junction { decides, operands }),
    })
}

impl Evaluate for Junction {
    fn eval(&self, env: &Env<'_>) -> Result<Value, Fault> {
        for operand in &self.operands {
            if operand.is_true(env)? == self.decides {
                return Ok(Some(Bson::Boolean(self.decides)));
            }
        }
        Ok(Some(Bson::Boolean(!self.decides)))
    }
}

fn not(operands: &[Value]) -> Result<Value, Fault> {
    Ok(Some(Bson::Boolean(!operands.first().is_some_and(is_true))))
}
