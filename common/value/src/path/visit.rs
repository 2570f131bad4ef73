//! Paths as queries read them: an array on the way stands for each of its documents, and a number also for the element there.

use super::Path;
use crate::element;
use bson::{RawArray, RawBsonRef, RawDocument};
use std::ops::ControlFlow;
use types::Fault;

/// How an end value was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Leaf {
    /// The index in the outermost array on the way, which positional `$` refers to.
    pub array_index: Option<usize>,
    /// Whether an array stood for its documents on the way, as opposed to being indexed by number.
    pub through_array: bool,
}

type Visitor<'f, 'a> = &'f mut dyn FnMut(Option<RawBsonRef<'a>>, Leaf) -> ControlFlow<()>;

/// Calls `f` with each end value of the path, `None` where it is missing, until `f` breaks. A trailing array is given as
/// itself; whether its elements count as well is the caller's rule. An array on the way without any document (`{a: [1]}` and
/// `a.b`) yields nothing at all, not even a missing value.
///
/// # Errors
/// `InvalidBSON` for a string on the path that is not UTF-8, or broken bytes.
pub fn visit<'a>(
    doc: &'a RawDocument,
    path: &Path,
    f: &mut dyn FnMut(Option<RawBsonRef<'a>>, Leaf) -> ControlFlow<()>,
) -> Result<(), Fault> {
    in_document(doc, path, 0, Leaf::default(), f).map(|_| ())
}

fn in_document<'a>(
    doc: &'a RawDocument,
    path: &Path,
    at: usize,
    leaf: Leaf,
    f: Visitor<'_, 'a>,
) -> Result<ControlFlow<()>, Fault> {
    let value = match path.part(at) {
        Some(name) => element::find(doc, name)?,
        None => None,
    };
    match value {
        Some(value) => at_value(value, path, at + 1, leaf, f),
        None => Ok(f(None, leaf)),
    }
}

/// `value` was found for the parts before `at`.
fn at_value<'a>(
    value: RawBsonRef<'a>,
    path: &Path,
    at: usize,
    leaf: Leaf,
    f: Visitor<'_, 'a>,
) -> Result<ControlFlow<()>, Fault> {
    if at == path.len() {
        return Ok(f(Some(value), leaf));
    }
    match value {
        RawBsonRef::Document(doc) => in_document(doc, path, at, leaf, f),
        RawBsonRef::Array(array) => in_array(array, path, at, leaf, f),
        _ => Ok(f(None, leaf)),
    }
}

fn in_array<'a>(
    array: &'a RawArray,
    path: &Path,
    at: usize,
    leaf: Leaf,
    f: Visitor<'_, 'a>,
) -> Result<ControlFlow<()>, Fault> {
    let wanted = path.index(at).map(|index| index as usize);
    for (index, value) in array.into_iter().enumerate() {
        let value = value.map_err(|error| element::fault(&error))?;
        let here = Leaf { array_index: leaf.array_index.or(Some(index)), ..leaf };
        if let RawBsonRef::Document(doc) = value
            && in_document(doc, path, at, Leaf { through_array: true, ..here }, f)?.is_break()
        {
            return Ok(ControlFlow::Break(()));
        }
        if wanted == Some(index) && at_index(value, path, at + 1, here, f)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// `value` was found by number. In an array right below it only a further number is looked up: `a.0.b` does not stand for
/// the documents of a nested array.
fn at_index<'a>(
    value: RawBsonRef<'a>,
    path: &Path,
    at: usize,
    leaf: Leaf,
    f: Visitor<'_, 'a>,
) -> Result<ControlFlow<()>, Fault> {
    match value {
        _ if at == path.len() => Ok(f(Some(value), leaf)),
        RawBsonRef::Document(doc) => in_document(doc, path, at, leaf, f),
        RawBsonRef::Array(array) => {
            let inner = path.index(at).and_then(|index| array.into_iter().nth(index as usize));
            match inner.transpose().map_err(|error| element::fault(&error))? {
                Some(inner) => at_value(inner, path, at + 1, leaf, f),
                None => Ok(f(None, leaf)),
            }
        }
        _ => Ok(ControlFlow::Continue(())),
    }
}
