//! `$unset`: fields dropped.

use super::project::{Reshape, join};
use super::reshape::{Node, Policy, Tree};
use super::{Parsing, Stage};
use crate::context::invalid_bson;
use bson::RawBsonRef;
use types::{Code, Fault};

pub(in crate::pipeline) fn parse(name: &'static str, raw: RawBsonRef<'_>, _: &Parsing<'_>) -> Result<Stage, Fault> {
    let mut tree = Tree::default();
    match raw {
        RawBsonRef::String(field) => tree.insert(&join(&[], field)?, Node::Exclude)?,
        RawBsonRef::Array(fields) => {
            for field in fields {
                let RawBsonRef::String(field) = field.map_err(invalid_bson)? else {
                    return Err(Fault::new(
                        Code::Location(31120),
                        "$unset specification must be a string or an array containing only string values",
                    ));
                };
                tree.insert(&join(&[], field)?, Node::Exclude)?;
            }
        }
        _ => return Err(Fault::new(Code::Location(31002), "$unset specification must be a string or an array")),
    }
    if tree.is_empty() {
        return Err(Fault::new(
            Code::Location(31119),
            "$unset specification must be a string or an array with at least one field",
        ));
    }
    Ok(Stage::Reshape(Reshape::new(name, Policy::Exclude, tree)))
}
