//! Types: what a value is, and conversion to another type.

use super::operator::{Arity, Operator, Param, Shape, optional, required};
use super::value::{is_nullish, is_true, number, to_raw, type_name};
use super::{Env, Evaluate, Expr, Value, Variables, arguments, date, date_format};
use crate::context::ParseContext;
use bson::oid::ObjectId;
use bson::{Bson, RawBsonRef};
use types::{Code, Fault};
use value::number::Number;

pub(super) const OPERATORS: &[Operator] = &[
    Operator { name: "$binarySize", shape: Shape::Plain(Arity::Exactly(1), binary_size) },
    Operator { name: "$bsonSize", shape: Shape::Plain(Arity::Exactly(1), bson_size) },
    Operator { name: "$convert", shape: Shape::Special(parse_convert) },
    Operator { name: "$isNumber", shape: Shape::Plain(Arity::Exactly(1), is_number) },
    Operator { name: "$toBool", shape: Shape::Plain(Arity::Exactly(1), |values| to(values, Target::Bool)) },
    Operator { name: "$toDate", shape: Shape::Plain(Arity::Exactly(1), |values| to(values, Target::Date)) },
    Operator {
        name: "$toDecimal",
        shape: Shape::Plain(Arity::Exactly(1), |values| to(values, Target::Decimal)),
    },
    Operator {
        name: "$toDouble",
        shape: Shape::Plain(Arity::Exactly(1), |values| to(values, Target::Double)),
    },
    Operator { name: "$toHashedIndexKey", shape: Shape::Plain(Arity::Exactly(1), hashed) },
    Operator { name: "$toInt", shape: Shape::Plain(Arity::Exactly(1), |values| to(values, Target::Int)) },
    Operator { name: "$toLong", shape: Shape::Plain(Arity::Exactly(1), |values| to(values, Target::Long)) },
    Operator {
        name: "$toObjectId",
        shape: Shape::Plain(Arity::Exactly(1), |values| to(values, Target::ObjectId)),
    },
    Operator {
        name: "$toString",
        shape: Shape::Plain(Arity::Exactly(1), |values| to(values, Target::String)),
    },
    Operator { name: "$toUUID", shape: Shape::Plain(Arity::Exactly(1), to_uuid) },
    Operator { name: "$type", shape: Shape::Plain(Arity::Exactly(1), name_of) },
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Bool,
    Date,
    Decimal,
    Double,
    Int,
    Long,
    ObjectId,
    String,
}

impl Target {
    fn name(self) -> &'static str {
        match self {
            Target::Bool => "bool",
            Target::Date => "date",
            Target::Decimal => "decimal",
            Target::Double => "double",
            Target::Int => "int",
            Target::Long => "long",
            Target::ObjectId => "objectId",
            Target::String => "string",
        }
    }

    fn parse(value: &Value) -> Result<Target, Fault> {
        let by_number = |code: i32| {
            Some(match code {
                1 => Target::Double,
                2 => Target::String,
                7 => Target::ObjectId,
                8 => Target::Bool,
                9 => Target::Date,
                16 => Target::Int,
                18 => Target::Long,
                19 => Target::Decimal,
                _ => return None,
            })
        };
        match value {
            Some(Bson::String(name)) => {
                let all = [
                    Target::Bool,
                    Target::Date,
                    Target::Decimal,
                    Target::Double,
                    Target::Int,
                    Target::Long,
                    Target::ObjectId,
                    Target::String,
                ];
                match all.into_iter().find(|target| target.name() == name) {
                    Some(target) => Ok(target),
                    None if matches!(
                        name.as_str(),
                        "binData" | "object" | "array" | "regex" | "timestamp"
                    ) =>
                    {
                        Err(Fault::not_implemented(format!("$convert to {name}")))
                    }
                    None => Err(Fault::bad_value(format!("Unknown type name: {name}"))),
                }
            }
            other => match other.as_ref().and_then(number) {
                Some(code) => code.to_i32_exact().and_then(by_number).ok_or_else(|| {
                    Fault::bad_value("In $convert, numeric value for 'to' does not correspond to a BSON type")
                }),
                None => Err(Fault::new(
                    Code::FailedToParse,
                    format!(
                        "$convert's 'to' argument must be a string or number, but is {}",
                        type_name(other)
                    ),
                )),
            },
        }
    }
}

fn failure(reason: impl std::fmt::Display) -> Fault {
    Fault::new(Code::ConversionFailure, format!("{reason} in $convert with no onError value"))
}

fn unsupported(value: &Bson, target: Target) -> Fault {
    failure(format!("Unsupported conversion from {} to {}", type_name(&Some(value.clone())), target.name()))
}

fn convert(value: &Bson, target: Target) -> Result<Bson, Fault> {
    match target {
        Target::Bool => Ok(Bson::Boolean(is_true(&Some(value.clone())))),
        Target::String => to_text(value).map(Bson::String).ok_or_else(|| unsupported(value, target)),
        Target::ObjectId => match value {
            Bson::ObjectId(id) => Ok(Bson::ObjectId(*id)),
            Bson::String(text) => ObjectId::parse_str(text)
                .map(Bson::ObjectId)
                .map_err(|_| failure(format!("Failed to parse objectId '{text}'"))),
            other => Err(unsupported(other, target)),
        },
        Target::Date => to_date(value),
        Target::Decimal | Target::Double | Target::Int | Target::Long => to_number(value, target),
    }
}

fn to_date(value: &Bson) -> Result<Bson, Fault> {
    match value {
        Bson::String(text) => date_format::parse_default(text, None).map(date::from_millis),
        Bson::Double(_) | Bson::Int64(_) | Bson::Decimal128(_) => {
            let millis = number(value).and_then(Number::to_i64_truncated);
            millis.map(date::from_millis).ok_or_else(|| failure("Conversion would overflow target type"))
        }
        Bson::DateTime(_) | Bson::Timestamp(_) | Bson::ObjectId(_) => {
            date::millis(&Some(value.clone())).map(date::from_millis)
        }
        other => Err(unsupported(other, Target::Date)),
    }
}

fn to_number(value: &Bson, target: Target) -> Result<Bson, Fault> {
    let source = match value {
        Bson::Boolean(truth) => Number::Int32(i32::from(*truth)),
        Bson::DateTime(at) if target != Target::Int => Number::Int64(at.timestamp_millis()),
        Bson::String(text) => parse_number(text, target)?,
        other => number(other).ok_or_else(|| unsupported(other, target))?,
    };
    let overflow = || failure("Conversion would overflow target type");
    Ok(match target {
        Target::Double => {
            let double = source.to_f64();
            if double.is_infinite() && source.is_finite() {
                return Err(overflow());
            }
            Bson::Double(double)
        }
        Target::Decimal => Bson::Decimal128(source.to_decimal()),
        Target::Long => Bson::Int64(source.to_i64_truncated().ok_or_else(overflow)?),
        _ => {
            let whole = source.to_i64_truncated().and_then(|whole| i32::try_from(whole).ok());
            Bson::Int32(whole.ok_or_else(overflow)?)
        }
    })
}

fn parse_number(text: &str, target: Target) -> Result<Number, Fault> {
    let parsed = match target {
        Target::Int | Target::Long => text.parse().ok().map(Number::Int64),
        Target::Decimal => Number::parse_decimal(text).map(Number::Decimal),
        // Rust reads a few words that MongoDB does not, and neither reads hexadecimal.
        _ => text.parse().ok().filter(|_| !text.starts_with("0x")).map(Number::Double),
    };
    parsed.ok_or_else(|| failure(format!("Failed to parse number '{text}'")))
}

/// The text of a value that has one.
pub(super) fn to_text(value: &Bson) -> Option<String> {
    Some(match value {
        Bson::String(text) => text.clone(),
        Bson::Boolean(truth) => truth.to_string(),
        Bson::Int32(number) => number.to_string(),
        Bson::Int64(number) => number.to_string(),
        Bson::Double(number) => double_text(*number),
        Bson::Decimal128(number) => number.to_string(),
        Bson::ObjectId(id) => id.to_hex(),
        Bson::DateTime(at) => date_format::iso(at.timestamp_millis()).ok()?,
        _ => return None,
    })
}

fn double_text(number: f64) -> String {
    if number.is_infinite() {
        return if number > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    let size = number.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let text = format!("{number:e}");
        return if text.contains("e-") { text } else { text.replace('e', "e+") };
    }
    number.to_string()
}

fn to(operands: &[Value], target: Target) -> Result<Value, Fault> {
    match operands.first() {
        Some(Some(value)) if !is_nullish(&Some(value.clone())) => convert(value, target).map(Some),
        _ => Ok(Some(Bson::Null)),
    }
}

fn binary_size(operands: &[Value]) -> Result<Value, Fault> {
    match operands.first() {
        Some(Some(Bson::String(text))) => Ok(length(text.len())),
        Some(Some(Bson::Binary(binary))) => Ok(length(binary.bytes.len())),
        Some(value) if !is_nullish(value) => Err(Fault::new(
            Code::Location(51276),
            format!("$binarySize requires a string or BinData argument, found: {}", type_name(value)),
        )),
        _ => Ok(Some(Bson::Null)),
    }
}

fn bson_size(operands: &[Value]) -> Result<Value, Fault> {
    match operands.first() {
        Some(Some(value @ Bson::Document(_))) => {
            let raw = to_raw(value)?;
            Ok(raw.as_document().map_or(Some(Bson::Null), |document| length(document.as_bytes().len())))
        }
        Some(value) if !is_nullish(value) => Err(Fault::new(
            Code::Location(31393),
            format!("$bsonSize requires a document input, found: {}", type_name(value)),
        )),
        _ => Ok(Some(Bson::Null)),
    }
}

fn length(bytes: usize) -> Value {
    Some(i32::try_from(bytes).map_or(Bson::Null, Bson::Int32))
}

/// The value that a hashed index holds; missing hashes as null.
fn hashed(operands: &[Value]) -> Result<Value, Fault> {
    let raw = to_raw(operands.first().and_then(Option::as_ref).unwrap_or(&Bson::Null))?;
    Ok(Some(Bson::Int64(value::hash::shard_key_hash(raw.as_raw_bson_ref()))))
}

fn is_number(operands: &[Value]) -> Result<Value, Fault> {
    let is = operands.first().and_then(|value| value.as_ref()).and_then(number).is_some();
    Ok(Some(Bson::Boolean(is)))
}

fn name_of(operands: &[Value]) -> Result<Value, Fault> {
    Ok(Some(Bson::String(type_name(operands.first().unwrap_or(&None)).to_owned())))
}

fn to_uuid(operands: &[Value]) -> Result<Value, Fault> {
    match operands.first() {
        Some(Some(Bson::String(text))) => match bson::Uuid::parse_str(text) {
            Ok(uuid) => Ok(Some(Bson::Binary(bson::Binary::from(uuid)))),
            Err(_) => Err(failure(format!("Failed to parse BinData '{text}'"))),
        },
        Some(Some(Bson::Binary(binary))) if binary.subtype == bson::spec::BinarySubtype::Uuid => {
            Ok(Some(Bson::Binary(binary.clone())))
        }
        Some(value) if !is_nullish(value) => {
            Err(failure(format!("Unsupported conversion from {} to binData", type_name(value))))
        }
        _ => Ok(Some(Bson::Null)),
    }
}

#[derive(Debug)]
struct Convert {
    input: Expr,
    to: Expr,
    on_error: Option<Expr>,
    on_null: Option<Expr>,
}

const PARAMS: [Param; 4] = [required("input"), required("to"), optional("onError"), optional("onNull")];

fn parse_convert(raw: RawBsonRef<'_>, scope: &Variables, ctx: &ParseContext) -> Result<Expr, Fault> {
    let document = arguments::object("$convert", raw, Code::FailedToParse.number())?;
    for newer in ["format", "subtype", "base", "byteOrder"] {
        if document.get(newer).map_err(arguments::invalid)?.is_some() {
            return Err(Fault::not_implemented(format!("$convert with '{newer}'")));
        }
    }
    let (operands, given) = arguments::named("$convert", document, &PARAMS, scope, ctx)?;
    let [input, to, on_error, on_null]: [Expr; 4] =
        operands.try_into().map_err(|_| Fault::internal("$convert lost an operand"))?;
    if let Some(to) = to.as_constant()
        && !is_nullish(to)
    {
        // An unknown target is the query's fault, not a document's.
        if !matches!(to, Some(Bson::Document(_))) {
            Target::parse(to)?;
        }
    }
    let on_error = (given & 4 != 0).then_some(on_error);
    let on_null = (given & 8 != 0).then_some(on_null);
    Ok(Expr::special(Convert { input, to, on_error, on_null }))
}

impl Evaluate for Convert {
    fn eval(&self, env: &Env<'_>) -> Result<Value, Fault> {
        let to = self.to.eval(env)?;
        let input = self.input.eval(env)?;
        match &input {
            Some(value) if !is_nullish(&input) => {
                if is_nullish(&to) {
                    return Ok(Some(Bson::Null));
                }
                let to = match &to {
                    Some(Bson::Document(to)) => to.get("type").cloned(),
                    _ => to,
                };
                let converted = Target::parse(&to).and_then(|target| convert(value, target));
                match (converted, &self.on_error) {
                    (Ok(value), _) => Ok(Some(value)),
                    (Err(fault), Some(on_error)) if fault.code == Code::ConversionFailure => {
                        on_error.eval(env)
                    }
                    (Err(fault), _) => Err(fault),
                }
            }
            _ => self.on_null.as_ref().map_or(Ok(Some(Bson::Null)), |on_null| on_null.eval(env)),
        }
    }
}
