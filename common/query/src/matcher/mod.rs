//! Filters: does a document match?
//! A filter is parsed once into a tree of [`Node`]s; matching walks raw bytes and allocates nothing on the common paths.
//! Knows nothing of indexes; [`crate::bounds`] reads the tree to find the intervals a filter puts on a key.

mod bits;
mod comparison;
mod dialect;
mod eval;
mod implies;
mod kinds;
mod node;
mod operator;
mod parse;
pub mod pattern;
mod set;
#[cfg(test)]
mod tests;
mod walk;

pub(crate) use comparison::{Bracket, is_nan};
pub use comparison::{Comparison, Operand};
pub use implies::{check_partial_filter, implies};
pub use kinds::Kinds;
pub use node::{Leaf, Node, Test};
pub use pattern::Pattern;
pub use set::Set;

use crate::context::ParseContext;
use crate::raw::Field;
use bson::{RawBson, RawDocument};
use types::Fault;

/// Which array element made a document match; what the positional `$` of projections and updates stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    /// Index in the outermost array that the filter went through; `None` if it went through no array.
    pub index: Option<usize>,
}

/// A parsed filter. Cheap to clone relative to its filter: sets and patterns are shared.
#[derive(Debug, Clone)]
pub struct Matcher {
    root: Node,
}

impl Matcher {
    /// Parses a filter document.
    ///
    /// # Errors
    /// BadValue for unknown operators and wrong operands, NotImplemented for operators that MongoDB has and we have not,
    /// 51091 for regular expressions, ExceededMemoryLimit past [`types::limits::FILTER_NODE_COUNT_MAX`].
    pub fn parse(filter: &RawDocument, ctx: &ParseContext) -> Result<Matcher, Fault> {
        Ok(Matcher { root: parse::Parser::new(ctx).filter(filter)? })
    }

    /// The filter that matches every document.
    pub fn all() -> Matcher {
        Matcher { root: Node::And(Vec::new()) }
    }

    /// Whether `doc` matches.
    ///
    /// # Errors
    /// If `$expr` fails, or a value that had to be read is not valid BSON.
    pub fn matches(&self, doc: &RawDocument) -> Result<bool, Fault> {
        self.root.test(doc, &mut None)
    }

    /// Whether `doc` matches, and which array element made it so. `None`: no match.
    ///
    /// # Errors
    /// As [`Matcher::matches`].
    pub fn matches_with_position(&self, doc: &RawDocument) -> Result<Option<Position>, Fault> {
        let mut index = None;
        Ok(self.root.test(doc, &mut index)?.then_some(Position { index }))
    }

    /// Path and value of each equality that every matching document fulfils, for upserts: `{a: 1}`, `$eq`, an `$in` of
    /// one value, inside of any `$and`. A path may come twice; MongoDB then refuses the upsert with NotSingleValueField.
    pub fn equalities(&self) -> Vec<(String, RawBson)> {
        let mut found = Vec::new();
        collect_equalities(&self.root, &mut found);
        found
    }

    /// Whether the filter is empty and matches everything.
    pub fn is_match_all(&self) -> bool {
        matches!(&self.root, Node::And(nodes) if nodes.is_empty())
    }

    /// The tree.
    pub fn root(&self) -> &Node {
        &self.root
    }
}

/// Parses the operand of an `$elemMatch` that stands in a projection.
pub(crate) fn element_match(operand: &Field<'_>, ctx: &ParseContext) -> Result<Test, Fault> {
    operator::element_match(&mut parse::Parser::new(ctx), operand)
}

fn collect_equalities(node: &Node, found: &mut Vec<(String, RawBson)>) {
    match node {
        Node::And(nodes) => nodes.iter().for_each(|node| collect_equalities(node, found)),
        Node::Leaf(Leaf { path, test: Test::Compare(Comparison::Eq, operand) }) => {
            found.push((path.text().to_owned(), operand.value().into()));
        }
        Node::Leaf(Leaf { path, test: Test::In(set) }) if set.len() == 1 && set.patterns().is_empty() => {
            found.extend(set.values().flatten().map(|value| (path.text().to_owned(), value.into())));
        }
        _ => {}
    }
}
