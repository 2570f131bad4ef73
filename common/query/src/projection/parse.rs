//! From a projection document to a [`Tree`]: one parser for find and for `$project`, which differ in what a field may be
//! given, and one for `$addFields`. The kind of the projection follows from its first plain field.

use super::transform::{Slice, Transform};
use super::tree::{Action, Kind, Tree};
use crate::context::ParseContext;
use crate::expr::{Expr, Variables};
use crate::matcher;
use crate::raw::{Field, fields};
use bson::spec::ElementType;
use bson::{RawBsonRef, RawDocument};
use std::sync::Arc;
use types::{Code, Fault};
use value::number::Number;

/// Levels of embedded documents in one projection.
const DEPTH_MAX: usize = 100;

/// Whose projection it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// `$slice`, `$elemMatch` and `.$` as find has them, besides expressions.
    Find,
    /// Expressions only.
    Aggregate,
}

/// A parsed projection document.
#[derive(Debug, Clone)]
pub struct Parsed {
    pub tree: Tree,
    /// The path before `.$`, if there is one.
    pub positional: Option<String>,
}

/// Parses a projection of find or `$project`.
///
/// # Errors
/// As MongoDB refuses projections; NotImplemented for `$meta`.
pub fn parse(
    spec: &RawDocument,
    dialect: Dialect,
    scope: &Variables,
    ctx: &ParseContext,
) -> Result<Parsed, Fault> {
    let mut parser = Parser {
        dialect,
        scope,
        ctx,
        kind: None,
        id: None,
        entries: Vec::new(),
        positional: None,
        has_elem_match: false,
    };
    parser.document("", spec, 0)?;
    parser.finish()
}

/// Parses the operand of `$addFields` and `$set`: every leaf is an expression.
///
/// # Errors
/// For path collisions, wrong names, and what the expressions refuse.
pub fn parse_additions(spec: &RawDocument, scope: &Variables, ctx: &ParseContext) -> Result<Tree, Fault> {
    let mut tree = Tree::new(Kind::Additions);
    additions("", spec, 0, scope, ctx, &mut tree)?;
    Ok(tree)
}

fn additions(
    prefix: &str,
    spec: &RawDocument,
    depth: usize,
    scope: &Variables,
    ctx: &ParseContext,
    tree: &mut Tree,
) -> Result<(), Fault> {
    check_depth(depth)?;
    for field in fields(spec) {
        let field = field?;
        let path = join(prefix, field.name());
        check_path(&path)?;
        match field.document()? {
            Some(inner) if !is_expression(inner, &path)? => {
                additions(&path, inner, depth + 1, scope, ctx, tree)?
            }
            _ => tree.add(&path, Action::Compute(Expr::parse(field.value()?, scope, ctx)?))?,
        }
    }
    Ok(())
}

struct Parser<'p> {
    dialect: Dialect,
    scope: &'p Variables,
    ctx: &'p ParseContext,
    /// Known from the first field that is not `_id` and says so.
    kind: Option<Kind>,
    /// What `_id` is plainly given.
    id: Option<bool>,
    entries: Vec<(String, Action)>,
    positional: Option<String>,
    has_elem_match: bool,
}

impl Parser<'_> {
    fn document(&mut self, prefix: &str, spec: &RawDocument, depth: usize) -> Result<(), Fault> {
        check_depth(depth)?;
        for field in fields(spec) {
            let field = field?;
            let path = join(prefix, field.name());
            match path.strip_suffix(".$") {
                Some(array) if self.dialect == Dialect::Find => self.positional(array, &field)?,
                _ => self.entry(path, &field, depth)?,
            }
        }
        Ok(())
    }

    fn entry(&mut self, path: String, field: &Field<'_>, depth: usize) -> Result<(), Fault> {
        check_path(&path)?;
        if let Some(flag) = flag(field.value()?) {
            return self.flag(path, flag);
        }
        let Some(inner) = field.document()? else { return self.computed(path, field) };
        if !is_expression(inner, &path)? {
            return self.document(&path, inner, depth + 1);
        }
        let Some(operand) = fields(inner).next().transpose()? else { return Ok(()) };
        match operand.name() {
            "$meta" => Err(Fault::not_implemented("$meta in a projection")),
            "$elemMatch" if self.dialect == Dialect::Find => self.elem_match(path, &operand),
            "$slice" if self.dialect == Dialect::Find => match Slice::parse(&operand)? {
                Some(slice) => {
                    self.entries.push((path, Action::Transform(Transform::Slice(slice))));
                    Ok(())
                }
                None => self.computed(path, field),
            },
            _ => self.computed(path, field),
        }
    }

    fn flag(&mut self, path: String, flag: bool) -> Result<(), Fault> {
        if path == "_id" {
            if self.id.is_some() {
                return Err(Fault::new(Code::Location(31250), "Path collision at _id"));
            }
            self.id = Some(flag);
            return Ok(());
        }
        let kind = if flag { Kind::Inclusion } else { Kind::Exclusion };
        match (*self.kind.get_or_insert(kind), kind) {
            (Kind::Exclusion, Kind::Inclusion) => Err(Fault::new(
                Code::Location(31253),
                format!("Cannot do inclusion on field {path} in exclusion projection"),
            )),
            (Kind::Inclusion, Kind::Exclusion) => Err(Fault::new(
                Code::Location(31254),
                format!("Cannot do exclusion on field {path} in inclusion projection"),
            )),
            _ => {
                self.entries.push((path, if flag { Action::Include } else { Action::Exclude }));
                Ok(())
            }
        }
    }

    fn computed(&mut self, path: String, field: &Field<'_>) -> Result<(), Fault> {
        let expr = Expr::parse(field.value()?, self.scope, self.ctx)?;
        if *self.kind.get_or_insert(Kind::Inclusion) == Kind::Exclusion {
            return Err(Fault::new(
                Code::Location(31252),
                "Cannot use expression other than $meta in exclusion projection",
            ));
        }
        self.entries.push((path, Action::Compute(expr)));
        Ok(())
    }

    fn elem_match(&mut self, path: String, operand: &Field<'_>) -> Result<(), Fault> {
        if path.contains('.') {
            return Err(Fault::new(
                Code::Location(31275),
                "Cannot use $elemMatch projection on a nested field.",
            ));
        }
        if operand.kind() != ElementType::EmbeddedDocument {
            return Err(Fault::new(Code::Location(31274), "elemMatch: Invalid argument, object required"));
        }
        if self.positional.is_some() {
            return Err(elem_match_and_positional());
        }
        self.has_elem_match = true;
        let test = matcher::element_match(operand, self.ctx)?;
        self.entries.push((path, Action::Transform(Transform::ElemMatch(Arc::new(test)))));
        Ok(())
    }

    fn positional(&mut self, path: &str, field: &Field<'_>) -> Result<(), Fault> {
        check_path(path)?;
        if self.has_elem_match {
            return Err(elem_match_and_positional());
        }
        if self.positional.is_some() {
            return Err(Fault::new(
                Code::Location(31276),
                "Cannot specify more than one positional projection per query.",
            ));
        }
        match flag(field.value()?) {
            Some(true) if self.kind != Some(Kind::Exclusion) => {}
            None => {
                return Err(Fault::new(
                    Code::Location(31271),
                    "positional projection cannot be used with an expression or sub object",
                ));
            }
            _ => {
                return Err(Fault::new(
                    Code::Location(31395),
                    "positional projection cannot be used with exclusion",
                ));
            }
        }
        self.positional = Some(path.to_owned());
        self.flag(path.to_owned(), true)
    }

    fn finish(self) -> Result<Parsed, Fault> {
        let kind = self.kind.unwrap_or(match (self.has_elem_match, self.id) {
            (true, _) | (false, Some(true)) => Kind::Inclusion,
            _ => Kind::Exclusion,
        });
        let mut tree = Tree::new(kind);
        let names_id = self.entries.iter().any(|(path, _)| path == "_id" || path.starts_with("_id."));
        match (kind, self.id) {
            (Kind::Inclusion, Some(true)) => tree.add("_id", Action::Include)?,
            (Kind::Inclusion, None) if !names_id => tree.add("_id", Action::Include)?,
            (Kind::Exclusion, Some(false)) => tree.add("_id", Action::Exclude)?,
            _ => {}
        }
        for (path, action) in self.entries {
            tree.add(&path, action)?;
        }
        Ok(Parsed { tree, positional: self.positional })
    }
}

fn elem_match_and_positional() -> Fault {
    Fault::new(Code::Location(31256), "Cannot specify positional operator and $elemMatch.")
}

/// What a plain field says: keep or drop.
fn flag(value: RawBsonRef<'_>) -> Option<bool> {
    match value {
        RawBsonRef::Boolean(value) => Some(value),
        other => Number::from_raw(other).map(|number| !number.is_zero()),
    }
}

/// Whether a document is an expression rather than further fields.
fn is_expression(doc: &RawDocument, path: &str) -> Result<bool, Fault> {
    match fields(doc).next().transpose()? {
        Some(first) => Ok(first.name().starts_with('$')),
        None => Err(Fault::new(
            Code::Location(51270),
            format!("An empty sub-projection is not a valid value. Found empty object at path {path}"),
        )),
    }
}

fn join(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") }
}

fn check_depth(depth: usize) -> Result<(), Fault> {
    match depth > DEPTH_MAX {
        true => Err(Fault::new(Code::Overflow, "the projection is nested too deeply")),
        false => Ok(()),
    }
}

fn check_path(path: &str) -> Result<(), Fault> {
    if path.is_empty() {
        return Err(Fault::new(Code::Location(40352), "FieldPath cannot be constructed with empty string"));
    }
    if path.ends_with('.') {
        return Err(Fault::new(Code::Location(40353), "FieldPath must not end with a '.'."));
    }
    for part in path.split('.') {
        match part {
            "" => {
                return Err(Fault::new(
                    Code::Location(15998),
                    "FieldPath field names may not be empty strings.",
                ));
            }
            "$" => {
                return Err(Fault::new(
                    Code::Location(31394),
                    "As of 4.4, it's illegal to specify positional operator in the middle of a path. Positional \
                     projection may only be used at the end, for example: a.b.$.",
                ));
            }
            "$id" | "$ref" | "$db" => {}
            part if part.starts_with('$') => {
                return Err(Fault::new(
                    Code::Location(16410),
                    "FieldPath field names may not start with '$'. Consider using $getField or $setField.",
                ));
            }
            _ => {}
        }
    }
    Ok(())
}
