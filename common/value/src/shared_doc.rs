//! A BSON document that shares its bytes with the message it arrived in.

use bson::{RawDocument, RawDocumentBuf};
use bytes::Bytes;
use std::ops::Deref;

/// A document as a slice of a shared buffer: cheap to clone, never decoded as a whole.
/// Holds only bytes that [`RawDocument::from_bytes`] accepted; deep validity is what [`crate::validate`] checks at the door.
#[derive(Clone, PartialEq)]
pub struct SharedDoc(Bytes);

impl SharedDoc {
    /// Takes the bytes of one whole document.
    ///
    /// # Errors
    /// If length prefix or terminator do not fit the bytes.
    pub fn new(bytes: Bytes) -> Result<SharedDoc, bson::error::Error> {
        RawDocument::from_bytes(&bytes)?;
        Ok(SharedDoc(bytes))
    }

    /// The shared bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// The document by itself, in a buffer of its own.
    pub fn to_buf(&self) -> RawDocumentBuf {
        self.deref().to_owned()
    }

    /// A nested document of this one as a share of the same bytes. `part` must borrow from `self`.
    pub fn share(&self, part: &RawDocument) -> SharedDoc {
        SharedDoc(self.0.slice_ref(part.as_bytes()))
    }
}

impl Deref for SharedDoc {
    type Target = RawDocument;

    fn deref(&self) -> &RawDocument {
        // The bytes were checked when they came in, and they cannot change.
        RawDocument::from_bytes(&self.0).unwrap_or_else(|_| unreachable!("checked in SharedDoc::new"))
    }
}

impl From<RawDocumentBuf> for SharedDoc {
    fn from(doc: RawDocumentBuf) -> SharedDoc {
        SharedDoc(Bytes::from(doc.into_bytes()))
    }
}

impl std::fmt::Debug for SharedDoc {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.deref().fmt(out)
    }
}
