//! A whole new document in place of the old one, which keeps its `_id`.

use super::Outcome;
use super::path::dollar;
use crate::raw::{Writer, fields, find};
use bson::{RawDocument, RawDocumentBuf};
use types::Fault;

/// Refuses names that only operators have.
pub(super) fn check(replacement: &RawDocument) -> Result<(), Fault> {
    for field in fields(replacement) {
        let field = field?;
        let name = field.name();
        if name.starts_with('$') && !matches!(name, "$id" | "$ref" | "$db") {
            return Err(dollar(name, name));
        }
    }
    Ok(())
}

/// The replacement with the `_id` of the old document where it brings none, `_id` first.
pub(super) fn apply(replacement: &RawDocument, doc: &RawDocument) -> Result<Outcome, Fault> {
    let id = match find(replacement, "_id")? {
        Some(id) => Some(id),
        None => find(doc, "_id")?,
    };
    let mut writer = Writer::with_capacity(replacement.as_bytes().len() + 32);
    if let Some(id) = &id {
        writer.copy(id);
    }
    for field in fields(replacement) {
        let field = field?;
        if field.name() != "_id" {
            writer.copy(&field);
        }
    }
    let new = writer.finish()?;
    let modified = new.as_bytes() != doc.as_bytes();
    Ok(Outcome { doc: new, modified })
}

/// The document with `_id` as its first field, where it has one.
pub(super) fn id_first(doc: RawDocumentBuf) -> Result<RawDocumentBuf, Fault> {
    let first = fields(&doc).next().transpose()?;
    if first.is_none_or(|first| first.name() == "_id") || find(&doc, "_id")?.is_none() {
        return Ok(doc);
    }
    apply(&doc, &RawDocumentBuf::new()).map(|outcome| outcome.doc)
}
