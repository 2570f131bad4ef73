//! `$sort`, with the `$limit` behind it: then only the first documents are kept.

use super::{Exec, Parsing, Stage};
use crate::sort::{Sort, Sorted, Sorter};
use bson::{RawBsonRef, RawDocument, RawDocumentBuf};
use std::sync::Arc;
use types::{Code, Fault};

#[derive(Debug, Clone)]
pub(in crate::pipeline) struct SortStage {
    pattern: RawDocumentBuf,
    sort: Arc<Sort>,
    /// Set by the `$limit` that follows, which stays: no more documents than these are wanted.
    pub(in crate::pipeline) limit: Option<u64>,
}

pub(in crate::pipeline) fn parse(
    _: &'static str,
    raw: RawBsonRef<'_>,
    parsing: &Parsing<'_>,
) -> Result<Stage, Fault> {
    let Some(pattern) = raw.as_document() else {
        return Err(Fault::new(Code::Location(15973), "the $sort key specification must be an object"));
    };
    if pattern.is_empty() {
        return Err(Fault::new(Code::Location(15976), "$sort stage must have at least one sort key"));
    }
    let sort = Arc::new(Sort::parse(pattern)?.under(parsing.ctx.collation.clone()));
    Ok(Stage::Sort(SortStage { pattern: pattern.to_owned(), sort, limit: None }))
}

impl SortStage {
    pub(in crate::pipeline) fn pattern(&self) -> &RawDocument {
        &self.pattern
    }

    pub(in crate::pipeline) fn sort(&self) -> &Sort {
        &self.sort
    }

    pub(super) fn start(&self, bytes_max: usize) -> impl Exec + use<> {
        let limit = self.limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let sorter = Sorter::new(Sort::clone(&self.sort), limit, bytes_max);
        Sorting { sort: Arc::clone(&self.sort), sorter: Some(sorter), sorted: None }
    }
}

struct Sorting {
    sort: Arc<Sort>,
    /// Until the end of the input.
    sorter: Option<Sorter<RawDocumentBuf>>,
    sorted: Option<Sorted<RawDocumentBuf>>,
}

impl Exec for Sorting {
    fn push(&mut self, document: RawDocumentBuf) -> Result<(), Fault> {
        let key = self.sort.key(&document)?;
        let bytes = document.as_bytes().len();
        match &mut self.sorter {
            Some(sorter) => sorter.push_keyed(key, document, bytes),
            None => Ok(()),
        }
    }

    fn push_ref(&mut self, document: &RawDocument) -> Result<(), Fault> {
        let key = self.sort.key(document)?;
        match &mut self.sorter {
            Some(sorter) if sorter.wants(&key) => {
                sorter.push_keyed(key, document.to_owned(), document.as_bytes().len())
            }
            _ => Ok(()),
        }
    }

    fn end(&mut self) -> Result<(), Fault> {
        self.sorted = self.sorter.take().map(Sorter::finish);
        Ok(())
    }

    fn next(&mut self) -> Result<Option<RawDocumentBuf>, Fault> {
        Ok(self.sorted.as_mut().and_then(Iterator::next))
    }
}
