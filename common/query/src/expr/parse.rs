//! From a raw operand to an expression.

use super::operator::{Call, Function, Operator, Param, Shape};
use super::value::{from_raw, render};
use super::{Expr, FAMILIES, Node, Variables, arguments, field_path, fold, variable};
use crate::context::ParseContext;
use bson::{RawBsonRef, RawDocument};
use std::sync::Arc;
use types::{Code, Fault};

/// Parses anything that may stand where a value is wanted.
pub(super) fn operand(raw: RawBsonRef<'_>, scope: &Variables, ctx: &ParseContext) -> Result<Expr, Fault> {
    match raw {
        RawBsonRef::String(text) if text.starts_with('$') => variable::reference(text, scope, ctx),
        RawBsonRef::Document(document) => object(document, scope, ctx),
        RawBsonRef::Array(array) => {
            let mut elements = Vec::new();
            for element in array {
                elements.push(operand(element.map_err(arguments::invalid)?, scope, ctx)?);
            }
            let constant = elements.iter().all(|element| element.as_constant().is_some());
            Ok(fold::literal(Expr(Node::Array(elements.into())), constant))
        }
        other => Ok(Expr::constant(Some(from_raw(other)?))),
    }
}

fn object(document: &RawDocument, scope: &Variables, ctx: &ParseContext) -> Result<Expr, Fault> {
    let mut fields = Vec::new();
    for (index, element) in document.iter().enumerate() {
        let (name, value) = element.map_err(arguments::invalid)?;
        let name = name.as_str();
        if name.starts_with('$') {
            if index > 0 || document.iter_elements().nth(1).is_some() {
                return Err(several(document));
            }
            return operator(name, value, scope, ctx);
        }
        field_path::checked_field_name(name)?;
        fields.push((name.to_owned(), operand(value, scope, ctx)?));
    }
    let constant = fields.iter().all(|(_, field)| field.as_constant().is_some());
    Ok(fold::literal(Expr(Node::Object(fields.into())), constant))
}

fn several(document: &RawDocument) -> Fault {
    let found = from_raw(RawBsonRef::Document(document)).ok();
    Fault::new(
        Code::Location(15983),
        format!("An object representing an expression must have exactly one field: {}", render(&found)),
    )
}

/// The row of an operator.
pub(super) fn find(name: &str) -> Option<&'static Operator> {
    FAMILIES.iter().find_map(|family| {
        family.binary_search_by(|operator| operator.name.cmp(name)).ok().and_then(|index| family.get(index))
    })
}

fn operator(name: &str, raw: RawBsonRef<'_>, scope: &Variables, ctx: &ParseContext) -> Result<Expr, Fault> {
    let Some(operator) = find(name) else {
        return Err(Fault::new(Code::InvalidPipelineOperator, format!("Unrecognized expression '{name}'")));
    };
    let name = operator.name;
    match operator.shape {
        Shape::Plain(arity, function) => {
            let operands = arguments::positional(name, raw, arity, scope, ctx)?;
            Ok(fold::call(Call { function: Function::Plain(function), operands }))
        }
        Shape::Comparing(arity, function) => {
            let operands = arguments::positional(name, raw, arity, scope, ctx)?;
            Ok(fold::call(Call { function: Function::Comparing(function, ctx.collation.clone()), operands }))
        }
        Shape::NamedComparing(params, function) => {
            let document = arguments::object(name, raw, not_an_object(name))?;
            let (operands, given) = arguments::named(name, document, params, scope, ctx)?;
            let function = Function::NamedComparing(function, given, ctx.collation.clone());
            Ok(fold::call(Call { function, operands }))
        }
        Shape::Named(params, function) => {
            let document = arguments::object(name, raw, not_an_object(name))?;
            let (operands, given) = arguments::named(name, document, params, scope, ctx)?;
            Ok(fold::call(Call { function: Function::Named(function, given), operands }))
        }
        Shape::BareOrNamed(params, function) => {
            let (operands, given) = bare_or_named(name, raw, params, scope, ctx)?;
            Ok(fold::call(Call { function: Function::Named(function, given), operands }))
        }
        Shape::Special(parse) => parse(raw, scope, ctx),
        Shape::Unbuilt => Err(Fault::not_implemented(format!("expression {name}"))),
    }
}

fn bare_or_named(
    name: &str,
    raw: RawBsonRef<'_>,
    params: &[Param],
    scope: &Variables,
    ctx: &ParseContext,
) -> Result<(Vec<Expr>, u32), Fault> {
    if let RawBsonRef::Document(document) = raw
        && let Some(Ok(first)) = document.iter_elements().next()
        && !first.key().as_str().starts_with('$')
    {
        return arguments::named(name, document, params, scope, ctx);
    }
    let arity = super::operator::Arity::Exactly(1);
    let mut operands = arguments::positional(name, raw, arity, scope, ctx)?;
    operands.resize(params.len(), Expr::constant(None));
    Ok((operands, 1))
}

fn not_an_object(name: &str) -> i32 {
    match name {
        "$dateToString" => 18629,
        "$dateFromString" => 40540,
        "$dateFromParts" => 40519,
        "$dateToParts" => 40524,
        "$dateAdd" | "$dateSubtract" => 5166400,
        "$dateDiff" => 5166301,
        "$dateTrunc" => 5439007,
        "$trim" | "$ltrim" | "$rtrim" => 50696,
        "$replaceOne" | "$replaceAll" => 51751,
        "$zip" => 34460,
        _ => Code::FailedToParse.number(),
    }
}

/// A path that starts at the document, or at `CURRENT` where that was bound anew.
pub(super) fn field(dotted: &str, scope: &Variables) -> Result<Expr, Fault> {
    let path = Arc::new(field_path::FieldPath::parse(dotted)?);
    Ok(match scope.slot("CURRENT") {
        Some(slot) => Expr(Node::Variable { slot, path: Some(path) }),
        None => Expr(Node::Field(path)),
    })
}
