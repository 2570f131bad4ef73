//! The values that a dotted path reaches in a document, as matching sees them.
//! Arrays on the way are entered, element by element and by explicit index; at the end the elements come before the
//! array itself. An object in which the path ends early yields one missing value; an array without objects yields none.
//! Values are handed out undecoded, which is why this is not [`value::path::visit`].

use crate::raw::{Field, fields, find};
use bson::RawDocument;
use std::ops::ControlFlow;
use types::Fault;
use value::path::Path;

/// What the visitor answers: go on, or enough.
pub(super) type Flow = Result<ControlFlow<()>, Fault>;

/// Calls `visit` with each value that `path` reaches (`None`: missing) and the index in the outermost array that was
/// entered implicitly. `elements`: whether the elements of an array at the end are visited before the array.
pub(super) fn walk<'a, V>(
    doc: &'a RawDocument,
    path: &Path,
    elements: bool,
    visit: &mut V,
) -> Result<(), Fault>
where
    V: FnMut(Option<&Field<'a>>, Option<usize>) -> Flow,
{
    Walk { path, elements, visit }.document(doc, 0, None).map(|_| ())
}

struct Walk<'v, V> {
    path: &'v Path,
    elements: bool,
    visit: &'v mut V,
}

impl<'a, V> Walk<'_, V>
where
    V: FnMut(Option<&Field<'a>>, Option<usize>) -> Flow,
{
    /// `at`: the part of the path that is looked up in `doc`.
    fn document(&mut self, doc: &'a RawDocument, at: usize, outer: Option<usize>) -> Flow {
        let found = match self.path.part(at) {
            Some(name) => find(doc, name)?,
            None => None,
        };
        let Some(field) = found else { return (self.visit)(None, outer) };
        if at + 1 == self.path.len() {
            return self.leaf(&field, outer);
        }
        if let Some(inner) = field.document()? {
            self.document(inner, at + 1, outer)
        } else if let Some(array) = field.array()? {
            self.array(array, at + 1, outer)
        } else {
            (self.visit)(None, outer)
        }
    }

    fn leaf(&mut self, field: &Field<'a>, outer: Option<usize>) -> Flow {
        if self.elements
            && let Some(array) = field.array()?
        {
            for (index, element) in fields(array).enumerate() {
                if (self.visit)(Some(&element?), outer.or(Some(index)))?.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        (self.visit)(Some(field), outer)
    }

    fn array(&mut self, array: &'a RawDocument, at: usize, outer: Option<usize>) -> Flow {
        let named = self.path.index(at).map(|index| index as usize);
        for (index, element) in fields(array).enumerate() {
            let element = element?;
            if let Some(inner) = element.document()?
                && self.document(inner, at, outer.or(Some(index)))?.is_break()
            {
                return Ok(ControlFlow::Break(()));
            }
            if named == Some(index) && self.named_element(&element, at + 1, outer)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// An element that the path names by its index. It is no position: the filter says itself which element it is.
    fn named_element(&mut self, element: &Field<'a>, at: usize, outer: Option<usize>) -> Flow {
        if at == self.path.len() {
            // An array named so is not entered once more.
            (self.visit)(Some(element), outer)
        } else if let Some(inner) = element.document()? {
            self.document(inner, at, outer)
        } else if let Some(inner) = element.array()? {
            self.array(inner, at, outer)
        } else {
            Ok(ControlFlow::Continue(()))
        }
    }
}
