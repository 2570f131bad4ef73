//! The tree of a parsed filter. Public, because bounds and targeting read it.

use super::bits::Bits;
use super::comparison::{Comparison, Operand};
use super::kinds::Kinds;
use super::pattern::Pattern;
use super::set::Set;
use crate::expr::Expr;
use std::sync::Arc;
use value::path::Path;

/// One node of a filter.
#[derive(Debug, Clone)]
pub enum Node {
    /// All of them; also what an empty filter is.
    And(Vec<Node>),
    /// At least one.
    Or(Vec<Node>),
    /// Not the one inside: `$not`, `$ne`, `$nin`, and `$nor` over an [`Node::Or`].
    Not(Box<Node>),
    /// A test of the values at a path.
    Leaf(Leaf),
    /// `$expr`.
    Expr(Arc<Expr>),
    /// Nothing matches: `$alwaysFalse`, `$all: []`.
    Never,
}

/// A test of the values that a path reaches: true if one of them passes.
#[derive(Debug, Clone)]
pub struct Leaf {
    /// Ignored inside the value form of `$elemMatch`, where the element itself is tested.
    pub path: Arc<Path>,
    pub test: Test,
}

/// What one value must fulfil.
#[derive(Debug, Clone)]
pub enum Test {
    Compare(Comparison, Operand),
    In(Set),
    /// Present, whatever it is.
    Exists,
    Type(Kinds),
    /// An array of so many elements.
    Size(i64),
    Mod {
        divisor: i64,
        remainder: i64,
    },
    Regex(Arc<Pattern>),
    Bits(Bits),
    /// An array with an element, itself an object or array, that matches as a document.
    ElemMatchObject(Box<Node>),
    /// An array with an element that matches as a value.
    ElemMatchValue(Box<Node>),
}

impl Node {
    /// All of `nodes`, without a level where one is enough.
    pub(super) fn all(mut nodes: Vec<Node>) -> Node {
        match nodes.len() {
            1 => nodes.pop().unwrap_or(Node::Never),
            _ => Node::And(nodes),
        }
    }

    pub(super) fn not(node: Node) -> Node {
        Node::Not(Box::new(node))
    }
}

impl Test {
    /// Whether each element of an array at the end of the path is tested, besides the array.
    pub(super) fn enters_arrays(&self) -> bool {
        !matches!(self, Test::Exists | Test::Size(_) | Test::ElemMatchObject(_) | Test::ElemMatchValue(_))
    }
}
