//! `$addFields` and `$set`: fields computed and added, or put in the place of those that are there.

use super::project::{Reshape, join};
use super::reshape::{Node, Policy, Tree};
use super::{Parsing, Stage};
use crate::context::invalid_bson;
use crate::expr::Expr;
use bson::{RawBsonRef, RawDocument};
use types::{Code, Fault};

pub(in crate::pipeline) fn parse(name: &'static str, raw: RawBsonRef<'_>, parsing: &Parsing<'_>) -> Result<Stage, Fault> {
    let Some(spec) = raw.as_document() else {
        return Err(Fault::new(Code::Location(40272), format!("{name} specification stage must be an object")));
    };
    let mut tree = Tree::default();
    document(name, spec, &[], &mut tree, parsing)?;
    if tree.is_empty() {
        return Err(invalid(name, 40177, "specification must have at least one field"));
    }
    Ok(Stage::Reshape(Reshape::new(name, Policy::Add, tree)))
}

fn document(
    stage: &str,
    spec: &RawDocument,
    above: &[String],
    tree: &mut Tree,
    parsing: &Parsing<'_>,
) -> Result<(), Fault> {
    for element in spec {
        let (name, value) = element.map_err(invalid_bson)?;
        let path = join(above, name.as_str())?;
        if let RawBsonRef::Document(inner) = value {
            match inner.iter_elements().next().transpose().map_err(invalid_bson)? {
                None => {
                    let path = path.join(".");
                    return Err(invalid(stage, 40180, &format!("an empty object is not a valid value. Found empty object at path {path}")));
                }
                Some(first) if !first.key().as_str().starts_with('$') => {
                    document(stage, inner, &path, tree, parsing)?;
                    continue;
                }
                Some(_) => {}
            }
        }
        let expr = Expr::parse(value, parsing.scope, parsing.ctx)
            .map_err(|fault| fault.context(format!("Invalid {stage}")))?;
        tree.insert(&path, Node::Compute(expr))?;
    }
    Ok(())
}

fn invalid(stage: &str, code: i32, message: &str) -> Fault {
    Fault::new(Code::Location(code), format!("Invalid {stage} :: caused by :: {message}"))
}
