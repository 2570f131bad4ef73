//! `$project`: fields included, excluded or computed; and the execution that it shares with `$addFields` and `$unset`.

use super::reshape::{Node, Policy, Tree};
use super::{Exec, Parsing, Stage};
use crate::context::invalid_bson;
use crate::expr::{Expr, FieldPath};
use bson::{RawBsonRef, RawDocument, RawDocumentBuf};
use std::sync::Arc;
use types::{Code, Fault};

#[derive(Debug, Clone)]
pub(in crate::pipeline) struct Reshape {
    name: &'static str,
    policy: Policy,
    tree: Arc<Tree>,
}

/// Whether the fields that a `$project` names are kept or dropped, once that is known.
type Mode = Option<Policy>;

pub(in crate::pipeline) fn parse(name: &'static str, raw: RawBsonRef<'_>, parsing: &Parsing<'_>) -> Result<Stage, Fault> {
    let Some(spec) = raw.as_document() else {
        return Err(Fault::new(Code::Location(15969), "$project specification must be an object"));
    };
    if spec.is_empty() {
        return Err(invalid(51272, "projection specification must have at least one field"));
    }
    let mut reading = Reading { parsing, tree: Tree::default(), mode: None, id: None };
    reading.document(spec, &[])?;
    let policy = match (reading.mode, reading.id) {
        (Some(policy), _) => policy,
        (None, Some(false)) => Policy::Exclude,
        (None, _) => Policy::Include,
    };
    match (policy, reading.id) {
        (Policy::Include, Some(true) | None) if !reading.tree.names("_id") => {
            reading.tree.insert(&["_id".to_owned()], Node::Include)?;
        }
        (Policy::Exclude, Some(false)) => reading.tree.insert(&["_id".to_owned()], Node::Exclude)?,
        _ => {}
    }
    Ok(Stage::Reshape(Reshape::new(name, policy, reading.tree)))
}

struct Reading<'a> {
    parsing: &'a Parsing<'a>,
    tree: Tree,
    mode: Mode,
    /// What was said about `_id` by a number or boolean.
    id: Option<bool>,
}

impl Reading<'_> {
    fn document(&mut self, spec: &RawDocument, above: &[String]) -> Result<(), Fault> {
        for element in spec {
            let (name, value) = element.map_err(invalid_bson)?;
            let path = join(above, name.as_str())?;
            self.field(&path, value)?;
        }
        Ok(())
    }

    fn field(&mut self, path: &[String], value: RawBsonRef<'_>) -> Result<(), Fault> {
        let keep = match value {
            RawBsonRef::Boolean(keep) => Some(keep),
            other => value::number::Number::from_raw(other).map(|number| !number.is_zero()),
        };
        if let Some(keep) = keep {
            return self.keep(path, keep);
        }
        if let RawBsonRef::Document(inner) = value {
            match inner.iter_elements().next().transpose().map_err(invalid_bson)? {
                None => {
                    return Err(invalid(
                        51270,
                        &format!("An empty sub-projection is not a valid value. Found empty object at path {}", path.join(".")),
                    ));
                }
                Some(first) if !first.key().as_str().starts_with('$') => return self.document(inner, path),
                Some(_) => {}
            }
        }
        let expr = Expr::parse(value, self.parsing.scope, self.parsing.ctx).map_err(|fault| fault.context("Invalid $project"))?;
        if self.mode == Some(Policy::Exclude) {
            return Err(invalid(31252, &format!("Cannot use expression other than $meta in exclusion projection: {}", path.join("."))));
        }
        self.mode = Some(Policy::Include);
        self.tree.insert(path, Node::Compute(expr))
    }

    fn keep(&mut self, path: &[String], keep: bool) -> Result<(), Fault> {
        if let [only] = path && only == "_id" {
            if self.id.is_some() || self.tree.names("_id") {
                return Err(invalid(31250, "Path collision at _id"));
            }
            self.id = Some(keep);
            return Ok(());
        }
        let (policy, node) = if keep { (Policy::Include, Node::Include) } else { (Policy::Exclude, Node::Exclude) };
        match self.mode {
            Some(mode) if mode != policy => {
                let path = path.join(".");
                return Err(if keep {
                    invalid(31253, &format!("Cannot do inclusion on field {path} in exclusion projection"))
                } else {
                    invalid(31254, &format!("Cannot do exclusion on field {path} in inclusion projection"))
                });
            }
            _ => self.mode = Some(policy),
        }
        self.tree.insert(path, node)
    }
}

fn invalid(code: i32, message: &str) -> Fault {
    Fault::new(Code::Location(code), format!("Invalid $project :: caused by :: {message}"))
}

/// The components of `above` and of the dotted `name`.
pub(super) fn join(above: &[String], name: &str) -> Result<Vec<String>, Fault> {
    let path = FieldPath::parse(name)?;
    Ok(above.iter().chain(path.parts()).cloned().collect())
}

impl Reshape {
    pub(super) fn new(name: &'static str, policy: Policy, tree: Tree) -> Reshape {
        Reshape { name, policy, tree: Arc::new(tree) }
    }

    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    pub(super) fn start(&self) -> impl Exec + use<> {
        Reshaping { policy: self.policy, tree: Arc::clone(&self.tree), out: None }
    }
}

struct Reshaping {
    policy: Policy,
    tree: Arc<Tree>,
    out: Option<RawDocumentBuf>,
}

impl Exec for Reshaping {
    fn push(&mut self, document: RawDocumentBuf) -> Result<(), Fault> {
        self.push_ref(&document)
    }

    fn push_ref(&mut self, document: &RawDocument) -> Result<(), Fault> {
        self.out = Some(self.tree.apply(document, self.policy)?);
        Ok(())
    }

    fn next(&mut self) -> Result<Option<RawDocumentBuf>, Fault> {
        Ok(self.out.take())
    }
}
