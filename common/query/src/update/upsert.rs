//! What a filter says about the document that an upsert makes.

use super::path::check_depth;
use super::tree::compare_names;
use crate::matcher::Matcher;
use crate::raw::Writer;
use bson::{RawBson, RawDocumentBuf};
use types::{Code, Fault};

/// `NotExactValueField` of MongoDB.
const NOT_EXACT_VALUE_FIELD: Code = Code::Location(111);

/// A document of the filter's equalities.
///
/// # Errors
/// `NotSingleValueField` (54) where one path comes twice, or one leads through another.
pub(super) fn base(matcher: &Matcher) -> Result<RawDocumentBuf, Fault> {
    let equalities = matcher.equalities();
    let mut root = Level::default();
    for (path, value) in &equalities {
        root.insert(path, value)?;
    }
    let mut writer = Writer::new();
    root.write(&mut writer);
    writer.finish()
}

/// A document of the filter's `_id` alone: all that a replacement takes from it.
///
/// # Errors
/// `NotSingleValueField` (54), or 111 where the filter only knows a part of `_id`.
pub(super) fn id_of(matcher: &Matcher) -> Result<RawDocumentBuf, Fault> {
    let equalities = matcher.equalities();
    let mut root = Level::default();
    for (path, value) in &equalities {
        if path.starts_with("_id.") {
            return Err(Fault::new(
                NOT_EXACT_VALUE_FIELD,
                format!("field at '_id' must be exactly specified, field at sub-path '{path}'found"),
            ));
        }
        if path == "_id" {
            root.insert(path, value)?;
        }
    }
    let mut writer = Writer::new();
    root.write(&mut writer);
    writer.finish()
}

/// Fields of one level; in the order of the filter, like MongoDB.
#[derive(Default)]
struct Level<'a> {
    fields: Vec<(&'a str, Place<'a>)>,
}

enum Place<'a> {
    Value(&'a RawBson),
    Inside(Level<'a>),
}

impl<'a> Level<'a> {
    fn insert(&mut self, path: &'a str, value: &'a RawBson) -> Result<(), Fault> {
        check_depth(path)?;
        let mut level = self;
        let mut rest = path;
        loop {
            let (name, below) = match rest.split_once('.') {
                Some((name, below)) => (name, Some(below)),
                None => (rest, None),
            };
            let at = level.fields.iter().position(|(other, _)| compare_names(other, name).is_eq());
            match (at, below) {
                (None, None) => {
                    level.fields.push((name, Place::Value(value)));
                    return Ok(());
                }
                (Some(_), None) => return Err(twice(path)),
                (at, Some(below)) => {
                    let at = at.unwrap_or_else(|| {
                        level.fields.push((name, Place::Inside(Level::default())));
                        level.fields.len() - 1
                    });
                    match &mut level.fields[at].1 {
                        Place::Value(_) => return Err(twice(path)),
                        Place::Inside(inside) => {
                            level = inside;
                            rest = below;
                        }
                    }
                }
            }
        }
    }

    fn write(&self, writer: &mut Writer) {
        for (name, place) in &self.fields {
            match place {
                Place::Value(value) => writer.append(name, value.as_raw_bson_ref()),
                Place::Inside(level) => {
                    writer.begin_document(name);
                    level.write(writer);
                    writer.end();
                }
            }
        }
    }
}

fn twice(path: &str) -> Fault {
    Fault::new(
        Code::NotSingleValueField,
        format!("cannot infer query fields to set, path '{path}' is matched twice"),
    )
}
