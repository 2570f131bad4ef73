//! Aggregation pipelines: parsed once, run push style over raw documents, split between shards and router.
//! The same code runs on both, and a split pipeline gives what the whole one gives. Knows no collections:
//! stages that read something else than the input stand in [`Pipeline::source`] for the server to run.

pub(crate) mod accumulator;
mod parse;
mod registry;
mod rewrite;
mod run;
mod source;
mod split;
mod stage;

pub use run::Run;
pub use source::{Source, SourceKind};
pub use split::{Split, split};

use crate::matcher::Matcher;
use bson::{RawDocument, RawDocumentBuf};
use stage::{Planned, Stage};

/// A parsed pipeline. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Pipeline {
    /// The leading stage that makes documents instead of reading the collection's.
    pub source: Option<Source>,
    stages: Vec<Planned>,
}

impl Pipeline {
    /// Whether there is no stage at all besides the source.
    pub fn is_empty(&self) -> bool {
        self.stages.is_empty()
    }

    /// The pipeline as documents that parse to it again, source included.
    pub fn to_raw(&self) -> Vec<RawDocumentBuf> {
        let source = self.source.iter().map(|source| source.raw().to_owned());
        source.chain(self.stages.iter().map(|planned| planned.raw.clone())).collect()
    }

    /// The names of the stages in order, source included.
    pub fn stage_names(&self) -> Vec<&'static str> {
        let source = self.source.iter().map(Source::name);
        source.chain(self.stages.iter().map(|planned| planned.stage.name())).collect()
    }

    /// The filter of the leading `$match`, raw and parsed, for the choice of an index or of shards.
    pub fn leading_match(&self) -> Option<(&RawDocument, &Matcher)> {
        match &self.stages.first()?.stage {
            Stage::Match(stage) => Some((stage.filter(), stage.matcher())),
            _ => None,
        }
    }

    /// Takes the leading stages that a scan can do itself: a `$match`, then a `$sort` with its limit, or a limit.
    /// What is left must run over the documents that the scan yields.
    pub fn take_prefix(&mut self) -> Prefix {
        rewrite::take_prefix(self)
    }

    /// Whether the documents are only counted, so that a scan need not fetch them.
    pub fn is_count_only(&self) -> bool {
        matches!(self.stages.first().map(|planned| &planned.stage), Some(Stage::Count(_)))
    }
}

/// What a scan does in place of the first stages.
#[derive(Debug, Clone, Default)]
pub struct Prefix {
    /// The filter; `None` matches everything.
    pub filter: Option<RawDocumentBuf>,
    /// The pattern to sort by.
    pub sort: Option<RawDocumentBuf>,
    /// How many documents are wanted at most, after the sort.
    pub limit: Option<u64>,
}

#[cfg(test)]
mod tests;
