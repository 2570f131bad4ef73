//! `$unwind`: one document per element of an array, made one at a time.

use super::{Exec, Parsing, Stage};
use crate::context::invalid_bson;
use crate::expr::FieldPath;
use crate::raw::{self, Writer};
use bson::spec::ElementType;
use bson::{RawBson, RawBsonRef, RawDocument, RawDocumentBuf};
use std::sync::Arc;
use types::{Code, Fault};

#[derive(Debug, Clone)]
pub(in crate::pipeline) struct Unwind {
    path: Arc<FieldPath>,
    index: Option<Arc<FieldPath>>,
    preserve: bool,
}

pub(in crate::pipeline) fn parse(
    _: &'static str,
    raw: RawBsonRef<'_>,
    _: &Parsing<'_>,
) -> Result<Stage, Fault> {
    let refuse = |code, message: String| Err(Fault::new(Code::Location(code), message));
    let (mut path, mut index, mut preserve) = (None, None, false);
    match raw {
        RawBsonRef::String(text) => path = Some(text),
        RawBsonRef::Document(document) => {
            for element in document {
                let (name, value) = element.map_err(invalid_bson)?;
                match (name.as_str(), value) {
                    ("path", RawBsonRef::String(text)) => path = Some(text),
                    ("path", other) => {
                        return refuse(
                            28808,
                            format!("expected a string as the path for $unwind stage, got {other:?}"),
                        );
                    }
                    ("preserveNullAndEmptyArrays", RawBsonRef::Boolean(value)) => preserve = value,
                    ("preserveNullAndEmptyArrays", other) => {
                        return refuse(
                            28809,
                            format!(
                                "expected a boolean for the preserveNullAndEmptyArrays option to $unwind stage, got {other:?}"
                            ),
                        );
                    }
                    ("includeArrayIndex", RawBsonRef::String(text)) if !text.is_empty() => {
                        if text.starts_with('$') {
                            return refuse(
                                28822,
                                format!(
                                    "includeArrayIndex option to $unwind stage should not be prefixed with a '$': {text}"
                                ),
                            );
                        }
                        index = Some(Arc::new(FieldPath::parse(text)?));
                    }
                    ("includeArrayIndex", other) => {
                        return refuse(
                            28810,
                            format!(
                                "expected a non-empty string for the includeArrayIndex  option to $unwind stage, got {other:?}"
                            ),
                        );
                    }
                    (other, _) => {
                        return refuse(28811, format!("unrecognized option to $unwind stage: {other}"));
                    }
                }
            }
        }
        other => {
            return refuse(
                15981,
                format!(
                    "expected either a string or an object as specification for $unwind stage, got {other:?}"
                ),
            );
        }
    }
    let Some(path) = path else { return refuse(28812, "no path specified to $unwind stage".into()) };
    let Some(path) = path.strip_prefix('$') else {
        return refuse(28818, format!("path option to $unwind stage should be prefixed with a '$': {path}"));
    };
    Ok(Stage::Unwind(Unwind { path: Arc::new(FieldPath::parse(path)?), index, preserve }))
}

impl Unwind {
    /// The index may be set at a new path.
    pub(super) fn deepens(&self) -> bool {
        self.index.is_some()
    }

    pub(super) fn start(&self) -> impl Exec + use<> {
        Unwinding {
            unwind: self.clone(),
            document: RawDocumentBuf::new(),
            elements: Vec::new().into_iter(),
            next: 0,
            single: None,
        }
    }
}

struct Unwinding {
    unwind: Unwind,
    document: RawDocumentBuf,
    /// What is left of the array of `document`, and the index of its first element.
    elements: std::vec::IntoIter<RawBson>,
    next: i64,
    /// The only result of a document without an array.
    single: Option<RawDocumentBuf>,
}

/// What stands at the path.
enum Target {
    Absent,
    Array(Vec<RawBson>),
    Other,
}

fn target(document: &RawDocument, path: &FieldPath) -> Result<Target, Fault> {
    let Some((last, front)) = path.parts().split_last() else { return Ok(Target::Absent) };
    let mut at = document;
    for part in front {
        match raw::find(at, part)?.map(|field| field.document()).transpose()?.flatten() {
            Some(inner) => at = inner,
            None => return Ok(Target::Absent),
        }
    }
    let Some(field) = raw::find(at, last)? else { return Ok(Target::Absent) };
    if let Some(array) = field.array()? {
        let elements = raw::fields(array).map(|element| Ok(RawBson::from(element?.value()?)));
        return Ok(Target::Array(elements.collect::<Result<_, Fault>>()?));
    }
    Ok(match field.kind() {
        ElementType::Null | ElementType::Undefined => Target::Absent,
        _ => Target::Other,
    })
}

/// Copies `document` with the element in place of the array at the path, or without the array.
fn put(
    out: &mut Writer,
    document: &RawDocument,
    path: &[String],
    element: Option<RawBsonRef<'_>>,
) -> Result<(), Fault> {
    let Some((first, rest)) = path.split_first() else { return Ok(()) };
    for field in raw::fields(document) {
        let field = field?;
        if field.name() != first {
            out.copy(&field);
        } else if rest.is_empty() {
            if let Some(element) = element {
                out.append(first, element);
            }
        } else if let Some(inner) = field.document()? {
            out.begin_document(first);
            put(out, inner, rest, element)?;
            out.end();
        } else {
            out.copy(&field);
        }
    }
    Ok(())
}

/// The document with the index set at its path.
fn with_index(
    document: RawDocumentBuf,
    path: Option<&FieldPath>,
    index: RawBsonRef<'_>,
) -> Result<RawDocumentBuf, Fault> {
    let Some(path) = path else { return Ok(document) };
    let mut out = Writer::with_capacity(document.as_bytes().len() + 16);
    set(&mut out, Some(&document), path.parts(), index)?;
    out.finish()
}

fn set(
    out: &mut Writer,
    document: Option<&RawDocument>,
    path: &[String],
    value: RawBsonRef<'_>,
) -> Result<(), Fault> {
    let Some((first, rest)) = path.split_first() else { return Ok(()) };
    let mut found = false;
    let write = |out: &mut Writer, inner: Option<&RawDocument>| -> Result<(), Fault> {
        if rest.is_empty() {
            out.append(first, value);
            return Ok(());
        }
        out.begin_document(first);
        set(out, inner, rest, value)?;
        out.end();
        Ok(())
    };
    if let Some(document) = document {
        for field in raw::fields(document) {
            let field = field?;
            if field.name() == first && !found {
                found = true;
                write(out, field.document()?)?;
            } else {
                out.copy(&field);
            }
        }
    }
    if found { Ok(()) } else { write(out, None) }
}

impl Exec for Unwinding {
    fn push(&mut self, document: RawDocumentBuf) -> Result<(), Fault> {
        let index = self.unwind.index.as_deref();
        match target(&document, &self.unwind.path)? {
            Target::Absent if !self.unwind.preserve => {}
            Target::Absent | Target::Other => {
                self.single = Some(with_index(document, index, RawBsonRef::Null)?)
            }
            Target::Array(elements) if elements.is_empty() => {
                if self.unwind.preserve {
                    let mut out = Writer::with_capacity(document.as_bytes().len());
                    put(&mut out, &document, self.unwind.path.parts(), None)?;
                    self.single = Some(with_index(out.finish()?, index, RawBsonRef::Null)?);
                }
            }
            Target::Array(elements) => {
                self.document = document;
                self.elements = elements.into_iter();
                self.next = 0;
            }
        }
        Ok(())
    }

    fn next(&mut self) -> Result<Option<RawDocumentBuf>, Fault> {
        let Some(element) = self.elements.next() else { return Ok(self.single.take()) };
        let mut out = Writer::with_capacity(self.document.as_bytes().len());
        put(&mut out, &self.document, self.unwind.path.parts(), Some(element.as_raw_bson_ref()))?;
        let index = self.next;
        self.next += 1;
        with_index(out.finish()?, self.unwind.index.as_deref(), RawBsonRef::Int64(index)).map(Some)
    }
}
