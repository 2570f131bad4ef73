//! Projections: which parts of a document a reader gets.
//! [`Projection`] is find's; [`tree`] is the inside that aggregation stages share, [`parse`](mod@parse) makes trees of
//! documents. Kept fields are copied byte for byte.

pub mod parse;
#[cfg(test)]
mod tests;
mod transform;
pub mod tree;

pub use transform::{Slice, Transform};
pub use tree::{Action, Kind, Tree};

use crate::context::ParseContext;
use crate::expr::Variables;
use crate::matcher::{Matcher, Position};
use crate::raw::Writer;
use bson::{RawDocument, RawDocumentBuf};
use types::{Code, Fault};

/// A parsed projection of find.
#[derive(Debug, Clone)]
pub struct Projection {
    tree: Tree,
    positional: Option<Vec<Box<str>>>,
}

impl Projection {
    /// Parses a projection; a positional `.$` needs the filter that finds the position.
    ///
    /// # Errors
    /// As MongoDB refuses projections; NotImplemented for `$meta`.
    pub fn parse(
        spec: &RawDocument,
        ctx: &ParseContext,
        filter: Option<&Matcher>,
    ) -> Result<Projection, Fault> {
        let scope = Variables::from_context(ctx)?;
        let parsed = parse::parse(spec, parse::Dialect::Find, &scope, ctx)?;
        if parsed.positional.is_some() && filter.is_none() {
            return Err(Fault::new(
                Code::Location(51050),
                "Projections with a positional operator require a matcher",
            ));
        }
        let positional = parsed.positional.map(|path| path.split('.').map(Box::from).collect());
        Ok(Projection { tree: parsed.tree, positional })
    }

    /// Whether every document stays as it is.
    pub fn is_empty(&self) -> bool {
        self.tree.is_empty()
    }

    /// Whether [`Projection::apply`] needs the position that the filter found.
    pub fn needs_position(&self) -> bool {
        self.positional.is_some()
    }

    /// The tree of fields.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// The projected document.
    ///
    /// # Errors
    /// 51246 where a positional array has no such element; those of expressions.
    pub fn apply(&self, doc: &RawDocument, position: Option<Position>) -> Result<RawDocumentBuf, Fault> {
        let projected = if self.is_empty() { doc.to_owned() } else { self.tree.apply(doc)? };
        let Some(path) = &self.positional else { return Ok(projected) };
        let index = position.and_then(|position| position.index);
        let mut out = Writer::with_capacity(projected.as_bytes().len());
        transform::positional(&projected, path, index, &mut out)?;
        out.finish()
    }
}
