//! `$sortByCount: e` is `$group: {_id: e, count: {$sum: 1}}` and `$sort: {count: -1}`.

use super::Parsing;
use bson::{RawBsonRef, RawDocumentBuf, rawdoc};
use types::{Code, Fault};

pub(in crate::pipeline) fn rewrite(
    raw: RawBsonRef<'_>,
    _: &Parsing<'_>,
) -> Result<Vec<RawDocumentBuf>, Fault> {
    match raw {
        RawBsonRef::Document(document)
            if document
                .iter_elements()
                .next()
                .and_then(Result::ok)
                .is_some_and(|e| e.key().as_str().starts_with('$')) => {}
        RawBsonRef::Document(_) => {
            return Err(Fault::new(
                Code::Location(40147),
                "the sortByCount field must be defined as a $-prefixed path or an expression inside an object",
            ));
        }
        RawBsonRef::String(path) if path.starts_with('$') => {}
        RawBsonRef::String(_) => {
            return Err(Fault::new(
                Code::Location(40148),
                "the sortByCount field must be defined as a $-prefixed path or an expression inside an object",
            ));
        }
        _ => {
            return Err(Fault::new(
                Code::Location(40149),
                "the sortByCount field must be specified as a string or as an object",
            ));
        }
    }
    let mut group = RawDocumentBuf::new();
    group.append(bson::raw::cstr!("_id"), raw);
    group.append(bson::raw::cstr!("count"), rawdoc! { "$sum": 1_i32 });
    Ok(vec![rawdoc! { "$group": group }, rawdoc! { "$sort": { "count": -1_i32 } }])
}
