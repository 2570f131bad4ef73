//! Objects and their fields.

use super::operator::{Arity, Call, Function, Operator, Shape, optional, required};
use super::value::{is_nullish, render, type_name};
use super::{Expr, Value, Variables, arguments, fold};
use crate::context::ParseContext;
use bson::{Bson, Document, RawBsonRef};
use types::{Code, Fault};

pub(super) const OPERATORS: &[Operator] = &[
    Operator { name: "$getField", shape: Shape::Special(parse_get_field) },
    Operator { name: "$mergeObjects", shape: Shape::Plain(Arity::Any, merge_objects) },
    Operator { name: "$objectToArray", shape: Shape::Plain(Arity::Exactly(1), object_to_array) },
    Operator { name: "$setField", shape: Shape::Special(parse_set_field) },
    Operator { name: "$unsetField", shape: Shape::Special(parse_unset_field) },
];

fn fail<T>(code: i32, message: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::new(Code::from_number(code), message))
}

fn parse_get_field(raw: RawBsonRef<'_>, scope: &Variables, ctx: &ParseContext) -> Result<Expr, Fault> {
    let name = "$getField";
    let operands = match raw {
        RawBsonRef::Document(document) if !is_operator(raw) => {
            let (mut operands, given) =
                arguments::named(name, document, &[required("field"), optional("input")], scope, ctx)?;
            if given & 2 == 0
                && let Some(input) = operands.get_mut(1)
            {
                *input = current(scope, ctx)?;
            }
            operands
        }
        other => vec![Expr::parse(other, scope, ctx)?, current(scope, ctx)?],
    };
    Ok(fold::call(Call { function: Function::Plain(get_field), operands }))
}

fn is_operator(raw: RawBsonRef<'_>) -> bool {
    raw.as_document()
        .and_then(|document| document.iter_elements().next())
        .and_then(Result::ok)
        .is_some_and(|first| first.key().as_str().starts_with('$'))
}

fn current(scope: &Variables, ctx: &ParseContext) -> Result<Expr, Fault> {
    Expr::parse(RawBsonRef::String("$$CURRENT"), scope, ctx)
}

fn get_field(operands: &[Value]) -> Result<Value, Fault> {
    let [field, input] = operands else { return Ok(None) };
    let Some(Bson::String(field)) = field else {
        return fail(
            3041704,
            format!("$getField requires 'field' to evaluate to type String, but got {}", type_name(field)),
        );
    };
    match input {
        Some(Bson::Document(document)) => Ok(document.get(field).cloned()),
        Some(Bson::Null | Bson::Undefined) => Ok(Some(Bson::Null)),
        _ => Ok(None),
    }
}

fn parse_set_field(raw: RawBsonRef<'_>, scope: &Variables, ctx: &ParseContext) -> Result<Expr, Fault> {
    let document = arguments::object("$setField", raw, 4161100)?;
    let params = [required("field"), required("input"), required("value")];
    let (operands, _) = arguments::named("$setField", document, &params, scope, ctx)?;
    constant_field(&operands)?;
    Ok(fold::call(Call { function: Function::Plain(set_field), operands }))
}

fn parse_unset_field(raw: RawBsonRef<'_>, scope: &Variables, ctx: &ParseContext) -> Result<Expr, Fault> {
    let document = arguments::object("$unsetField", raw, 4161100)?;
    let params = [required("field"), required("input")];
    let (mut operands, _) = arguments::named("$unsetField", document, &params, scope, ctx)?;
    constant_field(&operands)?;
    operands.push(Expr::constant(None));
    Ok(fold::call(Call { function: Function::Plain(set_field), operands }))
}

fn constant_field(operands: &[Expr]) -> Result<(), Fault> {
    match operands.first().and_then(Expr::as_constant) {
        Some(Some(Bson::String(field))) if !field.contains('\0') => Ok(()),
        Some(_) => fail(4161107, "$setField requires 'field' to evaluate to a string constant"),
        None => fail(4161106, "$setField requires 'field' to evaluate to a constant"),
    }
}

fn set_field(operands: &[Value]) -> Result<Value, Fault> {
    let [Some(Bson::String(field)), input, value] = operands else { return Ok(None) };
    let Some(Bson::Document(document)) = input else {
        if is_nullish(input) {
            return Ok(Some(Bson::Null));
        }
        return fail(
            4161105,
            format!("$setField requires 'input' to evaluate to type Object, got {}", type_name(input)),
        );
    };
    let mut document = document.clone();
    match value {
        Some(value) => {
            document.insert(field.as_str(), value.clone());
        }
        None => {
            document.remove(field);
        }
    }
    Ok(Some(Bson::Document(document)))
}

fn merge_objects(operands: &[Value]) -> Result<Value, Fault> {
    let mut merged = Document::new();
    let mut merge = |value: &Value| match value {
        None | Some(Bson::Null | Bson::Undefined) => Ok(()),
        Some(Bson::Document(document)) => {
            merged.extend(document.iter().map(|(name, value)| (name.clone(), value.clone())));
            Ok(())
        }
        other => fail(
            40400,
            format!(
                "$mergeObjects requires object inputs, but input {} is of type {}",
                render(other),
                type_name(other)
            ),
        ),
    };
    match operands {
        [Some(Bson::Array(elements))] => {
            elements.iter().try_for_each(|element| merge(&Some(element.clone())))?;
        }
        _ => operands.iter().try_for_each(merge)?,
    }
    Ok(Some(Bson::Document(merged)))
}

fn object_to_array(operands: &[Value]) -> Result<Value, Fault> {
    match operands.first() {
        Some(Some(Bson::Document(document))) => {
            let pairs =
                document.iter().map(|(name, value)| Bson::Document(bson::doc! { "k": name, "v": value }));
            Ok(Some(Bson::Array(pairs.collect())))
        }
        Some(value) if !is_nullish(value) => {
            fail(40390, format!("$objectToArray requires a document input, found: {}", type_name(value)))
        }
        _ => Ok(Some(Bson::Null)),
    }
}
