//! How to find the documents of a query: which keys to walk, in which direction, and what is left to check.
//! Candidates come from bounds on key patterns, one rule chooses among them, and the choice is deterministic.
//! Knows indexes by their patterns only; reads no data.

mod candidates;
mod choose;
pub(crate) mod explain;
mod id_point;
mod order;
mod wildcard;

pub(crate) use choose::{Query, choose, point, tail};
pub(crate) use id_point::id_point;
pub(crate) use order::Order;

use bson::RawDocumentBuf;
use query::bounds::FieldBounds;
use query::matcher::Matcher;
use std::sync::Arc;
use storage::{Direction, Index, RecordKey};
use value::Collator;
use value::interval::KeyRange;

/// A chosen way to the documents.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) access: Access,
    pub(crate) direction: Direction,
    /// What the access does not prove; `None` where every document that it yields matches.
    pub(crate) filter: Option<Arc<Matcher>>,
    /// The documents come in the order that was asked for.
    pub(crate) sorted: bool,
    /// Which keys, for explain: pattern and bounds.
    pub(crate) bounds: Option<Bounds>,
    /// What was considered and not chosen, for explain.
    rejected: Vec<candidates::Candidate>,
}

/// The keys that an access walks.
#[derive(Debug)]
pub(crate) enum Access {
    /// There is no collection, or nothing can match.
    Nothing,
    /// These records, by key.
    Points(Vec<RecordKey>),
    /// Ranges of records in their own order.
    Records(Vec<KeyRange>),
    Index(IndexAccess),
}

/// Ranges of one index.
#[derive(Debug)]
pub(crate) struct IndexAccess {
    pub(crate) index: Arc<Index>,
    pub(crate) ranges: Vec<KeyRange>,
}

/// What an access by key goes by.
#[derive(Debug, Clone)]
pub(crate) struct Bounds {
    pub(crate) index_name: String,
    pub(crate) key_pattern: RawDocumentBuf,
    pub(crate) fields: FieldBounds,
    /// How strings are ordered in the keys.
    pub(crate) collation: Option<Collator>,
}

impl Plan {
    /// Every record of the collection, in their own order.
    pub(crate) fn whole(filter: Option<Arc<Matcher>>, direction: Direction) -> Plan {
        Plan {
            access: Access::Records(vec![KeyRange::all()]),
            direction,
            filter,
            sorted: false,
            bounds: None,
            rejected: Vec::new(),
        }
    }

    /// The plans that were considered and not chosen.
    pub(crate) fn rejected(&self) -> Vec<Plan> {
        self.rejected
            .iter()
            .map(|other| choose::plan(other.clone(), self.filter.clone(), !self.sorted))
            .collect()
    }

    /// Records by key, each checked against the filter.
    pub(crate) fn points(keys: Vec<RecordKey>, filter: Option<Arc<Matcher>>) -> Plan {
        Plan { access: Access::Points(keys), filter, ..Plan::nothing() }
    }

    /// No document.
    pub(crate) fn nothing() -> Plan {
        Plan {
            access: Access::Nothing,
            direction: Direction::Forward,
            filter: None,
            sorted: true,
            bounds: None,
            rejected: Vec::new(),
        }
    }
}
