//! Wildcard indexes as candidates: for each path that the query bounds and the index has, the entries of that path.
//! An index has no entries for what is missing and none for a document as a whole, so such bounds are no use.

use super::Query;
use super::candidates::{Candidate, bounds_of, candidate};
use crate::partial;
use bson::{Bson, RawDocumentBuf, cstr};
use query::bounds::{Direction, FieldBound, KeyPattern};
use query::matcher::{Matcher, Node};
use std::sync::Arc;
use storage::{Collection, Index};
use types::Fault;
use value::interval::Interval;

const DOCUMENT: i32 = 20;
const ARRAY: i32 = 25;
const NULL: i32 = 5;

/// One candidate for each path of the filter that the index can serve.
pub(super) fn candidates(
    index: &Arc<Index>,
    query: &Query<'_>,
    collection: &Collection,
) -> Result<Vec<Candidate>, Fault> {
    let Some(filter) = &query.filter else { return Ok(Vec::new()) };
    if !partial::holds_all(index, Some(filter)) {
        return Ok(Vec::new());
    }
    let descending = KeyPattern::parse(&index.key)?.fields.iter().any(|(_, order)| order.is_descending());
    let mut found = Vec::new();
    for path in paths(filter) {
        if !index.covers(path) {
            continue;
        }
        let order = if descending { Direction::Descending } else { Direction::Ascending };
        let pattern = KeyPattern {
            fields: vec![("$_path".to_owned(), Direction::Ascending), (path.to_owned(), order)],
            collation: index.collation().cloned(),
        };
        let mut bounds = bounds_of(query, &pattern, index.multikey());
        bounds.exact = false;
        let usable = match bounds.fields.as_slice() {
            [_, values] => values.constrained && values.intervals.iter().all(is_of_values),
            _ => false,
        };
        let Some(first) = bounds.fields.first_mut().filter(|_| usable) else { continue };
        *first =
            FieldBound { intervals: vec![Interval::point(Bson::String(path.to_owned()))], constrained: true };
        let mut key_pattern = RawDocumentBuf::new();
        key_pattern.append(cstr!("$_path"), 1);
        if let Ok(name) = <&bson::raw::CStr>::try_from(path) {
            key_pattern.append(name, if descending { -1 } else { 1 });
        }
        let unsorted = Query { sort: None, filter: query.filter.clone(), ..*query };
        let mut way =
            candidate(Some(Arc::clone(index)), pattern, key_pattern, bounds, &unsorted, collection, true);
        // That of the path says nothing about the query.
        way.score.equalities = way.score.equalities.saturating_sub(1);
        found.push(way);
    }
    Ok(found)
}

/// The paths that every match must pass a test of.
fn paths(filter: &Matcher) -> Vec<&str> {
    let mut found = Vec::new();
    match filter.root() {
        Node::And(nodes) => nodes.iter().for_each(|node| found.extend(path_of(node))),
        node => found.extend(path_of(node)),
    }
    found.sort_unstable();
    found.dedup();
    found
}

fn path_of(node: &Node) -> Option<&str> {
    match node {
        Node::Leaf(leaf) => Some(leaf.path.text()),
        _ => None,
    }
}

/// Whether only values lie within that have an entry wherever they are.
fn is_of_values(interval: &Interval) -> bool {
    let kind = |value: &Bson| {
        bson::RawBson::try_from(value.clone())
            .map_or(ARRAY, |value| value::order::canonical_type(value.as_raw_bson_ref()))
    };
    let (low, high) = (kind(&interval.min), kind(&interval.max));
    let ends_before_documents = high < DOCUMENT
        || (!interval.max_inclusive && matches!(&interval.max, Bson::Document(doc) if doc.is_empty()));
    low > NULL && (low > ARRAY || ends_before_documents)
}
