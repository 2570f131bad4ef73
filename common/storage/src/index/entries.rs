//! Which keys a document yields in an index: compound, dotted through arrays, missing as null, descending, hashed, sparse.
//! At most one array may be crossed by the fields of a key; its elements are taken together.

use super::pattern::{Field, Order, Pattern};
use crate::Error;
use bson::{RawArray, RawBsonRef, RawDocument};
use types::Code;

/// What a document yields.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Keys {
    /// Encoded keys, each once.
    pub keys: Vec<Vec<u8>>,
    /// Bits of the fields whose path crossed an array.
    pub multikey: u64,
}

/// One key as values; `None` is a missing field.
pub(crate) type Row<'a> = Vec<Option<RawBsonRef<'a>>>;

/// How far a field's path was followed.
#[derive(Clone, Copy)]
enum State<'a> {
    Done(Option<RawBsonRef<'a>>),
    /// At an array, with the components from there on still to go.
    Array(&'a RawArray, usize),
}

/// The keys of a document.
pub(crate) fn keys(pattern: &Pattern, sparse: bool, doc: &RawDocument) -> Result<Keys, Error> {
    if let Some(wildcard) = &pattern.wildcard {
        return wildcard.keys(doc, pattern.collation.as_ref());
    }
    let mut out = Keys::default();
    out.multikey = rows(pattern, doc, &mut |row| {
        if !(sparse && row.iter().all(Option::is_none)) {
            out.keys.push(encode(pattern, row)?);
        }
        Ok(())
    })?;
    if out.keys.len() > 1 {
        out.keys.sort_unstable();
        out.keys.dedup();
    }
    Ok(out)
}

/// The values behind one encoded key of a document.
pub(crate) fn row_of<'a>(
    pattern: &Pattern,
    doc: &'a RawDocument,
    key: &[u8],
) -> Result<Option<Row<'a>>, Error> {
    let mut found = None;
    rows(pattern, doc, &mut |row| {
        if found.is_none() && encode(pattern, row)? == key {
            found = Some(row.clone());
        }
        Ok(())
    })?;
    Ok(found)
}

fn encode(pattern: &Pattern, row: &Row<'_>) -> Result<Vec<u8>, Error> {
    let mut key = Vec::with_capacity(16 * row.len());
    let collation = pattern.collation.as_ref();
    for (field, value) in pattern.fields.iter().zip(row) {
        match (field.order, value) {
            (Order::Hashed, Some(RawBsonRef::Array(_))) => return Err(hashed_array()),
            (Order::Hashed, value) => {
                let hash = value::hash::shard_key_hash(value.unwrap_or(RawBsonRef::Null));
                value::key::encode(&mut key, RawBsonRef::Int64(hash), false);
            }
            (order, Some(value)) => {
                value::key::encode_under(&mut key, *value, order == Order::Descending, collation);
            }
            (order, None) => value::key::encode_missing(&mut key, order == Order::Descending),
        }
    }
    Ok(key)
}

fn hashed_array() -> Error {
    Error::Unindexable {
        code: Code::Location(16766),
        message: "hashed indexes do not currently support array values".to_owned(),
    }
}

type Emit<'e, 'a> = &'e mut dyn FnMut(&Row<'a>) -> Result<(), Error>;

fn rows<'a>(pattern: &Pattern, doc: &'a RawDocument, emit: Emit<'_, 'a>) -> Result<u64, Error> {
    let mut states = Vec::with_capacity(pattern.fields.len());
    let mut multikey = 0;
    for (number, field) in pattern.fields.iter().enumerate() {
        let mut ambiguous = false;
        states.push(follow(&field.path, doc, 0, &mut ambiguous)?);
        multikey |= u64::from(ambiguous) << number.min(63);
    }
    expand(pattern, &states, &mut multikey, emit)?;
    Ok(multikey)
}

fn unreadable(error: bson::error::Error) -> Error {
    Error::InvalidDocument { code: Code::InvalidBSON, message: error.to_string() }
}

/// Follows a path from component `at` through embedded documents, up to its end or the first array.
fn follow<'a>(
    path: &[String],
    doc: &'a RawDocument,
    mut at: usize,
    ambiguous: &mut bool,
) -> Result<State<'a>, Error> {
    let mut doc = doc;
    while let Some(name) = path.get(at) {
        let Some(value) = field(doc, name)? else { return Ok(State::Done(None)) };
        at += 1;
        match value {
            RawBsonRef::Array(array) => return settle(path, array, at, ambiguous),
            RawBsonRef::Document(inner) if at < path.len() => doc = inner,
            value if at == path.len() => return Ok(State::Done(Some(value))),
            _ => return Ok(State::Done(None)),
        }
    }
    Ok(State::Done(None))
}

/// A path that goes on with a number means that place of the array, where there is one. To a query it may mean a field of an
/// element as well, or a place of an array inside: of that there is no key, and `ambiguous` says so.
fn settle<'a>(
    path: &[String],
    array: &'a RawArray,
    at: usize,
    ambiguous: &mut bool,
) -> Result<State<'a>, Error> {
    let number = path.get(at).and_then(|name| {
        let place = name.parse::<usize>().ok().filter(|place| place.to_string() == *name);
        place.map(|place| (name, place))
    });
    let Some((name, place)) = number else { return Ok(State::Array(array, at)) };
    let mut found = None;
    for (number, element) in array.iter_elements().enumerate() {
        let value = element.and_then(|element| element.value()).map_err(unreadable)?;
        *ambiguous |= match value {
            RawBsonRef::Document(doc) => field(doc, name)?.is_some(),
            RawBsonRef::Array(_) => true,
            _ => false,
        };
        if number == place {
            found = Some(value);
        }
    }
    match found {
        // All its elements are gone through, which marks the field.
        None => Ok(State::Array(array, at)),
        Some(value) => within(path, value, at + 1, ambiguous),
    }
}

/// Goes on inside a value with the components from `at`.
fn within<'a>(
    path: &[String],
    value: RawBsonRef<'a>,
    at: usize,
    ambiguous: &mut bool,
) -> Result<State<'a>, Error> {
    match value {
        RawBsonRef::Array(array) => settle(path, array, at, ambiguous),
        value if at == path.len() => Ok(State::Done(Some(value))),
        RawBsonRef::Document(doc) => follow(path, doc, at, ambiguous),
        _ => Ok(State::Done(None)),
    }
}

fn field<'a>(doc: &'a RawDocument, name: &str) -> Result<Option<RawBsonRef<'a>>, Error> {
    for element in doc.iter_elements() {
        let element = element.map_err(unreadable)?;
        if element.key().as_str() == name {
            return element.value().map(Some).map_err(unreadable);
        }
    }
    Ok(None)
}

fn expand<'a>(
    pattern: &Pattern,
    states: &[State<'a>],
    multikey: &mut u64,
    emit: Emit<'_, 'a>,
) -> Result<(), Error> {
    let mut shared: Option<(&'a RawArray, &Field)> = None;
    for (state, field) in states.iter().zip(&pattern.fields) {
        let State::Array(array, _) = state else { continue };
        match shared {
            Some((first, _)) if std::ptr::eq(first.as_bytes(), array.as_bytes()) => {}
            Some((_, other)) => return Err(parallel(field, other)),
            None => shared = Some((array, field)),
        }
    }
    let Some((array, _)) = shared else {
        let row: Row<'a> =
            states.iter().map(|state| if let State::Done(value) = state { *value } else { None }).collect();
        return emit(&row);
    };
    for (number, state) in states.iter().enumerate() {
        if let State::Array(..) = state {
            *multikey |= 1 << number.min(63);
        }
    }
    if pattern.hashed()
        && pattern
            .fields
            .iter()
            .zip(states)
            .any(|(field, state)| field.order == Order::Hashed && matches!(state, State::Array(..)))
    {
        return Err(hashed_array());
    }
    let mut next = states.to_vec();
    let mut step = |element: Option<RawBsonRef<'a>>| -> Result<(), Error> {
        for ((to, from), field) in next.iter_mut().zip(states).zip(&pattern.fields) {
            // The field is marked already.
            let mut ambiguous = false;
            if let State::Array(_, at) = from {
                *to = match element {
                    // An array that ends the path is not opened a second time.
                    Some(value) if *at == field.path.len() => State::Done(Some(value)),
                    Some(RawBsonRef::Document(doc)) => follow(&field.path, doc, *at, &mut ambiguous)?,
                    Some(_) => State::Done(None),
                    None if *at == field.path.len() => State::Done(Some(RawBsonRef::Undefined)),
                    None => State::Done(None),
                };
            }
        }
        expand(pattern, &next, multikey, emit)
    };
    let mut empty = true;
    for element in array.iter_elements() {
        empty = false;
        step(Some(element.and_then(|element| element.value()).map_err(unreadable)?))?;
    }
    if empty { step(None) } else { Ok(()) }
}

fn parallel(field: &Field, other: &Field) -> Error {
    let last = |field: &Field| field.path.last().cloned().unwrap_or_default();
    Error::Unindexable {
        code: Code::CannotIndexParallelArrays,
        message: format!("cannot index parallel arrays [{}] [{}]", last(field), last(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::{Bson, Document, RawDocumentBuf, bson, doc};

    fn check(pattern: Document, sparse: bool, doc: Document, rows: Bson) {
        let pattern_doc = RawDocumentBuf::try_from(&pattern).unwrap();
        let parsed = Pattern::parse(&pattern_doc, None).unwrap();
        let raw = RawDocumentBuf::try_from(&doc).unwrap();
        let got = keys(&parsed, sparse, &raw).unwrap().keys;
        let mut want: Vec<Vec<u8>> = Vec::new();
        for row in rows.as_array().unwrap() {
            let mut key = Vec::new();
            for (field, value) in parsed.fields.iter().zip(row.as_array().unwrap()) {
                value::key::encode_bson(&mut key, value, field.order == Order::Descending);
            }
            want.push(key);
        }
        want.sort();
        assert_eq!(got, want, "{pattern} {doc}");
    }

    #[test]
    fn documents_yield_keys() {
        check(doc! {"a": 1}, false, doc! {"a": 5}, bson!([[5]]));
        check(doc! {"a": -1}, false, doc! {"a": 5}, bson!([[5]]));
        check(doc! {"a": 1}, false, doc! {"b": 5}, bson!([[null]]));
        check(doc! {"a": 1}, true, doc! {"b": 5}, bson!([]));
        check(doc! {"a": 1}, true, doc! {"a": null}, bson!([[null]]));
        check(doc! {"a": 1, "b": 1}, true, doc! {"b": 5}, bson!([[null, 5]]));
        check(doc! {"a": 1}, false, doc! {"a": [1, 2, 2]}, bson!([[1], [2]]));
        check(doc! {"a": 1}, false, doc! {"a": [[1, 2], 3]}, bson!([[3], [[1, 2]]]));
        check(doc! {"a": 1}, false, doc! {"a": []}, Bson::Array(vec![Bson::Array(vec![Bson::Undefined])]));
        check(doc! {"a.b": 1}, false, doc! {"a": {"b": 7}}, bson!([[7]]));
        check(doc! {"a.b": 1}, false, doc! {"a": []}, bson!([[null]]));
        check(doc! {"a.b": 1}, false, doc! {"a": [{"b": 1}, {"c": 1}, 4]}, bson!([[1], [null]]));
        check(doc! {"a.b": 1}, false, doc! {"a": [{"b": [1, 2]}, {"b": 3}]}, bson!([[1], [2], [3]]));
        check(doc! {"a.1": 1}, false, doc! {"a": [8, 9]}, bson!([[9]]));
        check(doc! {"a.0.b": 1}, false, doc! {"a": [{"b": 4}, {"b": 5}]}, bson!([[4]]));
        check(
            doc! {"a.b": 1, "a.c": -1},
            false,
            doc! {"a": [{"b": 1, "c": 2}, {"b": 3}]},
            bson!([[1, 2], [3, null]]),
        );
        check(doc! {"a": 1, "a.c": 1}, false, doc! {"a": [{"c": 2}]}, bson!([[{"c": 2}, 2]]));
        check(doc! {"x": 1, "a": 1}, false, doc! {"a": [1, 2], "x": "q"}, bson!([["q", 1], ["q", 2]]));
    }

    #[test]
    fn some_documents_cannot_be_indexed() {
        let refused = |pattern: Document, doc: Document| {
            let pattern = Pattern::parse(&RawDocumentBuf::try_from(&pattern).unwrap(), None).unwrap();
            match keys(&pattern, false, &RawDocumentBuf::try_from(&doc).unwrap()) {
                Err(Error::Unindexable { code, message }) => (code.number(), message),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(
            refused(doc! {"a": 1, "b": 1}, doc! {"a": [1], "b": [2]}),
            (171, "cannot index parallel arrays [b] [a]".to_owned())
        );
        assert_eq!(refused(doc! {"a.x": 1, "b": 1}, doc! {"a": {"x": [1]}, "b": [2]}).0, 171);
        assert_eq!(refused(doc! {"a": "hashed"}, doc! {"a": [1]}).0, 16766);
    }

    #[test]
    fn arrays_mark_their_fields() {
        let pattern = RawDocumentBuf::try_from(&doc! {"x": 1, "a.b": 1}).unwrap();
        let pattern = Pattern::parse(&pattern, None).unwrap();
        let of =
            |doc: Document| keys(&pattern, false, &RawDocumentBuf::try_from(&doc).unwrap()).unwrap().multikey;
        assert_eq!(of(doc! {"x": 1, "a": {"b": 1}}), 0);
        assert_eq!(of(doc! {"x": 1, "a": [{"b": 1}]}), 2);
        assert_eq!(of(doc! {"x": [], "a": {"b": 1}}), 1);
        let pattern = RawDocumentBuf::try_from(&doc! {"x": 1, "a.0": 1}).unwrap();
        let pattern = Pattern::parse(&pattern, None).unwrap();
        let of =
            |doc: Document| keys(&pattern, false, &RawDocumentBuf::try_from(&doc).unwrap()).unwrap().multikey;
        // One place is one value, unless the number may be a name as well.
        for (a, marks) in [
            (bson!([5]), 0),
            (bson!([5, {"b": 1}]), 0),
            (bson!({"0": 5}), 0),
            (bson!([{"0": 5}]), 2),
            (bson!([5, {"0": 7}]), 2),
            (bson!([5, [7]]), 2),
            (bson!([[5]]), 2),
            (bson!([]), 2),
        ] {
            assert_eq!(of(doc! {"a": a.clone()}), marks, "{a}");
        }
    }
}
