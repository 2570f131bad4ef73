//! Updates: operators, replacements and pipelines, applied to raw documents.
//! An update is parsed once; its operators become one tree by path, so that a document is walked and copied once, whatever
//! the number of operators, and parts that no operator names are copied byte for byte. Knows nothing of storage.

mod action;
mod apply;
mod array_filter;
mod operand;
mod parse;
mod path;
mod pipeline;
#[cfg(test)]
mod properties;
mod replace;
#[cfg(test)]
mod tests;
mod tree;
mod upsert;

use crate::context::ParseContext;
use crate::matcher::{Matcher, Position};
use crate::pipeline::Pipeline;
use crate::raw::{fields, find};
use array_filter::ArrayFilters;
use bson::{RawDocument, RawDocumentBuf};
use tree::Node;
use types::{Code, Fault, limits};
use value::SharedDoc;

/// What an update statement says: `u` of update, `update` of findAndModify.
#[derive(Debug, Clone, PartialEq)]
pub enum Modification {
    /// Operators, or a whole replacement.
    Document(SharedDoc),
    /// An aggregation pipeline.
    Pipeline(Vec<SharedDoc>),
}

impl Modification {
    /// Whether the whole document is replaced: a document whose first field is no operator.
    pub fn is_replacement(&self) -> bool {
        match self {
            Modification::Document(doc) => {
                !matches!(fields(doc).next(), Some(Ok(field)) if field.name().starts_with('$'))
            }
            Modification::Pipeline(_) => false,
        }
    }
}

/// A modification with its array filters, before it is parsed.
#[derive(Debug, Clone, Copy)]
pub struct UpdateSpec<'a> {
    pub update: &'a Modification,
    pub array_filters: &'a [SharedDoc],
}

impl<'a> UpdateSpec<'a> {
    /// Both parts.
    pub fn new(update: &'a Modification, array_filters: &'a [SharedDoc]) -> UpdateSpec<'a> {
        UpdateSpec { update, array_filters }
    }
}

/// A parsed update.
#[derive(Debug)]
pub struct Update {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Operators { root: Node, filters: ArrayFilters, needs_position: bool },
    Replacement(SharedDoc),
    Pipeline(Pipeline),
}

/// What an update made of a document.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    pub doc: RawDocumentBuf,
    /// Whether a byte differs from before.
    pub modified: bool,
}

impl Update {
    /// Parses a modification.
    ///
    /// # Errors
    /// As MongoDB: unknown operators (9), operands of wrong types, paths that conflict (40) or are none (52, 56), array filters
    /// that are missing, not used, or no filters.
    pub fn parse(spec: UpdateSpec<'_>, ctx: &ParseContext) -> Result<Update, Fault> {
        let kind = match spec.update {
            Modification::Pipeline(stages) => {
                refuse_filters(&spec, "arrayFilters may not be specified for pipeline-style updates")?;
                Kind::Pipeline(pipeline::parse(stages, ctx)?)
            }
            Modification::Document(doc) if spec.update.is_replacement() => {
                refuse_filters(&spec, "arrayFilters may not be specified for replacement-style updates")?;
                replace::check(doc)?;
                Kind::Replacement(doc.clone())
            }
            Modification::Document(doc) => {
                let mut filters = ArrayFilters::parse(spec.array_filters, ctx)?;
                let mut parser = parse::Parser::new(&mut filters, ctx);
                let root = parser.operators(doc)?;
                let needs_position = parser.needs_position();
                filters.check_used()?;
                Kind::Operators { root, filters, needs_position }
            }
        };
        Ok(Update { kind })
    }

    /// Whether the whole document is replaced.
    pub fn is_replacement(&self) -> bool {
        matches!(self.kind, Kind::Replacement(_))
    }

    /// Whether the update is a pipeline.
    pub fn is_pipeline(&self) -> bool {
        matches!(self.kind, Kind::Pipeline(_))
    }

    /// Whether the update names the array element that the filter matched, with `$`.
    pub fn needs_position(&self) -> bool {
        matches!(self.kind, Kind::Operators { needs_position: true, .. })
    }

    /// Applies the update. `position` is what the filter matched; `on_insert` makes `$setOnInsert` count.
    ///
    /// # Errors
    /// As MongoDB: 66 where `_id` would change, 28 for a path through a value that is no document, 14 and 2 for values that an
    /// operator cannot change, 10334 for a result over 16 MiB. The depth of the result is the caller's to check.
    pub fn apply(
        &self,
        doc: &RawDocument,
        position: Option<Position>,
        on_insert: bool,
    ) -> Result<Outcome, Fault> {
        let outcome = self.run(doc, position, on_insert)?;
        if outcome.modified {
            check_id(doc, &outcome.doc)?;
            check_size(&outcome.doc)?;
        }
        Ok(outcome)
    }

    /// The document that an upsert inserts: what the filter's equalities say, changed by the update. `_id` comes first where it
    /// is known; where it is not, the caller adds one.
    ///
    /// # Errors
    /// As [`Update::apply`], and 54 where the filter says one path twice.
    pub fn upsert(&self, matcher: &Matcher) -> Result<RawDocumentBuf, Fault> {
        let base = match self.kind {
            Kind::Replacement(_) => upsert::id_of(matcher)?,
            Kind::Operators { .. } | Kind::Pipeline(_) => upsert::base(matcher)?,
        };
        let outcome = self.run(&base, None, true)?;
        check_id(&base, &outcome.doc)?;
        check_size(&outcome.doc)?;
        replace::id_first(outcome.doc)
    }

    fn run(&self, doc: &RawDocument, position: Option<Position>, on_insert: bool) -> Result<Outcome, Fault> {
        match &self.kind {
            Kind::Operators { root, filters, .. } => apply::apply(root, filters, doc, position, on_insert),
            Kind::Replacement(replacement) => replace::apply(replacement, doc),
            Kind::Pipeline(stages) => pipeline::apply(stages, doc),
        }
    }
}

fn refuse_filters(spec: &UpdateSpec<'_>, message: &str) -> Result<(), Fault> {
    if spec.array_filters.is_empty() { Ok(()) } else { Err(Fault::new(Code::FailedToParse, message)) }
}

/// `_id` must stay what it was.
fn check_id(before: &RawDocument, after: &RawDocument) -> Result<(), Fault> {
    let Some(old) = find(before, "_id")? else { return Ok(()) };
    let new = find(after, "_id")?;
    if let Some(new) = &new {
        let same = old.kind() == new.kind() && old.value_bytes() == new.value_bytes();
        if same || value::order::compare(old.value()?, new.value()?).is_eq() {
            return Ok(());
        }
    }
    Err(Fault::new(
        Code::ImmutableField,
        "Performing an update on the path '_id' would modify the immutable field '_id'",
    ))
}

fn check_size(doc: &RawDocument) -> Result<(), Fault> {
    if doc.as_bytes().len() > limits::DOCUMENT_BYTES_MAX {
        return Err(Fault::new(
            Code::BSONObjectTooLarge,
            format!("Resulting document after update is larger than {}", limits::DOCUMENT_BYTES_MAX),
        ));
    }
    Ok(())
}
