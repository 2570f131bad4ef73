//! The order that a query asks for. `{$natural: 1}` as a sort is the hint of the same name, not an order of values.

use command::Hint;
use query::sort::{Natural, Sort};
use types::Fault;
use value::{Collator, SharedDoc};

/// Sort and hint, untangled.
#[derive(Debug, Default)]
pub(crate) struct Order {
    pub(crate) sort: Option<Sort>,
    pub(crate) hint: Option<Hint>,
}

impl Order {
    /// Parses the sort.
    ///
    /// # Errors
    /// Those of the sort; `BadValue` (2) for a natural sort together with an index as hint.
    pub(crate) fn parse(
        sort: Option<&SharedDoc>,
        hint: Option<&Hint>,
        collation: Option<&Collator>,
    ) -> Result<Order, Fault> {
        let sort = sort.map(|sort| Sort::parse(sort)).transpose()?.filter(|sort| !sort.is_empty());
        let sort = sort.map(|sort| sort.under(collation.cloned()));
        let Some(natural) = sort.as_ref().and_then(Sort::natural) else {
            return Ok(Order { sort, hint: hint.cloned() });
        };
        if matches!(hint, Some(Hint::Name(_) | Hint::Pattern(_))) {
            return Err(Fault::bad_value("Cannot use a $natural sort together with a hint of an index"));
        }
        Ok(Order { sort: None, hint: Some(Hint::Natural { backward: natural == Natural::Backward }) })
    }
}
