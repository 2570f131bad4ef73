//! Aggregation expressions: parsed once to a tree, evaluated over raw documents.
//! A value is an owned [`Bson`] or nothing: `None` is "missing", which differs from null. Evaluation never
//! panics and has no effect; what MongoDB has and we have not is refused by its name when it is parsed.

mod arguments;
mod arithmetic;
mod array;
mod array_each;
mod boolean;
mod comparison;
mod conditional;
mod convert;
mod date;
mod date_format;
mod date_math;
mod date_parts;
mod env;
mod field_path;
mod fold;
mod group_like;
mod object;
mod operator;
mod ordering;
mod parse;
mod regex;
mod set;
mod string;
mod unbuilt;
mod value;
mod variable;

pub use env::Env;
pub use field_path::FieldPath;
pub use value::{Evaluated, Value};
pub use variable::{Variables, evaluate_let};

pub(crate) use field_path::checked_field_name;
pub(crate) use value::{element_name, from_raw, is_nullish, is_true, number, render, to_raw, type_name};

use crate::context::ParseContext;
use bson::{Bson, Document, RawBsonRef};
use operator::Call;
use std::fmt::Debug;
use std::sync::Arc;
use types::Fault;

/// The operators of every family; each table is sorted by name.
const FAMILIES: &[&[operator::Operator]] = &[
    arithmetic::OPERATORS,
    array::OPERATORS,
    boolean::OPERATORS,
    comparison::OPERATORS,
    conditional::OPERATORS,
    convert::OPERATORS,
    date::OPERATORS,
    group_like::OPERATORS,
    object::OPERATORS,
    regex::OPERATORS,
    set::OPERATORS,
    string::OPERATORS,
    unbuilt::OPERATORS,
    variable::OPERATORS,
];

/// An expression, ready to be evaluated over any number of documents.
#[derive(Debug, Clone)]
pub struct Expr(Node);

#[derive(Debug, Clone)]
enum Node {
    Constant(Value),
    /// A path into the document itself.
    Field(Arc<FieldPath>),
    /// `$$ROOT`, with nothing behind it.
    Root,
    /// A bound variable, and the path behind it.
    Variable {
        slot: usize,
        path: Option<Arc<FieldPath>>,
    },
    Object(Arc<[(String, Expr)]>),
    Array(Arc<[Expr]>),
    Call(Arc<Call>),
    /// An operator that decides itself which operands it evaluates.
    Special(Arc<dyn Evaluate>),
}

/// An operator with an evaluation order of its own.
pub(crate) trait Evaluate: Debug + Send + Sync {
    fn eval(&self, env: &Env<'_>) -> Result<Value, Fault>;
}

impl Expr {
    /// Parses an operand as a client wrote it.
    ///
    /// # Errors
    /// With MongoDB's code for what is wrong; 168 for an unknown operator, 238 for one that is not built.
    pub fn parse(raw: RawBsonRef<'_>, scope: &Variables, ctx: &ParseContext) -> Result<Expr, Fault> {
        parse::operand(raw, scope, ctx)
    }

    /// An expression that is always `value`; `None` is missing.
    pub fn constant(value: Value) -> Expr {
        Expr(Node::Constant(value))
    }

    /// The expression for a dotted path of the document, without the leading dollar.
    ///
    /// # Errors
    /// If the path is not one.
    pub fn field(dotted: &str) -> Result<Expr, Fault> {
        Ok(Expr(Node::Field(Arc::new(FieldPath::parse(dotted)?))))
    }

    pub(crate) fn special(evaluate: impl Evaluate + 'static) -> Expr {
        Expr(Node::Special(Arc::new(evaluate)))
    }

    /// The value for one document; `None` is missing.
    ///
    /// # Errors
    /// As MongoDB's operators fail, and 22 for a value that is no valid BSON.
    pub fn eval(&self, env: &Env<'_>) -> Result<Value, Fault> {
        match &self.0 {
            Node::Constant(value) => Ok(value.clone()),
            Node::Field(path) => path.eval(env.root)?.into_value(),
            Node::Root => Ok(Some(Bson::Document(value::document(env.root)?))),
            Node::Variable { slot, path } => {
                let value = env.variable(*slot)?;
                Ok(match (value, path) {
                    (value, None) => value.clone(),
                    (Some(value), Some(path)) => path.eval_value(value),
                    (None, Some(_)) => None,
                })
            }
            Node::Object(fields) => {
                let mut out = Document::new();
                for (name, field) in fields.iter() {
                    if let Some(value) = field.eval(env)? {
                        out.insert(name.as_str(), value);
                    }
                }
                Ok(Some(Bson::Document(out)))
            }
            Node::Array(elements) => {
                let values = elements.iter().map(|element| Ok(element.eval(env)?.unwrap_or(Bson::Null)));
                Ok(Some(Bson::Array(values.collect::<Result<_, Fault>>()?)))
            }
            Node::Call(call) => call.eval(env),
            Node::Special(special) => special.eval(env),
        }
    }

    /// The value, borrowed from the document where it can be.
    ///
    /// # Errors
    /// As [`Expr::eval`].
    pub fn eval_ref<'a>(&'a self, env: &Env<'a>) -> Result<Evaluated<'a>, Fault> {
        match &self.0 {
            Node::Field(path) => path.eval(env.root),
            Node::Root => Ok(Evaluated::Raw(RawBsonRef::Document(env.root))),
            _ => Ok(self.eval(env)?.map_or(Evaluated::Missing, Evaluated::Owned)),
        }
    }

    /// Whether the value counts as true.
    ///
    /// # Errors
    /// As [`Expr::eval`].
    pub fn is_true(&self, env: &Env<'_>) -> Result<bool, Fault> {
        Ok(is_true(&self.eval(env)?))
    }

    /// The value if it is the same for every document.
    pub fn as_constant(&self) -> Option<&Value> {
        match &self.0 {
            Node::Constant(value) => Some(value),
            _ => None,
        }
    }

    /// The path if the expression is just a field of the document.
    pub fn as_field(&self) -> Option<&FieldPath> {
        match &self.0 {
            Node::Field(path) => Some(path),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
