//! Operands of an operator: by position or by name, with MongoDB's complaints about their number.

use super::operator::{Arity, Param};
use super::value::{from_raw, render};
use super::{Expr, Variables};
use crate::context::ParseContext;
use bson::{RawBsonRef, RawDocument};
use types::{Code, Fault};

/// The operands of `name`: the elements of an array, or the one value that stands there.
pub(super) fn positional(
    name: &str,
    raw: RawBsonRef<'_>,
    arity: Arity,
    scope: &Variables,
    ctx: &ParseContext,
) -> Result<Vec<Expr>, Fault> {
    let operands = list(raw, scope, ctx)?;
    let count = operands.len();
    match arity {
        Arity::Exactly(want) if want != count => Err(Fault::new(
            Code::Location(16020),
            format!("Expression {name} takes exactly {want} arguments. {count} were passed in."),
        )),
        Arity::Between(least, most) if count < least || count > most => Err(Fault::new(
            Code::Location(28667),
            format!(
                "Expression {name} takes at least {least} arguments, and at most {most}, but {count} were passed in."
            ),
        )),
        _ => Ok(operands),
    }
}

fn list(raw: RawBsonRef<'_>, scope: &Variables, ctx: &ParseContext) -> Result<Vec<Expr>, Fault> {
    let RawBsonRef::Array(array) = raw else { return Ok(vec![Expr::parse(raw, scope, ctx)?]) };
    let mut out = Vec::new();
    for element in array {
        out.push(Expr::parse(element.map_err(invalid)?, scope, ctx)?);
    }
    Ok(out)
}

pub(super) fn invalid(error: bson::error::Error) -> Fault {
    Fault::new(Code::InvalidBSON, error.to_string())
}

/// The object that holds the named operands of `name`.
pub(super) fn object<'a>(name: &str, raw: RawBsonRef<'a>, code: i32) -> Result<&'a RawDocument, Fault> {
    raw.as_document().ok_or_else(|| {
        let found = from_raw(raw).ok();
        Fault::new(
            Code::Location(code),
            format!("{name} only supports an object as its argument, found: {}", render(&found)),
        )
    })
}

/// The raw operands of `name` in the order of `params`.
///
/// # Errors
/// For a name that is none of `params`, and for a required one that is not there.
pub(super) fn raw_named<'a, const N: usize>(
    name: &str,
    document: &'a RawDocument,
    params: &[Param; N],
) -> Result<[Option<RawBsonRef<'a>>; N], Fault> {
    let mut out = [None; N];
    for element in document {
        let (field, value) = element.map_err(invalid)?;
        match params.iter().position(|param| param.name == field.as_str()) {
            Some(index) => out[index] = Some(value),
            None => return Err(unknown(name, field.as_str())),
        }
    }
    match params.iter().zip(&out).find(|(param, value)| param.required && value.is_none()) {
        Some((param, _)) => Err(lacking(name, param.name)),
        None => Ok(out),
    }
}

/// As [`raw_named`], parsed; absent operands are missing, and a mask says which were given.
pub(super) fn named(
    name: &str,
    document: &RawDocument,
    params: &[Param],
    scope: &Variables,
    ctx: &ParseContext,
) -> Result<(Vec<Expr>, u32), Fault> {
    let mut operands = vec![Expr::constant(None); params.len()];
    let mut given = 0;
    for element in document {
        let (field, value) = element.map_err(invalid)?;
        let Some(index) = params.iter().position(|param| param.name == field.as_str()) else {
            return Err(unknown(name, field.as_str()));
        };
        operands[index] = Expr::parse(value, scope, ctx)?;
        given |= 1 << index;
    }
    match params.iter().enumerate().find(|(index, param)| param.required && given & (1 << index) == 0) {
        Some((_, param)) => Err(lacking(name, param.name)),
        None => Ok((operands, given)),
    }
}

fn unknown(name: &str, field: &str) -> Fault {
    let code = match name {
        "$filter" => 28647,
        "$map" => 16879,
        "$reduce" => 40076,
        "$cond" => 17083,
        "$let" => 16875,
        "$switch" => 40067,
        "$zip" => 34464,
        "$trim" | "$ltrim" | "$rtrim" => 50694,
        "$dateToString" => 18534,
        "$dateFromString" => 40541,
        "$dateFromParts" => 40518,
        "$dateToParts" => 40520,
        "$dateAdd" | "$dateSubtract" => 5166401,
        "$dateDiff" => 5166302,
        "$dateTrunc" => 5439008,
        "$sortArray" => 2942503,
        "$getField" => 3041701,
        "$setField" | "$unsetField" => 4161101,
        "$regexFind" | "$regexFindAll" | "$regexMatch" => 31024,
        "$replaceOne" | "$replaceAll" => 51750,
        _ => return Fault::new(Code::FailedToParse, format!("{name} found an unknown argument: {field}")),
    };
    Fault::new(Code::Location(code), format!("Unrecognized argument to {name}: {field}"))
}

fn lacking(name: &str, field: &str) -> Fault {
    let code = match (name, field) {
        ("$filter", "input") => 28648,
        ("$filter", _) => 28650,
        ("$map", "input") => 16880,
        ("$map", _) => 16882,
        ("$reduce", "input") => 40077,
        ("$reduce", "initialValue") => 40078,
        ("$reduce", _) => 40079,
        ("$cond", "if") => 17080,
        ("$cond", "then") => 17081,
        ("$cond", _) => 17082,
        ("$let", "vars") => 16876,
        ("$let", _) => 16877,
        ("$zip", _) => 34465,
        ("$trim" | "$ltrim" | "$rtrim", _) => 50695,
        ("$dateToString", _) => 18628,
        ("$dateFromString", _) => 40542,
        ("$dateFromParts", _) => 40516,
        ("$dateToParts", _) => 40522,
        ("$dateAdd" | "$dateSubtract", _) => 5166402,
        ("$dateDiff", _) => 5166303,
        ("$dateTrunc", _) => 5439009,
        ("$sortArray", "input") => 2942502,
        ("$sortArray", _) => 2942504,
        ("$getField", _) => 3041702,
        ("$setField" | "$unsetField", _) => 4161102,
        ("$regexFind" | "$regexFindAll" | "$regexMatch", "input") => 31022,
        ("$regexFind" | "$regexFindAll" | "$regexMatch", _) => 31023,
        ("$replaceOne" | "$replaceAll", "input") => 51749,
        ("$replaceOne" | "$replaceAll", "find") => 51748,
        ("$replaceOne" | "$replaceAll", _) => 51747,
        _ => return Fault::new(Code::FailedToParse, format!("Missing '{field}' parameter to {name}")),
    };
    Fault::new(Code::Location(code), format!("Missing '{field}' parameter to {name}"))
}
