//! The ways that a query could go: one candidate for each usable index and for the record keys themselves.
//! A candidate is usable when its keys are sure to name every document that can match.

use super::{Query, wildcard};
use crate::partial;
use bson::{Bson, RawDocument, RawDocumentBuf};
use query::bounds::{self, FieldBound, FieldBounds, KeyPattern};
use query::sort::Sort;
use std::sync::Arc;
use storage::{Collection, Direction, Index, RecordOrder};
use types::Fault;
use value::interval::Interval;

/// The name of the order of records: there is no index of its own behind it.
pub(super) const ID_INDEX: &str = "_id_";

/// A way to go.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    /// `None`: the records themselves, which are in the order of `_id`, or of `ts` in the log.
    pub(super) index: Option<Arc<Index>>,
    pub(super) pattern: KeyPattern,
    pub(super) key_pattern: RawDocumentBuf,
    pub(super) bounds: FieldBounds,
    pub(super) score: Score,
    /// The direction in which it yields the order that was asked for.
    pub(super) sorts: Option<Direction>,
}

/// Compared field by field; the greatest wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Score {
    /// At most one document can be meant.
    unique_point: bool,
    /// Leading fields that are bounded to single values.
    pub(super) equalities: usize,
    /// The field after those is bounded to less than everything.
    range: bool,
    sorts: bool,
    /// The records are there without a second look-up.
    clustered: bool,
}

impl Score {
    /// Whether the keys narrow the search at all.
    pub(super) fn narrows(&self) -> bool {
        self.equalities > 0 || self.range
    }
}

/// All usable candidates, best first; equals keep the order of the catalogue.
pub(super) fn candidates(collection: &Collection, query: &Query<'_>) -> Result<Vec<Candidate>, Fault> {
    let mut found: Vec<Candidate> = by_record(collection, query)?.into_iter().collect();
    for index in &collection.indexes {
        if index.is_clustered() || index.hidden || !index.usable_at(query.at) {
            continue;
        }
        if index.is_wildcard() {
            found.extend(wildcard::candidates(index, query, collection)?);
        } else if let Some(candidate) = by_index(index, query, collection)? {
            found.push(candidate);
        }
    }
    found.sort_by_key(|candidate| std::cmp::Reverse(candidate.score));
    Ok(found)
}

/// The order of records as a candidate; `None` where it is that of insertion.
pub(super) fn by_record(collection: &Collection, query: &Query<'_>) -> Result<Option<Candidate>, Fault> {
    let key_pattern = match collection.order {
        RecordOrder::Id => bson::rawdoc! { "_id": 1 },
        RecordOrder::Log => bson::rawdoc! { "ts": 1 },
        RecordOrder::Number => return Ok(None),
    };
    let pattern = KeyPattern::parse(&key_pattern)?.under(collection.collation.clone());
    let bounds = bounds_of(query, &pattern, false);
    Ok(Some(candidate(None, pattern, key_pattern, bounds, query, collection, false)))
}

/// An index as a candidate; `None` where it may lack documents that match.
pub(super) fn by_index(
    index: &Arc<Index>,
    query: &Query<'_>,
    collection: &Collection,
) -> Result<Option<Candidate>, Fault> {
    let pattern = KeyPattern::parse(&index.key)?.under(index.collation().cloned());
    if pattern.fields.iter().any(|(_, direction)| matches!(direction, bounds::Direction::Special(_))) {
        return Ok(None);
    }
    if !partial::holds_all(index, query.filter.as_ref()) {
        return Ok(None);
    }
    let multikey = index.multikey();
    let bounds = bounds_of(query, &pattern, multikey);
    // Named by a hint, a sparse index is used for what it has.
    if index.sparse && query.hint.is_none() && bounds.fields.iter().all(may_be_null) {
        return Ok(None);
    }
    Ok(Some(candidate(
        Some(Arc::clone(index)),
        pattern,
        index.key.clone(),
        bounds,
        query,
        collection,
        multikey,
    )))
}

pub(super) fn candidate(
    index: Option<Arc<Index>>,
    pattern: KeyPattern,
    key_pattern: RawDocumentBuf,
    bounds: FieldBounds,
    query: &Query<'_>,
    collection: &Collection,
    multikey: bool,
) -> Candidate {
    let unique = index.as_ref().is_none_or(|index| index.unique);
    let equalities = bounds.fields.iter().take_while(|field| field.is_points()).count();
    let range = bounds.fields.get(equalities).is_some_and(|field| field.constrained);
    let singles = bounds.fields.iter().all(|field| field.intervals.len() == 1);
    let unique_point = unique && singles && equalities == bounds.fields.len();
    let sorts = match query.sort {
        Some(_) if multikey => None,
        Some(sort) => {
            // Entries of equal keys are in the order of their records, which is that of `_id` unless it is that of insertion.
            let same =
                collection.order == RecordOrder::Id && sort.collation() == collection.collation.as_ref();
            let ties_by_id = same && index.as_ref().is_some_and(|index| !index.unique);
            sorts(sort, &pattern, &bounds, ties_by_id)
        }
        None => None,
    };
    let score = Score { unique_point, equalities, range, sorts: sorts.is_some(), clustered: index.is_none() };
    Candidate { index, pattern, key_pattern, bounds, score, sorts }
}

pub(super) fn bounds_of(query: &Query<'_>, pattern: &KeyPattern, multikey: bool) -> FieldBounds {
    match &query.filter {
        Some(filter) => bounds::bounds(filter, pattern, multikey),
        None => FieldBounds::all(pattern),
    }
}

/// The direction in which a walk of these keys yields the order of `sort`.
fn sorts(sort: &Sort, pattern: &KeyPattern, bounds: &FieldBounds, ties_by_id: bool) -> Option<Direction> {
    if sort.collation() != pattern.collation.as_ref() {
        return None;
    }
    let is_point = |at: usize| {
        bounds
            .fields
            .get(at)
            .is_some_and(|field| matches!(field.intervals.as_slice(), [one] if one.is_point()))
    };
    let id_tie = ties_by_id.then_some(("_id", false));
    let mut keys = pattern
        .fields
        .iter()
        .enumerate()
        // The order of hashes is no order of values.
        .map(|(at, (path, direction))| match direction {
            bounds::Direction::Hashed => ("", false, is_point(at)),
            _ => (path.as_str(), direction.is_descending(), is_point(at)),
        })
        .chain(id_tie.map(|(path, descending)| (path, descending, false)));
    let mut backward: Option<bool> = None;
    for (path, descending) in sort.fields() {
        let bound = pattern.fields.iter().position(|(field, _)| field == path).is_some_and(is_point);
        if bound {
            continue;
        }
        let key_descending = loop {
            let (key, key_descending, point) = keys.next()?;
            if key == path {
                break key_descending;
            }
            if !point {
                return None;
            }
        };
        let reversed = key_descending != *descending;
        if *backward.get_or_insert(reversed) != reversed {
            return None;
        }
    }
    Some(if backward.unwrap_or(false) { Direction::Backward } else { Direction::Forward })
}

/// Whether a document without the field may match.
fn may_be_null(field: &FieldBound) -> bool {
    field.intervals.iter().any(|interval: &Interval| interval.contains(&Bson::Null))
}

/// Whether two key patterns are the same: fields, order and values.
pub(super) fn same_pattern(a: &RawDocument, b: &RawDocument) -> bool {
    value::order::compare_documents(a, b) == std::cmp::Ordering::Equal
}
