//! Variables: `$$ROOT` and its kin, `$let`, the command's own `let`; and `$literal`, which is none.

use super::operator::{Operator, Shape, required};
use super::value::{check_growth, from_raw, to_raw};
use super::{Env, Evaluate, Expr, Node, Value, arguments, field_path::FieldPath, parse};
use crate::context::ParseContext;
use bson::{Bson, DateTime, RawBsonRef, RawDocument, RawDocumentBuf};
use std::sync::Arc;
use types::{Code, Fault};

pub(super) const OPERATORS: &[Operator] = &[
    Operator { name: "$let", shape: Shape::Special(parse_let) },
    Operator { name: "$literal", shape: Shape::Special(parse_literal) },
    Operator { name: "$rand", shape: Shape::Special(parse_rand) },
];

/// The names that may follow `$$`, with the command's `let` already evaluated.
#[derive(Debug, Clone, Default)]
pub struct Variables {
    bindings: Vec<(String, Binding)>,
    slots: usize,
}

#[derive(Debug, Clone)]
enum Binding {
    Slot(usize),
    Constant(Value),
}

impl Variables {
    /// No variables but the system's.
    pub fn new() -> Variables {
        Variables::default()
    }

    /// The system's variables and the command's `let`.
    ///
    /// # Errors
    /// If the name of a `let` variable is not allowed.
    pub fn from_context(ctx: &ParseContext) -> Result<Variables, Fault> {
        let mut scope = Variables::new();
        let Some(given) = &ctx.let_vars else { return Ok(scope) };
        for element in given.iter() {
            let (name, raw) = element.map_err(arguments::invalid)?;
            check_name(name.as_str())?;
            // The context holds values, not expressions: a string with a dollar is just that string.
            let value = Some(from_raw(raw)?);
            check_growth(&value)?;
            scope.bindings.push((name.as_str().to_owned(), Binding::Constant(value)));
        }
        Ok(scope)
    }

    /// The same names and one more; the slot is where evaluation finds its value.
    pub(super) fn with(&self, name: &str) -> (Variables, usize) {
        let mut scope = self.clone();
        let slot = scope.slots;
        scope.slots += 1;
        scope.bindings.push((name.to_owned(), Binding::Slot(slot)));
        (scope, slot)
    }

    fn find(&self, name: &str) -> Option<&Binding> {
        self.bindings.iter().rev().find(|(bound, _)| bound == name).map(|(_, binding)| binding)
    }

    pub(super) fn slot(&self, name: &str) -> Option<usize> {
        match self.find(name)? {
            Binding::Slot(slot) => Some(*slot),
            Binding::Constant(_) => None,
        }
    }
}

/// Evaluates a command's `let`: what [`ParseContext::with_let`] takes. Each variable sees those before it.
///
/// # Errors
/// For a name that is not allowed, and those of the expressions.
pub fn evaluate_let(vars: &RawDocument, ctx: &ParseContext) -> Result<RawDocumentBuf, Fault> {
    let mut scope = Variables::from_context(ctx)?;
    let mut values = RawDocumentBuf::new();
    let empty = RawDocumentBuf::new();
    for element in vars {
        let (name, raw) = element.map_err(arguments::invalid)?;
        check_name(name.as_str())?;
        let value = Expr::parse(raw, &scope, ctx)?.eval(&Env::new(&empty))?;
        check_growth(&value)?;
        // A document holds no missing values; undefined is what compares equal.
        values.append(name, to_raw(value.as_ref().unwrap_or(&Bson::Undefined))?);
        scope.bindings.push((name.as_str().to_owned(), Binding::Constant(value)));
    }
    Ok(values)
}

/// Refuses a name that a user may not bind.
pub(super) fn check_name(name: &str) -> Result<(), Fault> {
    let Some(first) = name.chars().next() else {
        return Err(Fault::new(Code::FailedToParse, "empty variable names are not allowed"));
    };
    if name == "CURRENT" {
        return Ok(());
    }
    if first.is_ascii() && !first.is_ascii_lowercase() {
        return Err(Fault::new(
            Code::FailedToParse,
            format!("'{name}' starts with an invalid character for a user variable name"),
        ));
    }
    match name.chars().find(|c| !(c.is_ascii_alphanumeric() || *c == '_' || !c.is_ascii())) {
        Some(bad) => Err(Fault::new(
            Code::FailedToParse,
            format!("'{name}' contains an invalid character for a variable name: '{bad}'"),
        )),
        None => Ok(()),
    }
}

/// Parses `$path` or `$$variable.path`.
pub(super) fn reference(text: &str, scope: &Variables, ctx: &ParseContext) -> Result<Expr, Fault> {
    let Some(name) = text.strip_prefix("$$") else {
        let path = text.strip_prefix('$').unwrap_or(text);
        if path.is_empty() {
            return Err(Fault::new(Code::Location(16872), "'$' by itself is not a valid FieldPath"));
        }
        return parse::field(path, scope);
    };
    let (name, path) = match name.split_once('.') {
        Some((name, path)) => (name, Some(Arc::new(FieldPath::parse(path)?))),
        None => (name, None),
    };
    if name.is_empty() {
        return Err(Fault::new(Code::FailedToParse, "empty variable names are not allowed"));
    }
    if let Some(binding) = scope.find(name) {
        return Ok(match (binding, path) {
            (Binding::Slot(slot), path) => Expr(Node::Variable { slot: *slot, path }),
            (Binding::Constant(value), None) => Expr::constant(value.clone()),
            (Binding::Constant(value), Some(path)) => {
                Expr::constant(value.as_ref().and_then(|value| path.eval_value(value)))
            }
        });
    }
    let value = match name {
        "ROOT" | "CURRENT" => {
            return Ok(Expr(path.map_or(Node::Root, Node::Field)));
        }
        "REMOVE" => None,
        "NOW" => Some(Bson::DateTime(DateTime::from_millis(ctx.now_millis))),
        "CLUSTER_TIME" => {
            Some(Bson::Timestamp(ctx.cluster_time.map(bson::Timestamp::from).ok_or_else(|| {
                Fault::new(Code::Location(51144), "Builtin variable '$$CLUSTER_TIME' is not available")
            })?))
        }
        "SEARCH_META" | "USER_ROLES" | "JS_SCOPE" | "IS_MR" => {
            return Err(Fault::not_implemented(format!("variable $${name}")));
        }
        _ => return Err(Fault::new(Code::Location(17276), format!("Use of undefined variable: {name}"))),
    };
    // A path behind a date, a timestamp or nothing finds nothing.
    Ok(Expr::constant(if path.is_some() { None } else { value }))
}

fn parse_literal(raw: RawBsonRef<'_>, _: &Variables, _: &ParseContext) -> Result<Expr, Fault> {
    Ok(Expr::constant(Some(from_raw(raw)?)))
}

#[derive(Debug)]
struct Let {
    bindings: Vec<(usize, Expr)>,
    body: Expr,
}

fn parse_let(raw: RawBsonRef<'_>, scope: &Variables, ctx: &ParseContext) -> Result<Expr, Fault> {
    let document = arguments::object("$let", raw, 16874)?;
    let [vars, body] = arguments::raw_named("$let", document, &[required("vars"), required("in")])?;
    let (Some(vars), Some(body)) = (vars, body) else { return Err(Fault::internal("$let lost an operand")) };
    let Some(vars) = vars.as_document() else {
        return Err(Fault::new(Code::Location(10065), "invalid parameter: expected an object (vars)"));
    };
    let mut inner = scope.clone();
    let mut bindings = Vec::new();
    for element in vars {
        let (name, value) = element.map_err(arguments::invalid)?;
        check_name(name.as_str())?;
        // All values are computed outside: no variable of one $let sees another.
        let value = Expr::parse(value, scope, ctx)?;
        let (next, slot) = inner.with(name.as_str());
        inner = next;
        bindings.push((slot, value));
    }
    let body = Expr::parse(body, &inner, ctx)?;
    Ok(if body.as_constant().is_some() { body } else { Expr::special(Let { bindings, body }) })
}

impl Evaluate for Let {
    fn eval(&self, env: &Env<'_>) -> Result<Value, Fault> {
        let mut values = Vec::with_capacity(self.bindings.len());
        for (slot, expr) in &self.bindings {
            let value = expr.eval(env)?;
            check_growth(&value)?;
            values.push((*slot, value));
        }
        nested(env, &values, &self.body)
    }
}

/// Evaluates `body` with all the values bound: one stack frame each.
fn nested(env: &Env<'_>, values: &[(usize, Value)], body: &Expr) -> Result<Value, Fault> {
    match values.split_first() {
        None => body.eval(env),
        Some(((slot, value), rest)) => {
            let frame = env.bind(*slot, value);
            nested(&env.with(&frame), rest, body)
        }
    }
}

#[derive(Debug)]
struct Rand;

fn parse_rand(raw: RawBsonRef<'_>, _: &Variables, _: &ParseContext) -> Result<Expr, Fault> {
    match raw {
        RawBsonRef::Document(document) if document.is_empty() => Ok(Expr::special(Rand)),
        RawBsonRef::Array(array) if array.is_empty() => Ok(Expr::special(Rand)),
        _ => Err(Fault::new(Code::Location(3040501), "$rand does not currently accept arguments")),
    }
}

impl Evaluate for Rand {
    fn eval(&self, _: &Env<'_>) -> Result<Value, Fault> {
        Ok(Some(Bson::Double(rand::random::<f64>())))
    }
}
