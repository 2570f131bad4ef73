//! `$project`: fields included, excluded or computed.

use super::reshape::Reshape;
use super::{Parsing, Stage};
use crate::projection::parse::{self as projection, Dialect};
use bson::RawBsonRef;
use types::{Code, Fault};

pub(in crate::pipeline) fn parse(
    name: &'static str,
    raw: RawBsonRef<'_>,
    parsing: &Parsing<'_>,
) -> Result<Stage, Fault> {
    let Some(spec) = raw.as_document() else {
        return Err(Fault::new(Code::Location(15969), "$project specification must be an object"));
    };
    let parsed = if spec.is_empty() {
        Err(Fault::new(Code::Location(51272), "projection specification must have at least one field"))
    } else {
        projection::parse(spec, Dialect::Aggregate, parsing.scope, parsing.ctx)
    };
    let parsed = parsed.map_err(|fault| fault.context("Invalid $project"))?;
    Ok(Stage::Reshape(Reshape::new(name, parsed.tree)))
}
