//! The order of values as expressions see it: BSON's order, with missing as a value of its own.

use super::Value;
use bson::Bson;
use std::cmp::Ordering;
use value::Collator;

/// Compares two values. Missing equals undefined, comes after MinKey and before null.
pub(crate) fn compare(a: &Value, b: &Value, collation: Option<&Collator>) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) => match (a, b) {
            (Bson::Int32(a), Bson::Int32(b)) => a.cmp(b),
            (Bson::String(a), Bson::String(b)) if collation.is_none() => a.as_bytes().cmp(b.as_bytes()),
            _ => value::order::compare_bson_under(a, b, collation),
        },
        (None, None) => Ordering::Equal,
        (None, Some(b)) => against(b),
        (Some(a), None) => against(a).reverse(),
    }
}

fn against(value: &Bson) -> Ordering {
    match value {
        Bson::MinKey => Ordering::Greater,
        Bson::Undefined => Ordering::Equal,
        _ => Ordering::Less,
    }
}
