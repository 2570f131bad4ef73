//! Projections of find.

use crate::context::ParseContext;
use crate::matcher::{Matcher, Position};
use bson::{RawDocument, RawDocumentBuf};
use types::Fault;

/// A parsed projection of find.
#[derive(Debug)]
pub struct Projection {}

impl Projection {
    /// Parses a projection; `filter` is needed for the positional `.$`.
    pub fn parse(
        _spec: &RawDocument,
        _ctx: &ParseContext,
        _filter: Option<&Matcher>,
    ) -> Result<Projection, Fault> {
        Err(Fault::not_implemented("projections"))
    }

    /// The projected document.
    pub fn apply(&self, _doc: &RawDocument, _position: Option<Position>) -> Result<RawDocumentBuf, Fault> {
        Err(Fault::not_implemented("projections"))
    }
}
