//! Adding up what shards report.

use bson::{Bson, Document};

/// A number field as i64, 0 where it is absent or no number.
pub(super) fn number(doc: &Document, name: &str) -> i64 {
    match doc.get(name) {
        Some(Bson::Int32(number)) => i64::from(*number),
        Some(Bson::Int64(number)) => *number,
        Some(Bson::Double(number)) => *number as i64,
        _ => 0,
    }
}

/// A number as MongoDB shows it: int32 where it fits.
pub(super) fn fitting(number: i64) -> Bson {
    i32::try_from(number).map_or(Bson::Int64(number), Bson::Int32)
}

/// The sum of a field over documents.
pub(super) fn sum<'a>(docs: impl IntoIterator<Item = &'a Document>, name: &str) -> i64 {
    docs.into_iter().map(|doc| number(doc, name)).sum()
}
