//! Reading the few fields of internal commands.

use bson::{RawBsonRef, RawDocument};
use command::Request;
use types::{Code, Fault, Namespace};

/// The command's first value as a namespace.
pub(super) fn namespace(request: &Request) -> Result<Namespace, Fault> {
    match request.body.iter().next() {
        Some(Ok((_, RawBsonRef::String(ns)))) => Namespace::parse(ns),
        _ => Err(malformed(request, "a namespace")),
    }
}

/// The command's first value as text.
pub(super) fn text(request: &Request) -> Result<&str, Fault> {
    match request.body.iter().next() {
        Some(Ok((_, RawBsonRef::String(text)))) => Ok(text),
        _ => Err(malformed(request, "a string")),
    }
}

/// The command's first value as a document.
pub(super) fn document(request: &Request) -> Result<&RawDocument, Fault> {
    match request.body.iter().next() {
        Some(Ok((_, RawBsonRef::Document(doc)))) => Ok(doc),
        _ => Err(malformed(request, "a document")),
    }
}

/// An internal command that lacks something.
pub(super) fn malformed(request: &Request, what: &str) -> Fault {
    Fault::new(Code::FailedToParse, format!("{} needs {what}", request.name()))
}
