//! Filters: does a document match?
//! A filter is parsed once into a tree of [`Node`]s; matching walks raw bytes and allocates nothing on the common paths.
//! Knows nothing of indexes; [`crate::bounds`] reads the tree to find the intervals a filter puts on a key.

use crate::context::ParseContext;
use bson::{RawBson, RawDocument};
use types::Fault;

/// Which array element made a document match; what the positional `$` of projections and updates stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    /// Index in the outermost array that the filter went through; `None` if it went through no array.
    pub index: Option<usize>,
}

/// A parsed filter.
#[derive(Debug, Clone)]
pub struct Matcher {}

impl Matcher {
    /// Parses a filter document.
    pub fn parse(_filter: &RawDocument, _ctx: &ParseContext) -> Result<Matcher, Fault> {
        Err(Fault::not_implemented("filters"))
    }
    /// Whether `doc` matches.
    pub fn matches(&self, _doc: &RawDocument) -> Result<bool, Fault> {
        Err(Fault::not_implemented("filters"))
    }
    /// Whether `doc` matches, and which array element made it so. `None`: no match.
    pub fn matches_with_position(&self, _doc: &RawDocument) -> Result<Option<Position>, Fault> {
        Err(Fault::not_implemented("filters"))
    }
    /// Path and value of each equality that every matching document fulfils, for upserts.
    pub fn equalities(&self) -> Vec<(String, RawBson)> {
        Vec::new()
    }
    /// Whether the filter is empty and matches everything.
    pub fn is_match_all(&self) -> bool {
        false
    }
}
