//! From a filter document to the tree: the top level, `$and $or $nor`, `$expr`, and what a field is given.
//! Every name that starts with a dollar is known or refused; nodes are counted, nesting is bounded.

use super::comparison::{Comparison, Operand};
use super::operator;
use super::pattern::Pattern;
use super::{Leaf, Node, Test};
use crate::context::ParseContext;
use crate::expr::{Expr, Variables};
use crate::raw::{Field, fields};
use bson::{RawBsonRef, RawDocument};
use std::sync::Arc;
use types::limits::FILTER_NODE_COUNT_MAX;
use types::{Code, Fault};
use value::Collator;
use value::path::Path;

/// Levels of logical operators in one filter.
const DEPTH_MAX: usize = 100;

/// Operators of the top level that MongoDB has and we have not.
const UNBUILT: &[&str] = &["$jsonSchema", "$sampleRate", "$text", "$where"];

/// The state of one parse.
pub(super) struct Parser<'c> {
    ctx: &'c ParseContext,
    nodes: usize,
    depth: usize,
}

impl<'c> Parser<'c> {
    pub(super) fn new(ctx: &'c ParseContext) -> Parser<'c> {
        Parser { ctx, nodes: 0, depth: 0 }
    }

    /// A whole filter, or a branch of one.
    pub(super) fn filter(&mut self, doc: &RawDocument) -> Result<Node, Fault> {
        self.nested(|parser| {
            let mut nodes = Vec::new();
            for field in fields(doc) {
                let field = field?;
                match field.name().starts_with('$') {
                    true => parser.pathless(&field, &mut nodes)?,
                    false => {
                        let path = Arc::new(Path::parse(field.name()));
                        parser.path(&path, &field, &mut nodes)?;
                    }
                }
            }
            Ok(Node::all(nodes))
        })
    }

    /// How strings compare.
    pub(super) fn collation(&self) -> Option<&'c Collator> {
        self.ctx.collation.as_ref()
    }

    /// A constant to compare with.
    pub(super) fn operand(&self, value: RawBsonRef<'_>) -> Operand {
        Operand::new(value.into(), self.collation())
    }

    /// Counts nodes against the limit of one filter.
    pub(super) fn count(&mut self, nodes: usize) -> Result<(), Fault> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > FILTER_NODE_COUNT_MAX {
            return Err(Fault::new(Code::ExceededMemoryLimit, "the filter has too many branches and values"));
        }
        Ok(())
    }

    /// Runs `parse` one level deeper.
    pub(super) fn nested<T>(
        &mut self,
        parse: impl FnOnce(&mut Self) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(Fault::bad_value(format!("exceeded maximum query tree depth of {DEPTH_MAX}")));
        }
        let parsed = parse(self)?;
        self.depth -= 1;
        Ok(parsed)
    }

    fn pathless(&mut self, field: &Field<'_>, nodes: &mut Vec<Node>) -> Result<(), Fault> {
        let name = field.name();
        self.count(1)?;
        match name {
            "$and" => nodes.extend(self.branches(field)?),
            "$or" => {
                let branches = self.merged_branches(field)?;
                nodes.push(any(branches));
            }
            "$nor" => {
                let branches = self.merged_branches(field)?;
                nodes.push(Node::not(any(branches)));
            }
            "$expr" => {
                let scope = Variables::from_context(self.ctx)?;
                nodes.push(Node::Expr(Arc::new(Expr::parse(field.value()?, &scope, self.ctx)?)));
            }
            "$comment" => {}
            "$alwaysTrue" => must_be_one(field)?,
            "$alwaysFalse" => {
                must_be_one(field)?;
                nodes.push(Node::Never);
            }
            unbuilt if UNBUILT.contains(&unbuilt) => return Err(Fault::not_implemented(unbuilt)),
            unknown => {
                return Err(Fault::bad_value(format!(
                    "unknown top level operator: {unknown}. If you have a field name that starts with a '$' symbol, \
                     consider using $getField or $setField."
                )));
            }
        }
        Ok(())
    }

    fn merged_branches(&mut self, field: &Field<'_>) -> Result<Vec<Node>, Fault> {
        merge_equalities(self.branches(field)?, self.collation())
    }

    fn branches(&mut self, field: &Field<'_>) -> Result<Vec<Node>, Fault> {
        let Some(array) = field.array()? else {
            return Err(Fault::bad_value(format!("{} must be an array", field.name())));
        };
        let mut branches = Vec::new();
        for element in fields(array) {
            let Some(branch) = element?.document()? else {
                return Err(Fault::bad_value("$or/$and/$nor entries need to be full objects"));
            };
            self.count(1)?;
            branches.push(self.filter(branch)?);
        }
        if branches.is_empty() {
            return Err(Fault::bad_value("$and/$or/$nor must be a nonempty array"));
        }
        Ok(branches)
    }

    /// What a path is given: operators, a regular expression, or a value to equal.
    fn path(&mut self, path: &Arc<Path>, field: &Field<'_>, nodes: &mut Vec<Node>) -> Result<(), Fault> {
        if let Some(doc) = field.document()?
            && is_operators(doc)?
        {
            return operator::parse(self, path, doc, nodes);
        }
        self.count(1)?;
        nodes.push(self.equality(path, field.value()?)?);
        Ok(())
    }

    /// The node for an implicit or explicit equality; a regular expression is matched.
    fn equality(&self, path: &Arc<Path>, value: RawBsonRef<'_>) -> Result<Node, Fault> {
        let test = match value {
            RawBsonRef::RegularExpression(regex) => {
                Test::Regex(Arc::new(Pattern::new(regex.pattern.as_str(), regex.options.as_str())?))
            }
            RawBsonRef::Undefined => return Err(Fault::bad_value("cannot compare to undefined")),
            other => Test::Compare(Comparison::Eq, self.operand(other)),
        };
        Ok(Node::Leaf(Leaf { path: path.clone(), test }))
    }
}

/// Whether a document holds operators instead of being a value: its first name starts with a dollar, and it is no DBRef.
pub(super) fn is_operators(doc: &RawDocument) -> Result<bool, Fault> {
    let Some(first) = fields(doc).next().transpose()? else { return Ok(false) };
    if !first.name().starts_with('$') {
        return Ok(false);
    }
    Ok(!is_dbref(doc)?)
}

fn is_dbref(doc: &RawDocument) -> Result<bool, Fault> {
    let (mut reference, mut id) = (false, false);
    for field in fields(doc) {
        let field = field?;
        match field.name() {
            "$ref" => reference = field.kind() == bson::spec::ElementType::String,
            "$id" => id = true,
            _ => {}
        }
    }
    Ok(reference && id)
}

/// Whether the name is of an operator without a path, so that it makes an `$elemMatch` one of documents.
pub(super) fn is_pathless(name: &str) -> bool {
    matches!(name, "$and" | "$or" | "$nor" | "$expr" | "$comment" | "$alwaysTrue" | "$alwaysFalse")
        || UNBUILT.contains(&name)
}

fn any(mut branches: Vec<Node>) -> Node {
    match branches.len() {
        1 => branches.pop().unwrap_or(Node::Never),
        _ => Node::Or(branches),
    }
}

fn must_be_one(field: &Field<'_>) -> Result<(), Fault> {
    let number = value::number::Number::from_raw(field.value()?);
    if number.and_then(value::number::Number::to_i64_exact) == Some(1) {
        return Ok(());
    }
    Err(Fault::new(Code::FailedToParse, format!("{} must be an integer value of 1", field.name())))
}

/// Joins branches that are equalities on the same path into one look-up, so that 100,000 of them cost one search.
fn merge_equalities(branches: Vec<Node>, collation: Option<&Collator>) -> Result<Vec<Node>, Fault> {
    use std::collections::HashMap;
    let mut counts: HashMap<Arc<Path>, usize> = HashMap::new();
    for branch in &branches {
        if let Some(path) = equality_path(branch) {
            *counts.entry(path.clone()).or_default() += 1;
        }
    }
    if counts.values().all(|count| *count < 2) {
        return Ok(branches);
    }
    let mut groups: HashMap<Arc<Path>, Vec<Operand>> = HashMap::new();
    let mut merged = Vec::new();
    for branch in branches {
        match branch {
            Node::Leaf(Leaf { path, test: Test::Compare(Comparison::Eq, operand) })
                if counts.get(&path).is_some_and(|count| *count > 1) =>
            {
                groups.entry(path).or_default().push(operand);
            }
            other => merged.push(other),
        }
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by(|a, b| a.0.text().cmp(b.0.text()));
    for (path, operands) in groups {
        let set = super::set::Set::new(operands.iter().map(Operand::value), Vec::new(), collation)?;
        merged.push(Node::Leaf(Leaf { path, test: Test::In(set) }));
    }
    Ok(merged)
}

fn equality_path(node: &Node) -> Option<&Arc<Path>> {
    match node {
        Node::Leaf(Leaf { path, test: Test::Compare(Comparison::Eq, _) }) => Some(path),
        _ => None,
    }
}
