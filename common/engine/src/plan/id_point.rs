//! `{_id: value}`: the most frequent filter of all, seen without parsing it.

use bson::{RawBsonRef, RawDocument};
use bytes::Bytes;
use storage::RecordKey;
use value::Collator;
use value::collation::is_collatable;

/// The record key of a filter that is one equality on `_id` and nothing else. `asked` is the collation of the query, `records` that of
/// the collection, by which the records are ordered.
pub(crate) fn id_point(
    filter: &RawDocument,
    asked: Option<&Collator>,
    records: Option<&Collator>,
) -> Option<RecordKey> {
    let mut elements = filter.iter_elements();
    let element = elements.next()?.ok()?;
    if element.key().as_str() != "_id" || elements.next().is_some() {
        return None;
    }
    let value = element.value().ok()?;
    let plain = match value {
        RawBsonRef::Document(doc) => match doc.iter_elements().next() {
            None => true,
            Some(first) => !first.ok()?.key().as_str().starts_with('$'),
        },
        RawBsonRef::RegularExpression(_)
        | RawBsonRef::Array(_)
        | RawBsonRef::Undefined
        | RawBsonRef::Null => false,
        _ => true,
    };
    let plain = plain && (asked == records || !is_collatable(value));
    plain.then(|| {
        let mut key = Vec::with_capacity(24);
        value::key::encode_under(&mut key, value, false, records);
        RecordKey::from(Bytes::from(key))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::{Bson, Document, RawDocumentBuf, doc};

    fn check(filter: Document, expected: bool) {
        let raw = RawDocumentBuf::try_from(&filter).unwrap();
        assert_eq!(id_point(&raw, None, None).is_some(), expected, "{filter}");
    }

    #[test]
    fn only_a_plain_equality_is_a_point() {
        check(doc! {"_id": 1}, true);
        check(doc! {"_id": "x"}, true);
        check(doc! {"_id": {"a": 1}}, true);
        check(doc! {"_id": {}}, true);
        check(doc! {"_id": {"$gt": 1}}, false);
        check(doc! {"_id": [1]}, false);
        check(doc! {"_id": Bson::Null}, false);
        check(doc! {"_id": 1, "a": 1}, false);
        check(doc! {"a": 1}, false);
        check(doc! {}, false);
    }

    #[test]
    fn a_string_is_a_point_under_the_collation_of_the_records() {
        let collator = Collator::stored(Some(&bson::rawdoc! {"locale": "en", "strength": 2})).unwrap();
        let key = |id: &str, asked, records| id_point(&bson::rawdoc! {"_id": id}, asked, records);
        let (none, some) = (None, collator.as_ref());
        assert_eq!(key("a", some, some), key("A", some, some));
        assert_ne!(key("a", none, none), key("A", none, none));
        assert!(key("a", some, none).is_none() && key("a", none, some).is_none());
        let number = |asked, records| id_point(&bson::rawdoc! {"_id": 1}, asked, records);
        assert_eq!(number(some, none), number(none, none));
    }
}
