//! The small parser under every typed request: walks a body once, knows the generic fields, and complains as MongoDB does.
//! A field of type null or undefined counts as absent, as it does there.

mod body;
mod field;
#[cfg(test)]
pub(crate) mod testing;

pub(crate) use body::{Body, batch, write_options};
pub(crate) use field::{Field, Stop, each, missing, unknown, wrong_type};
pub(crate) use value::element::type_name;

use value::SharedDoc;

/// `{}` without an allocation.
pub(crate) fn empty_doc() -> SharedDoc {
    match SharedDoc::new(bytes::Bytes::from_static(b"\x05\0\0\0\0")) {
        Ok(doc) => doc,
        Err(_) => bson::RawDocumentBuf::new().into(),
    }
}
