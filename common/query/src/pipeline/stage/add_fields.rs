//! `$addFields` and `$set`: fields computed and added, or put in the place of those that are there.

use super::reshape::Reshape;
use super::{Parsing, Stage};
use crate::projection::parse as projection;
use bson::RawBsonRef;
use types::{Code, Fault};

pub(in crate::pipeline) fn parse(
    name: &'static str,
    raw: RawBsonRef<'_>,
    parsing: &Parsing<'_>,
) -> Result<Stage, Fault> {
    let Some(spec) = raw.as_document() else {
        return Err(Fault::new(
            Code::Location(40272),
            format!("{name} specification stage must be an object"),
        ));
    };
    let tree = if spec.is_empty() {
        Err(Fault::new(Code::Location(40177), "specification must have at least one field"))
    } else {
        projection::parse_additions(spec, parsing.scope, parsing.ctx)
    };
    let tree = tree.map_err(|fault| fault.context(format!("Invalid {name}")))?;
    Ok(Stage::Reshape(Reshape::new(name, tree)))
}
