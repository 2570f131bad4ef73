//! What an operator's row in a family's table says, and the call it becomes.

use super::{Env, Expr, Value, Variables};
use crate::context::ParseContext;
use bson::RawBsonRef;
use types::Fault;
use value::Collator;

/// A row of a family's table.
#[derive(Debug)]
pub(super) struct Operator {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
}

/// How the operands of an operator are written and evaluated.
#[derive(Debug)]
pub(super) enum Shape {
    /// All operands are evaluated, in order, then the function runs.
    Plain(Arity, fn(&[Value]) -> Result<Value, Fault>),
    /// As `Plain`, with a function that compares values.
    Comparing(Arity, fn(&[Value], Option<&Collator>) -> Result<Value, Fault>),
    /// An object of named operands, all evaluated; the function sees which were given.
    Named(&'static [Param], fn(&Named<'_>) -> Result<Value, Fault>),
    /// As `Named`, with a function that compares values.
    NamedComparing(&'static [Param], fn(&Named<'_>, Option<&Collator>) -> Result<Value, Fault>),
    /// Either one bare operand or an object of named ones whose first is that operand.
    BareOrNamed(&'static [Param], fn(&Named<'_>) -> Result<Value, Fault>),
    /// The operator reads its operands itself.
    Special(SpecialParse),
    /// MongoDB has it, we do not.
    Unbuilt,
}

pub(super) type SpecialParse = fn(RawBsonRef<'_>, &Variables, &ParseContext) -> Result<Expr, Fault>;

/// How many operands an operator takes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Arity {
    Exactly(usize),
    Between(usize, usize),
    Any,
}

/// A named operand.
#[derive(Debug, Clone, Copy)]
pub(super) struct Param {
    pub(super) name: &'static str,
    pub(super) required: bool,
}

pub(super) const fn required(name: &'static str) -> Param {
    Param { name, required: true }
}

pub(super) const fn optional(name: &'static str) -> Param {
    Param { name, required: false }
}

/// The values of named operands, in the order of the parameters.
#[derive(Debug)]
pub(super) struct Named<'a> {
    values: &'a [Value],
    given: u32,
}

impl Named<'_> {
    /// The value of a parameter; missing where it was not given.
    pub(super) fn get(&self, index: usize) -> &Value {
        self.values.get(index).unwrap_or(&None)
    }

    /// Whether the query named the parameter at all.
    pub(super) fn given(&self, index: usize) -> bool {
        self.given & (1 << index) != 0
    }
}

/// A call of an operator's function.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) function: Function,
    pub(super) operands: Vec<Expr>,
}

#[derive(Debug, Clone)]
pub(super) enum Function {
    Plain(fn(&[Value]) -> Result<Value, Fault>),
    Comparing(fn(&[Value], Option<&Collator>) -> Result<Value, Fault>, Option<Collator>),
    Named(fn(&Named<'_>) -> Result<Value, Fault>, u32),
    NamedComparing(fn(&Named<'_>, Option<&Collator>) -> Result<Value, Fault>, u32, Option<Collator>),
}

impl Call {
    pub(super) fn eval(&self, env: &Env<'_>) -> Result<Value, Fault> {
        // Nearly every operator has at most three operands: no allocation for those.
        match self.operands.as_slice() {
            [] => self.apply(&[]),
            [a] => self.apply(&[a.eval(env)?]),
            [a, b] => self.apply(&[a.eval(env)?, b.eval(env)?]),
            [a, b, c] => self.apply(&[a.eval(env)?, b.eval(env)?, c.eval(env)?]),
            many => self.apply(&many.iter().map(|operand| operand.eval(env)).collect::<Result<Vec<_>, _>>()?),
        }
    }

    fn apply(&self, values: &[Value]) -> Result<Value, Fault> {
        match &self.function {
            Function::Plain(function) => function(values),
            Function::Comparing(function, collation) => function(values, collation.as_ref()),
            Function::Named(function, given) => function(&Named { values, given: *given }),
            Function::NamedComparing(function, given, collation) => {
                function(&Named { values, given: *given }, collation.as_ref())
            }
        }
    }
}
