//! `$bucket`: a `$group` by the boundary below, sorted by it.

use super::Parsing;
use crate::context::invalid_bson;
use crate::expr::{Env, Expr, from_raw, to_raw};
use bson::{Bson, RawArrayBuf, RawBsonRef, RawDocumentBuf, rawdoc};
use types::{Code, Fault};
use value::{Collator, order};

pub(in crate::pipeline) fn rewrite(
    raw: RawBsonRef<'_>,
    parsing: &Parsing<'_>,
) -> Result<Vec<RawDocumentBuf>, Fault> {
    let refuse = |code, message: &str| Err(Fault::new(Code::Location(code), message));
    let Some(spec) = raw.as_document() else {
        return refuse(40201, "Argument to $bucket stage must be an object");
    };
    let (mut group_by, mut boundaries, mut default, mut output) = (None, None, None, None);
    for element in spec {
        let (name, value) = element.map_err(invalid_bson)?;
        match (name.as_str(), value) {
            ("groupBy", RawBsonRef::String(path)) if path.starts_with('$') => group_by = Some(value),
            ("groupBy", RawBsonRef::Document(_)) => group_by = Some(value),
            ("groupBy", _) => {
                return refuse(
                    40202,
                    "The $bucket 'groupBy' field must be defined as a $-prefixed path or an expression",
                );
            }
            ("boundaries", RawBsonRef::Array(array)) => boundaries = Some(array),
            ("boundaries", _) => {
                return refuse(40200, "The $bucket 'boundaries' field must be an array of values");
            }
            ("default", value) => default = Some(constant(value, parsing, 40195)?),
            ("output", RawBsonRef::Document(document)) => output = Some(document),
            ("output", _) => return refuse(40196, "The $bucket 'output' field must be an object"),
            (other, _) => {
                return Err(Fault::new(
                    Code::Location(40197),
                    format!("Unrecognized option to $bucket: {other}."),
                ));
            }
        }
    }
    let (Some(group_by), Some(boundaries)) = (group_by, boundaries) else {
        return refuse(40198, "$bucket requires 'groupBy' and 'boundaries' to be specified.");
    };
    let mut bounds = Vec::new();
    for value in boundaries {
        bounds.push(constant(value.map_err(invalid_bson)?, parsing, 40191)?);
    }
    check(&bounds, default.as_ref(), parsing.ctx.collation.as_ref())?;
    let mut group = RawDocumentBuf::new();
    group.append(bson::raw::cstr!("_id"), switch(group_by, &bounds, default)?);
    match output {
        Some(output) => {
            for element in output {
                let (name, value) = element.map_err(invalid_bson)?;
                group.append(name, value);
            }
        }
        None => group.append(bson::raw::cstr!("count"), rawdoc! { "$sum": 1_i32 }),
    }
    Ok(vec![rawdoc! { "$group": group }, rawdoc! { "$sort": { "_id": 1_i32 } }])
}

fn constant(raw: RawBsonRef<'_>, parsing: &Parsing<'_>, code: i32) -> Result<Bson, Fault> {
    let expr = Expr::parse(raw, parsing.scope, parsing.ctx)?;
    match expr.as_constant() {
        Some(_) => Ok(expr.eval(&Env::new(&RawDocumentBuf::new()))?.unwrap_or(Bson::Null)),
        None => Err(Fault::new(
            Code::Location(code),
            format!(
                "The $bucket 'boundaries' and 'default' must be constant values, but found: {}",
                from_raw(raw)?
            ),
        )),
    }
}

fn check(bounds: &[Bson], default: Option<&Bson>, collation: Option<&Collator>) -> Result<(), Fault> {
    let refuse = |code, message: &str| Err(Fault::new(Code::Location(code), message));
    let ([first, .., last], true) = (bounds, bounds.len() >= 2) else {
        return refuse(40192, "The $bucket 'boundaries' field must have at least 2 values");
    };
    let kind = |value: &Bson| to_raw(value).map(|raw| order::canonical_type(raw.as_raw_bson_ref()));
    for pair in bounds.windows(2) {
        let [low, high] = pair else { continue };
        if kind(low)? != kind(high)? {
            return refuse(
                40193,
                "All values in the the 'boundaries' option to $bucket must have the same type.",
            );
        }
        if order::compare_bson_under(low, high, collation).is_ge() {
            return refuse(
                40194,
                "The 'boundaries' option to $bucket must be sorted, but elements are not in order",
            );
        }
    }
    match default {
        Some(default)
            if order::compare_bson_under(default, first, collation).is_ge()
                && order::compare_bson_under(default, last, collation).is_lt() =>
        {
            refuse(
                40199,
                "The $bucket 'default' field must be less than the lowest boundary or greater than or equal to the highest boundary.",
            )
        }
        _ => Ok(()),
    }
}

/// `{$switch: {branches: [{case: {$and: [{$gte: […]}, {$lt: […]}]}, then: low}, …], default}}`.
fn switch(group_by: RawBsonRef<'_>, bounds: &[Bson], default: Option<Bson>) -> Result<RawDocumentBuf, Fault> {
    let mut branches = RawArrayBuf::new();
    for pair in bounds.windows(2) {
        let [low, high] = pair else { continue };
        let side = |operator: &str, bound: &Bson| -> Result<RawDocumentBuf, Fault> {
            let mut operands = RawArrayBuf::new();
            operands.push(group_by);
            operands.push(literal(bound)?);
            let mut out = RawDocumentBuf::new();
            out.append(crate::expr::element_name(operator)?, operands);
            Ok(out)
        };
        let mut both = RawArrayBuf::new();
        both.push(side("$gte", low)?);
        both.push(side("$lt", high)?);
        branches.push(rawdoc! { "case": { "$and": both }, "then": literal(low)? });
    }
    let mut switch = rawdoc! { "branches": branches };
    if let Some(default) = default {
        switch.append(bson::raw::cstr!("default"), literal(&default)?);
    }
    Ok(rawdoc! { "$switch": switch })
}

fn literal(value: &Bson) -> Result<RawDocumentBuf, Fault> {
    Ok(rawdoc! { "$literal": to_raw(value)? })
}
