//! Filters of partial indexes, as storage asks for them: compiled by the query language, and known again when a plan is made.

use bson::RawDocument;
use query::context::ParseContext;
use query::matcher::{Matcher, check_partial_filter, implies};
use std::any::Any;
use std::sync::Arc;
use storage::{Index, Predicate, Predicates};
use types::Fault;
use value::Collator;

/// The query language for partial indexes; every store that an engine works on is opened with it.
#[derive(Debug, Clone, Copy, Default)]
pub struct PartialFilters;

#[derive(Debug)]
struct Partial(Matcher);

impl Predicate for Partial {
    fn passes(&self, doc: &RawDocument) -> Result<bool, Fault> {
        self.0.matches(doc)
    }
}

impl Predicates for PartialFilters {
    fn compile(
        &self,
        filter: &RawDocument,
        collation: Option<&Collator>,
    ) -> Result<Arc<dyn Predicate>, Fault> {
        // No expression that looks at the clock is allowed.
        let matcher = Matcher::parse(filter, &ParseContext::at(0).with_collation(collation.cloned()))?;
        check_partial_filter(&matcher)?;
        Ok(Arc::new(Partial(matcher)))
    }
}

/// Whether the index has an entry for every document that the query can match, as far as its filter is concerned.
pub(crate) fn holds_all(index: &Index, query: Option<&Arc<Matcher>>) -> bool {
    let Some(partial) = &index.partial else { return true };
    let partial: &dyn Any = &**partial;
    match (partial.downcast_ref::<Partial>(), query) {
        (Some(Partial(filter)), Some(query)) => implies(query, filter),
        _ => false,
    }
}
