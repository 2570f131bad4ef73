//! Whole numbers in specifications: `$limit: 5`, `5.0` and `NumberLong(5)` are the same.

use bson::RawBsonRef;

/// The whole number that a value is exactly.
pub(super) fn exact(raw: RawBsonRef<'_>) -> Option<i64> {
    value::number::Number::from_raw(raw)?.to_i64_exact()
}
