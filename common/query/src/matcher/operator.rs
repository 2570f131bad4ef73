//! The operators that a field is given, such as `{$gt: 1, $lt: 5}`: one arm per name, operands checked as MongoDB does.

use super::bits::{Bits, Quantity};
use super::comparison::Comparison;
use super::kinds::Kinds;
use super::parse::{Parser, is_operators, is_pathless};
use super::pattern::Pattern;
use super::set::Set;
use super::{Leaf, Node, Test};
use crate::raw::{Field, fields, find};
use bson::{RawBson, RawBsonRef, RawDocument};
use std::sync::Arc;
use types::{Code, Fault};
use value::number::Number;
use value::path::Path;

/// Operators on a field that MongoDB has and we have not.
const UNBUILT: &[&str] = &[
    "$geoIntersects",
    "$geoNear",
    "$geoWithin",
    "$maxDistance",
    "$minDistance",
    "$near",
    "$nearSphere",
    "$within",
];

/// Parses all operators of `doc` for one path.
pub(super) fn parse(
    parser: &mut Parser<'_>,
    path: &Arc<Path>,
    doc: &RawDocument,
    nodes: &mut Vec<Node>,
) -> Result<(), Fault> {
    for field in fields(doc) {
        let field = field?;
        parser.count(1)?;
        if let Some(node) = one(parser, path, doc, &field)? {
            nodes.push(node);
        }
    }
    Ok(())
}

fn one(
    parser: &mut Parser<'_>,
    path: &Arc<Path>,
    siblings: &RawDocument,
    field: &Field<'_>,
) -> Result<Option<Node>, Fault> {
    let leaf = |test| Node::Leaf(Leaf { path: path.clone(), test });
    let name = field.name();
    Ok(Some(match name {
        "$eq" => leaf(compare(parser, path, name, Comparison::Eq, field)?),
        "$gt" => leaf(compare(parser, path, name, Comparison::Gt, field)?),
        "$gte" => leaf(compare(parser, path, name, Comparison::Gte, field)?),
        "$lt" => leaf(compare(parser, path, name, Comparison::Lt, field)?),
        "$lte" => leaf(compare(parser, path, name, Comparison::Lte, field)?),
        "$ne" => {
            if let RawBsonRef::RegularExpression(_) = field.value()? {
                return Err(Fault::bad_value("Can't have regex as arg to $ne."));
            }
            Node::not(leaf(compare(parser, path, name, Comparison::Eq, field)?))
        }
        "$in" => leaf(set(parser, field)?),
        "$nin" => Node::not(leaf(set(parser, field)?)),
        "$not" => Node::not(negated(parser, path, field)?),
        "$exists" => match truthy(field.value()?) {
            true => leaf(Test::Exists),
            false => Node::not(leaf(Test::Exists)),
        },
        "$type" => leaf(Test::Type(Kinds::parse(field)?)),
        "$size" => leaf(Test::Size(size(field)?)),
        "$mod" => leaf(modulo(field)?),
        "$regex" => leaf(regex(field, find(siblings, "$options")?)?),
        "$options" => {
            if find(siblings, "$regex")?.is_none() {
                return Err(Fault::bad_value("$options needs a $regex"));
            }
            return Ok(None);
        }
        "$all" => all(parser, path, field)?,
        "$elemMatch" => leaf(element_match(parser, field)?),
        "$bitsAllSet" => leaf(Test::Bits(Bits::parse(name, Quantity::AllSet, field)?)),
        "$bitsAllClear" => leaf(Test::Bits(Bits::parse(name, Quantity::AllClear, field)?)),
        "$bitsAnySet" => leaf(Test::Bits(Bits::parse(name, Quantity::AnySet, field)?)),
        "$bitsAnyClear" => leaf(Test::Bits(Bits::parse(name, Quantity::AnyClear, field)?)),
        "$comment" => return Ok(None),
        unbuilt if UNBUILT.contains(&unbuilt) => return Err(Fault::not_implemented(unbuilt)),
        unknown => return Err(Fault::bad_value(format!("unknown operator: {unknown}"))),
    }))
}

fn compare(
    parser: &Parser<'_>,
    path: &Path,
    name: &str,
    comparison: Comparison,
    field: &Field<'_>,
) -> Result<Test, Fault> {
    let value = field.value()?;
    match value {
        RawBsonRef::Undefined => return Err(Fault::bad_value("cannot compare to undefined")),
        RawBsonRef::RegularExpression(_) if name != "$eq" => {
            return Err(Fault::bad_value(format!(
                "Can't have RegEx as arg to predicate over field '{}'.",
                path.text()
            )));
        }
        _ => {}
    }
    Ok(Test::Compare(comparison, parser.operand(value)))
}

fn set(parser: &mut Parser<'_>, field: &Field<'_>) -> Result<Test, Fault> {
    let Some(array) = field.array()? else {
        return Err(Fault::bad_value(format!("{} needs an array", field.name())));
    };
    let mut values = Vec::new();
    let mut patterns = Vec::new();
    for element in fields(array) {
        let element = element?;
        parser.count(1)?;
        if element.document()?.map(is_operators).transpose()? == Some(true) {
            return Err(Fault::bad_value(format!("cannot nest $ under {}", field.name())));
        }
        match element.value()? {
            RawBsonRef::RegularExpression(regex) => {
                patterns.push(Arc::new(Pattern::new(regex.pattern.as_str(), regex.options.as_str())?));
            }
            RawBsonRef::Undefined => {
                return Err(Fault::bad_value("InMatchExpression equality cannot be undefined"));
            }
            value => values.push(value),
        }
    }
    Ok(Test::In(Set::new(values, patterns, parser.collation())?))
}

fn negated(parser: &mut Parser<'_>, path: &Arc<Path>, field: &Field<'_>) -> Result<Node, Fault> {
    if let RawBsonRef::RegularExpression(regex) = field.value()? {
        let pattern = Pattern::new(regex.pattern.as_str(), regex.options.as_str())?;
        return Ok(Node::Leaf(Leaf { path: path.clone(), test: Test::Regex(Arc::new(pattern)) }));
    }
    let Some(doc) = field.document()? else {
        return Err(Fault::bad_value("$not needs a regex or a document"));
    };
    if doc.is_empty() {
        return Err(Fault::bad_value("$not cannot be empty"));
    }
    parser.nested(|parser| {
        let mut nodes = Vec::new();
        parse(parser, path, doc, &mut nodes)?;
        Ok(Node::all(nodes))
    })
}

fn truthy(value: RawBsonRef<'_>) -> bool {
    match value {
        RawBsonRef::Boolean(value) => value,
        RawBsonRef::Null | RawBsonRef::Undefined => false,
        other => Number::from_raw(other).is_none_or(|number| !number.is_zero()),
    }
}

fn size(field: &Field<'_>) -> Result<i64, Fault> {
    let value = field.value()?;
    let refuse = |what: &str| {
        Err(Fault::bad_value(format!(
            "Failed to parse $size. Expected {what} in: $size: {:?}",
            RawBson::from(value)
        )))
    };
    let Some(number) = Number::from_raw(value) else { return refuse("a number") };
    match number.to_i64_exact() {
        None => refuse("an integer"),
        Some(size) if size < 0 => refuse("a non-negative number"),
        Some(size) => Ok(size),
    }
}

fn modulo(field: &Field<'_>) -> Result<Test, Fault> {
    let Some(array) = field.array()? else {
        return Err(Fault::bad_value("malformed mod, needs to be an array"));
    };
    let mut operands = Vec::with_capacity(2);
    for element in fields(array) {
        operands.push(element?.value()?);
    }
    let [divisor, remainder] = operands.as_slice() else {
        let what = if operands.len() < 2 { "not enough" } else { "too many" };
        return Err(Fault::bad_value(format!("malformed mod, {what} elements")));
    };
    let whole = |what: &str, value: RawBsonRef<'_>| {
        let Some(number) = Number::from_raw(value) else {
            return Err(Fault::bad_value(format!("malformed mod, {what} not a number")));
        };
        number.to_i64_truncated().ok_or_else(|| {
            Fault::bad_value(format!(
                "malformed mod, {what} value is invalid :: caused by :: Unable to coerce NaN/Inf to integral type"
            ))
        })
    };
    let (divisor, remainder) = (whole("divisor", *divisor)?, whole("remainder", *remainder)?);
    if divisor == 0 {
        return Err(Fault::bad_value("divisor cannot be 0"));
    }
    Ok(Test::Mod { divisor, remainder })
}

fn regex(field: &Field<'_>, options: Option<Field<'_>>) -> Result<Test, Fault> {
    let given = match &options {
        None => None,
        Some(options) => match options.value()? {
            RawBsonRef::String(text) => Some(text),
            _ => return Err(Fault::bad_value("$options has to be a string")),
        },
    };
    let has_nul = || Fault::bad_value("Regular expression cannot contain an embedded null byte");
    let pattern = match field.value()? {
        RawBsonRef::String(source) => {
            if source.contains('\0') {
                return Err(has_nul());
            }
            Pattern::new(source, given.unwrap_or_default())?
        }
        RawBsonRef::RegularExpression(regex) => match (regex.options.as_str(), given) {
            (own, Some(_)) if !own.is_empty() => {
                return Err(Fault::new(Code::Location(51075), "options set in both $regex and $options"));
            }
            (own, given) => Pattern::new(regex.pattern.as_str(), given.unwrap_or(own))?,
        },
        _ => return Err(Fault::bad_value("$regex has to be a string")),
    };
    Ok(Test::Regex(Arc::new(pattern)))
}

fn all(parser: &mut Parser<'_>, path: &Arc<Path>, field: &Field<'_>) -> Result<Node, Fault> {
    let Some(array) = field.array()? else { return Err(Fault::bad_value("$all needs an array")) };
    let leaf = |test| Node::Leaf(Leaf { path: path.clone(), test });
    let mut nodes = Vec::new();
    let mut of_elements = None;
    for element in fields(array) {
        let element = element?;
        parser.count(1)?;
        let operator = match element.document()? {
            Some(doc) if is_operators(doc)? => fields(doc).next().transpose()?,
            _ => None,
        };
        let is_element_match = operator.as_ref().is_some_and(|operator| operator.name() == "$elemMatch");
        if *of_elements.get_or_insert(is_element_match) != is_element_match {
            return Err(Fault::bad_value(match is_element_match {
                true => "no $ expressions in $all",
                false => "$all/$elemMatch has to be consistent",
            }));
        }
        let test = match (operator, element.value()?) {
            (Some(operator), _) if is_element_match => element_match(parser, &operator)?,
            (Some(_), _) => return Err(Fault::bad_value("no $ expressions in $all")),
            (None, RawBsonRef::RegularExpression(regex)) => {
                Test::Regex(Arc::new(Pattern::new(regex.pattern.as_str(), regex.options.as_str())?))
            }
            (None, RawBsonRef::Undefined) => return Err(Fault::bad_value("cannot compare to undefined")),
            (None, value) => Test::Compare(Comparison::Eq, parser.operand(value)),
        };
        nodes.push(leaf(test));
    }
    Ok(if nodes.is_empty() { Node::Never } else { Node::all(nodes) })
}

pub(super) fn element_match(parser: &mut Parser<'_>, field: &Field<'_>) -> Result<Test, Fault> {
    let Some(doc) = field.document()? else { return Err(Fault::bad_value("$elemMatch needs an Object")) };
    let first = fields(doc).next().transpose()?;
    if first.as_ref().is_some_and(|first| first.name() == "$where") {
        return Err(Fault::bad_value("$elemMatch cannot contain $where expression"));
    }
    let of_values = is_operators(doc)? && first.is_some_and(|first| !is_pathless(first.name()));
    parser.nested(|parser| {
        if !of_values {
            let node = parser.filter(doc)?;
            if contains_expr(&node) {
                return Err(Fault::bad_value("$expr can only be applied to the top-level document"));
            }
            return Ok(Test::ElemMatchObject(Box::new(node)));
        }
        let path = Arc::new(Path::parse(""));
        let mut nodes = Vec::new();
        parse(parser, &path, doc, &mut nodes)?;
        Ok(Test::ElemMatchValue(Box::new(Node::all(nodes))))
    })
}

fn contains_expr(node: &Node) -> bool {
    match node {
        Node::Expr(_) => true,
        Node::And(nodes) | Node::Or(nodes) => nodes.iter().any(contains_expr),
        Node::Not(node) => contains_expr(node),
        Node::Leaf(_) | Node::Never => false,
    }
}
