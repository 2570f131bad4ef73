//! `$sort`, with the `$limit` behind it: then only the first documents are kept.

use super::{Exec, Parsing, Stage};
use crate::sort::Sort;
use bson::{RawBsonRef, RawDocument, RawDocumentBuf};
use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::sync::Arc;
use types::{Code, Fault};

#[derive(Debug, Clone)]
pub(in crate::pipeline) struct SortStage {
    pattern: RawDocumentBuf,
    sort: Arc<Sort>,
    /// Set by the `$limit` that follows; that stage is gone then.
    pub(in crate::pipeline) limit: Option<u64>,
}

pub(in crate::pipeline) fn parse(_: &'static str, raw: RawBsonRef<'_>, _: &Parsing<'_>) -> Result<Stage, Fault> {
    let Some(pattern) = raw.as_document() else {
        return Err(Fault::new(Code::Location(15973), "the $sort key specification must be an object"));
    };
    if pattern.is_empty() {
        return Err(Fault::new(Code::Location(15976), "$sort stage must have at least one sort key"));
    }
    let sort = Arc::new(Sort::parse(pattern)?);
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
        Sorting {
            sort: Arc::clone(&self.sort),
            limit: self.limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX)),
            kept: BinaryHeap::new(),
            arrived: 0,
            bytes: 0,
            bytes_max,
            drain: None,
        }
    }
}

struct Item {
    key: Vec<u8>,
    /// Equal documents stay in the order they came in.
    arrived: u64,
    document: RawDocumentBuf,
}

impl Item {
    fn bytes(&self) -> usize {
        self.key.len() + self.document.as_bytes().len() + std::mem::size_of::<Item>()
    }

    fn order(&self) -> (&[u8], u64) {
        (&self.key, self.arrived)
    }
}

impl PartialEq for Item {
    fn eq(&self, other: &Item) -> bool {
        self.order() == other.order()
    }
}

impl Eq for Item {}

impl PartialOrd for Item {
    fn partial_cmp(&self, other: &Item) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Item {
    fn cmp(&self, other: &Item) -> Ordering {
        self.order().cmp(&other.order())
    }
}

struct Sorting {
    sort: Arc<Sort>,
    limit: Option<usize>,
    /// The last of the kept documents on top, where a limit lets it be thrown out.
    kept: BinaryHeap<Item>,
    arrived: u64,
    bytes: usize,
    bytes_max: usize,
    drain: Option<std::vec::IntoIter<Item>>,
}

impl Sorting {
    fn is_full(&self) -> bool {
        self.limit.is_some_and(|limit| self.kept.len() >= limit)
    }

    /// Whether a document with this key would be among the first.
    fn wants(&self, key: &[u8]) -> bool {
        !self.is_full() || self.kept.peek().is_some_and(|last| key < last.key.as_slice())
    }

    fn keep(&mut self, key: Vec<u8>, document: RawDocumentBuf) -> Result<(), Fault> {
        if self.is_full() && let Some(last) = self.kept.pop() {
            self.bytes -= last.bytes();
        }
        let item = Item { key, arrived: self.arrived, document };
        self.arrived += 1;
        self.bytes += item.bytes();
        self.kept.push(item);
        if self.bytes > self.bytes_max {
            return Err(Fault::new(
                Code::QueryExceededMemoryLimitNoDiskUseAllowed,
                format!(
                    "Sort exceeded memory limit of {} bytes, but did not opt in to external sorting.",
                    self.bytes_max
                ),
            ));
        }
        Ok(())
    }
}

impl Exec for Sorting {
    fn push(&mut self, document: RawDocumentBuf) -> Result<(), Fault> {
        let key = self.sort.key(&document)?;
        if self.wants(&key) { self.keep(key, document) } else { Ok(()) }
    }

    fn push_ref(&mut self, document: &RawDocument) -> Result<(), Fault> {
        let key = self.sort.key(document)?;
        if self.wants(&key) { self.keep(key, document.to_owned()) } else { Ok(()) }
    }

    fn end(&mut self) -> Result<(), Fault> {
        self.drain = Some(std::mem::take(&mut self.kept).into_sorted_vec().into_iter());
        Ok(())
    }

    fn next(&mut self) -> Result<Option<RawDocumentBuf>, Fault> {
        Ok(self.drain.as_mut().and_then(Iterator::next).map(|item| item.document))
    }
}
