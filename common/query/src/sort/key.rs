//! The bytes a document sorts by. Without arrays that is one value a field. With an array, each of its elements makes a
//! tuple, as it would make an index entry, and the least tuple counts: the fields of one element stay together.

use super::Sort;
use crate::raw::{Field, fields, find};
use bson::{RawBsonRef, RawDocument};
use types::Fault;
use value::key;
use value::path::Path;

/// What a path came to, seen from one document.
enum Reached<'a> {
    Missing,
    Value(Field<'a>),
    /// An array, and the part of the path that goes on inside of its elements.
    Array(&'a RawDocument, usize),
}

/// Where a field of the pattern stands while arrays are expanded.
#[derive(Clone)]
enum Slot<'a> {
    /// Still to be looked up, from this part of its path on.
    Open(usize),
    Missing,
    Empty,
    Value(Field<'a>),
}

pub(super) fn of(sort: &Sort, doc: &RawDocument) -> Result<Vec<u8>, Fault> {
    let mut out = Vec::with_capacity(16 * sort.paths.len());
    for (path, (_, descending)) in sort.paths.iter().zip(&sort.fields) {
        match reach(doc, path, 0)? {
            Reached::Missing => key::encode_missing(&mut out, *descending),
            Reached::Value(field) => {
                key::encode_under(&mut out, field.value()?, *descending, sort.collation())
            }
            Reached::Array(..) => {
                let mut best: Option<Vec<u8>> = None;
                each(sort, doc, &mut |tuple| {
                    if best.as_ref().is_none_or(|best| tuple < *best) {
                        best = Some(tuple);
                    }
                })?;
                return best.ok_or_else(|| Fault::internal("a document without sort key"));
            }
        }
    }
    Ok(out)
}

/// Looks up a path up to the first array that stands for its elements.
fn reach<'a>(doc: &'a RawDocument, path: &Path, from: usize) -> Result<Reached<'a>, Fault> {
    let (mut doc, mut at) = (doc, from);
    loop {
        let Some(mut field) = find(doc, path.part(at).unwrap_or_default())? else {
            return Ok(Reached::Missing);
        };
        at += 1;
        // An index in the path picks one element.
        while let Some(array) = field.array()? {
            let element = match path.index(at) {
                Some(index) => fields(array).nth(index as usize).transpose()?,
                None => None,
            };
            let Some(element) = element else { return Ok(Reached::Array(array, at)) };
            field = element;
            at += 1;
        }
        if at >= path.len() {
            return Ok(Reached::Value(field));
        }
        match field.document()? {
            Some(inner) => doc = inner,
            None => return Ok(Reached::Missing),
        }
    }
}

/// Calls `take` with every tuple of the document.
pub(super) fn each(sort: &Sort, doc: &RawDocument, take: &mut dyn FnMut(Vec<u8>)) -> Result<(), Fault> {
    expand(sort, doc, vec![Slot::Open(0); sort.paths.len()], take)
}

/// Fills the open slots from `doc`, and gives each tuple to `take`.
fn expand<'a>(
    sort: &Sort,
    doc: &'a RawDocument,
    mut slots: Vec<Slot<'a>>,
    take: &mut dyn FnMut(Vec<u8>),
) -> Result<(), Fault> {
    let mut array: Option<&'a RawDocument> = None;
    let mut waiting = Vec::new();
    for (at, slot) in slots.iter_mut().enumerate() {
        let Slot::Open(from) = *slot else { continue };
        match reach(doc, &sort.paths[at], from)? {
            Reached::Missing => *slot = Slot::Missing,
            Reached::Value(field) => *slot = Slot::Value(field),
            Reached::Array(found, rest) => {
                if !std::ptr::eq(array.get_or_insert(found).as_bytes(), found.as_bytes()) {
                    return Err(Fault::bad_value("cannot sort with keys that are parallel arrays"));
                }
                waiting.push((at, rest));
            }
        }
    }
    let Some(array) = array else {
        take(encode(sort, &slots)?);
        return Ok(());
    };
    let ends = |at: usize, rest: usize| rest >= sort.paths[at].len();
    let mut any = false;
    for element in fields(array) {
        any = true;
        let element = element?;
        let inner = element.document()?;
        let mut slots = slots.clone();
        for (at, rest) in &waiting {
            slots[*at] = match inner {
                _ if ends(*at, *rest) => Slot::Value(element),
                Some(_) => Slot::Open(*rest),
                None => Slot::Missing,
            };
        }
        match inner {
            Some(inner) => expand(sort, inner, slots, take)?,
            None => take(encode(sort, &slots)?),
        }
    }
    if !any {
        for (at, rest) in &waiting {
            slots[*at] = if ends(*at, *rest) { Slot::Empty } else { Slot::Missing };
        }
        take(encode(sort, &slots)?);
    }
    Ok(())
}

fn encode(sort: &Sort, slots: &[Slot<'_>]) -> Result<Vec<u8>, Fault> {
    let mut out = Vec::with_capacity(16 * slots.len());
    for (slot, (_, descending)) in slots.iter().zip(&sort.fields) {
        match slot {
            Slot::Value(field) => key::encode_under(&mut out, field.value()?, *descending, sort.collation()),
            // An empty array sorts as undefined does, below null.
            Slot::Empty => key::encode(&mut out, RawBsonRef::Undefined, *descending),
            Slot::Missing | Slot::Open(_) => key::encode_missing(&mut out, *descending),
        }
    }
    Ok(out)
}
