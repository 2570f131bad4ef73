//! The choice among candidates: a hint wins; then the best score that narrows the search or saves a sort; else the whole
//! collection.

use super::candidates::{Candidate, ID_INDEX, by_index, by_record, candidates, same_pattern};
use super::{Access, Bounds, IndexAccess, Plan, wildcard};
use bson::{RawDocumentBuf, cstr};
use command::Hint;
use query::bounds;
use query::matcher::Matcher;
use query::sort::Sort;
use std::sync::Arc;
use storage::{Collection, Direction, Index, RecordKey};
use types::{Fault, Timestamp};

/// What is looked for.
pub(crate) struct Query<'a> {
    /// `None` matches everything.
    pub(crate) filter: Option<Arc<Matcher>>,
    pub(crate) sort: Option<&'a Sort>,
    pub(crate) hint: Option<&'a Hint>,
    /// Whether the hint may name a hidden index: what is no query of a client's.
    pub(crate) even_hidden: bool,
    /// The time of the snapshot that will be read: an index must have been complete by then.
    pub(crate) at: Timestamp,
}

/// The plan of an equality on `_id` alone.
pub(crate) fn point(key: RecordKey) -> Plan {
    Plan::points(vec![key], None)
}

/// Chooses a plan.
///
/// # Errors
/// `BadValue` (2) for a hint that names no index.
pub(crate) fn choose(collection: Option<&Arc<Collection>>, query: &Query<'_>) -> Result<Plan, Fault> {
    let Some(collection) = collection else { return Ok(Plan::nothing()) };
    match query.hint {
        Some(Hint::Natural { backward }) => {
            let direction = if *backward { Direction::Backward } else { Direction::Forward };
            return Ok(Plan::whole(query.filter.clone(), direction));
        }
        Some(hint) => {
            return Ok(plan(hinted(collection, query, hint)?, query.filter.clone(), query.sort.is_some()));
        }
        None => {}
    }
    let mut all = candidates(collection, query)?.into_iter();
    let best = all.next().filter(|best| best.score.narrows() || best.sorts.is_some());
    let Some(best) = best else { return Ok(Plan::whole(query.filter.clone(), Direction::Forward)) };
    let rejected = all.filter(|other| other.score.narrows()).collect();
    Ok(Plan { rejected, ..plan(best, query.filter.clone(), query.sort.is_some()) })
}

/// A plan for a cursor that stays at the end: records in their own order, from where the bounds begin.
///
/// # Errors
/// As [`choose`].
pub(crate) fn tail(collection: &Arc<Collection>, query: &Query<'_>) -> Result<Plan, Fault> {
    let plan = choose(Some(collection), &Query { hint: None, filter: query.filter.clone(), ..*query })?;
    let one_range = matches!(&plan.access, Access::Records(ranges) if ranges.len() == 1);
    if one_range && plan.direction == Direction::Forward {
        return Ok(plan);
    }
    Ok(Plan::whole(query.filter.clone(), Direction::Forward))
}

fn hinted(collection: &Collection, query: &Query<'_>, hint: &Hint) -> Result<Candidate, Fault> {
    let mut id_pattern = RawDocumentBuf::new();
    id_pattern.append(cstr!("_id"), 1);
    let is_id = match hint {
        Hint::Name(name) => name == ID_INDEX,
        Hint::Pattern(pattern) => same_pattern(pattern, &id_pattern),
        Hint::Natural { .. } => false,
    };
    let is_clustered = collection.indexes.iter().any(|index| index.is_clustered());
    if is_id
        && is_clustered
        && let Some(candidate) = by_record(collection, query)?
    {
        return Ok(candidate);
    }
    let is_named = |index: &&Arc<Index>| {
        (!index.hidden || query.even_hidden)
            && index.usable_at(query.at)
            && match hint {
                Hint::Name(name) => index.name == *name,
                Hint::Pattern(pattern) => same_pattern(&index.key, pattern),
                Hint::Natural { .. } => false,
            }
    };
    // Indexes that differ in their collation have one pattern: the one that serves best is meant.
    let (mut named, mut found) = (None, None);
    for index in collection.indexes.iter().filter(is_named) {
        named = Some(index);
        let candidate = match index.is_wildcard() {
            true => {
                let ways = wildcard::candidates(index, query, collection)?;
                ways.into_iter().max_by_key(|candidate| candidate.score)
            }
            false => by_index(index, query, collection)?,
        };
        found = found.into_iter().chain(candidate).max_by_key(|candidate: &Candidate| candidate.score);
    }
    let Some(index) = named else {
        return Err(Fault::bad_value(
            "error processing query: planner returned error :: caused by :: hint provided does not correspond to an existing index",
        ));
    };
    match found {
        Some(candidate) => Ok(candidate),
        None => Err(Fault::new(
            types::Code::NoQueryExecutionPlans,
            format!("index {} cannot answer this query: it may lack documents that match", index.name),
        )),
    }
}

/// The plan of a candidate.
pub(super) fn plan(candidate: Candidate, asked: Option<Arc<Matcher>>, to_sort: bool) -> Plan {
    let Candidate { index, pattern, key_pattern, bounds: fields, sorts, .. } = candidate;
    let bounds::Scan { ranges, exact } = bounds::scan(&fields, &pattern);
    let filter = asked.filter(|_| !exact);
    let access = match &index {
        _ if fields.is_empty() => Access::Nothing,
        Some(index) => Access::Index(IndexAccess { index: Arc::clone(index), ranges }),
        None => {
            // As many ranges as points: too many points become one wide range.
            let points =
                fields.fields.iter().all(|field| field.is_points() && field.intervals.len() == ranges.len());
            if points {
                Access::Points(ranges.into_iter().map(|range| RecordKey::from(range.start)).collect())
            } else {
                Access::Records(ranges)
            }
        }
    };
    let index_name = index.as_ref().map_or_else(|| ID_INDEX.to_owned(), |index| index.name.clone());
    Plan {
        access,
        direction: sorts.unwrap_or(Direction::Forward),
        filter,
        sorted: !to_sort || sorts.is_some(),
        bounds: Some(Bounds { index_name, key_pattern, fields, collation: pattern.collation }),
        rejected: Vec::new(),
    }
}
