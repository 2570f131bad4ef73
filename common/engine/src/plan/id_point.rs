//! `{_id: value}`: the most frequent filter of all, seen without parsing it.

use bson::{RawBsonRef, RawDocument};
use bytes::Bytes;
use storage::RecordKey;

/// The record key of a filter that is one equality on `_id` and nothing else.
pub(crate) fn id_point(filter: &RawDocument) -> Option<RecordKey> {
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
    plain.then(|| {
        let mut key = Vec::with_capacity(24);
        value::key::encode(&mut key, value, false);
        RecordKey::from(Bytes::from(key))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::{Bson, Document, RawDocumentBuf, doc};

    fn check(filter: Document, expected: bool) {
        let raw = RawDocumentBuf::try_from(&filter).unwrap();
        assert_eq!(id_point(&raw).is_some(), expected, "{filter}");
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
}
