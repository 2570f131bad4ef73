//! `$unset`: fields dropped.

use super::reshape::Reshape;
use super::{Parsing, Stage};
use crate::context::invalid_bson;
use crate::expr::FieldPath;
use crate::projection::{Action, Kind, Tree};
use bson::RawBsonRef;
use types::{Code, Fault};

pub(in crate::pipeline) fn parse(
    name: &'static str,
    raw: RawBsonRef<'_>,
    _: &Parsing<'_>,
) -> Result<Stage, Fault> {
    let mut tree = Tree::new(Kind::Exclusion);
    match raw {
        RawBsonRef::String(field) => tree.add(FieldPath::parse(field)?.as_str(), Action::Exclude)?,
        RawBsonRef::Array(fields) => {
            for field in fields {
                let RawBsonRef::String(field) = field.map_err(invalid_bson)? else {
                    return Err(Fault::new(
                        Code::Location(31120),
                        "$unset specification must be a string or an array containing only string values",
                    ));
                };
                tree.add(FieldPath::parse(field)?.as_str(), Action::Exclude)?;
            }
        }
        _ => {
            return Err(Fault::new(
                Code::Location(31002),
                "$unset specification must be a string or an array",
            ));
        }
    }
    if tree.is_empty() {
        return Err(Fault::new(
            Code::Location(31119),
            "$unset specification must be a string or an array with at least one field",
        ));
    }
    Ok(Stage::Reshape(Reshape::new(name, tree)))
}
