//! Filters of partial indexes, under the collation of the index. Storage knows no query language: whoever opens a store says how a filter becomes a predicate.

use crate::Error;
use bson::RawDocument;
use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;
use types::Fault;
use value::Collator;

/// Whether a document passes a filter.
pub trait Predicate: Any + Debug + Send + Sync {
    /// # Errors
    /// A document that cannot be read.
    fn passes(&self, doc: &RawDocument) -> Result<bool, Fault>;
}

/// Makes predicates of `partialFilterExpression`.
pub trait Predicates: Send + Sync {
    /// # Errors
    /// An expression that a partial index cannot have.
    fn compile(
        &self,
        filter: &RawDocument,
        collation: Option<&Collator>,
    ) -> Result<Arc<dyn Predicate>, Fault>;
}

/// A store that was opened without [`Predicates`] has no partial indexes.
pub(crate) fn compile(
    predicates: Option<&Arc<dyn Predicates>>,
    filter: &RawDocument,
    collation: Option<&Collator>,
) -> Result<Arc<dyn Predicate>, Error> {
    match predicates {
        Some(predicates) => Ok(predicates.compile(filter, collation)?),
        None => Err(Error::NotImplemented("partial index".to_owned())),
    }
}
