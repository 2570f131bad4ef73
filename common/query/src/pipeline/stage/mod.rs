//! One file per stage: its parse, and what it does with each document.

pub(super) mod add_fields;
pub(super) mod bucket;
pub(super) mod count;
pub(super) mod facet;
pub(super) mod group;
pub(super) mod limit;
pub(super) mod match_;
pub(super) mod project;
pub(super) mod replace_root;
pub(super) mod sample;
pub(super) mod skip;
pub(super) mod sort;
pub(super) mod sort_by_count;
pub(super) mod unset;
pub(super) mod unwind;

mod integer;
mod reshape;

use crate::context::ParseContext;
use crate::expr::Variables;
use bson::{RawDocument, RawDocumentBuf};
use types::Fault;

/// What stages are parsed in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parsing<'a> {
    pub(super) scope: &'a Variables,
    pub(super) ctx: &'a ParseContext,
    /// Inside of a `$facet`.
    pub(super) nested: bool,
}

/// A stage with the document it came from.
#[derive(Debug, Clone)]
pub(super) struct Planned {
    pub(super) raw: RawDocumentBuf,
    pub(super) stage: Stage,
}

/// A parsed stage.
#[derive(Debug, Clone)]
pub(super) enum Stage {
    Count(count::Count),
    Facet(facet::Facet),
    Group(group::Group),
    Limit(limit::Limit),
    Match(match_::Match),
    /// `$project`, `$addFields`, `$set`, `$unset`: each document by itself.
    Reshape(reshape::Reshape),
    ReplaceRoot(replace_root::ReplaceRoot),
    Sample(sample::Sample),
    Skip(skip::Skip),
    Sort(sort::SortStage),
    Unwind(unwind::Unwind),
}

impl Stage {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Stage::Count(_) => "$count",
            Stage::Facet(_) => "$facet",
            Stage::Group(_) => "$group",
            Stage::Limit(_) => "$limit",
            Stage::Match(_) => "$match",
            Stage::Reshape(reshape) => reshape.name(),
            Stage::ReplaceRoot(_) => "$replaceRoot",
            Stage::Sample(_) => "$sample",
            Stage::Skip(_) => "$skip",
            Stage::Sort(_) => "$sort",
            Stage::Unwind(_) => "$unwind",
        }
    }

    /// Whether results can be nested deeper than the input.
    pub(super) fn deepens(&self) -> bool {
        match self {
            Stage::Facet(_) | Stage::Group(_) => true,
            Stage::Reshape(reshape) => reshape.deepens(),
            // A new root is a part of the old one, or was built and measured.
            Stage::ReplaceRoot(_) => false,
            Stage::Unwind(unwind) => unwind.deepens(),
            Stage::Count(_)
            | Stage::Limit(_)
            | Stage::Match(_)
            | Stage::Sample(_)
            | Stage::Skip(_)
            | Stage::Sort(_) => false,
        }
    }

    /// A fresh execution of the stage.
    pub(super) fn start(&self, bytes_max: usize) -> Box<dyn Exec> {
        match self {
            Stage::Count(stage) => Box::new(stage.start()),
            Stage::Facet(stage) => Box::new(stage.start(bytes_max)),
            Stage::Group(stage) => Box::new(stage.start(bytes_max)),
            Stage::Limit(stage) => Box::new(stage.start()),
            Stage::Match(stage) => Box::new(stage.start()),
            Stage::Reshape(stage) => Box::new(stage.start()),
            Stage::ReplaceRoot(stage) => Box::new(stage.start()),
            Stage::Sample(stage) => Box::new(stage.start(bytes_max)),
            Stage::Skip(stage) => Box::new(stage.start()),
            Stage::Sort(stage) => Box::new(stage.start(bytes_max)),
            Stage::Unwind(stage) => Box::new(stage.start()),
        }
    }
}

/// A stage in execution. `push` is called only after `next` gave `None`.
pub(super) trait Exec: Send {
    fn push(&mut self, document: RawDocumentBuf) -> Result<(), Fault>;

    /// As `push`, where the stage may do without a copy of its own.
    fn push_ref(&mut self, document: &RawDocument) -> Result<(), Fault> {
        self.push(document.to_owned())
    }

    /// No more input comes.
    fn end(&mut self) -> Result<(), Fault> {
        Ok(())
    }

    fn next(&mut self) -> Result<Option<RawDocumentBuf>, Fault>;

    /// Whether the stage will neither take nor give anything more.
    fn is_done(&self) -> bool {
        false
    }
}
