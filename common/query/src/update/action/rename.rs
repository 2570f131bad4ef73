//! `$rename`: the value at one path goes to another. Neither path may lead through an array.

use super::{Surroundings, show_id};
use crate::raw::{Field, find};
use bson::RawDocument;
use types::Fault;

/// The value that moves; `None` where there is none, and then nothing happens.
pub(super) fn source<'a>(around: &Surroundings<'a>, from: &str) -> Result<Option<Field<'a>>, Fault> {
    walk(around.root, from, "source")
}

/// Refuses a target inside of an array, where something is to move at all.
pub(super) fn check_target(around: &Surroundings<'_>, to: &str, moves: bool) -> Result<(), Fault> {
    if moves {
        walk(around.root, to, "destination")?;
    }
    Ok(())
}

fn walk<'a>(root: &'a RawDocument, path: &str, which: &str) -> Result<Option<Field<'a>>, Fault> {
    let mut doc = root;
    let mut parts = path.split('.').peekable();
    while let Some(part) = parts.next() {
        let Some(field) = find(doc, part)? else { return Ok(None) };
        if parts.peek().is_none() {
            return Ok(Some(field));
        }
        if field.array()?.is_some() {
            return Err(Fault::bad_value(format!(
                "The {which} field cannot be an array element, '{path}' in doc with {} has an array field called '{part}'",
                show_id(root)
            )));
        }
        match field.document()? {
            Some(inner) => doc = inner,
            None => return Ok(None),
        }
    }
    Ok(None)
}
