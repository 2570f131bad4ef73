//! Typed access to the fields of a config document, with errors that name collection and field.

use crate::Error;
use bson::oid::ObjectId;
use bson::{Bson, Document};
use types::{Timestamp, Uuid};
use value::number::Number;

/// A document of one config collection.
pub(super) struct Fields<'a> {
    pub(super) collection: &'static str,
    pub(super) document: &'a Document,
}

impl<'a> Fields<'a> {
    pub(super) fn bad(&self, reason: impl std::fmt::Display) -> Error {
        let id = self.document.get("_id").map_or_else(String::new, |id| format!(" of {id}"));
        Error::BadDocument { collection: self.collection, reason: format!("{reason}{id}") }
    }

    /// The field if it is there and not null.
    pub(super) fn optional<T>(
        &self,
        name: &str,
        read: impl FnOnce(&'a Bson) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        match self.document.get(name) {
            None | Some(Bson::Null | Bson::Undefined) => Ok(None),
            Some(value) => {
                let read = read(value);
                read.map(Some).ok_or_else(|| self.bad(format!("field '{name}' has a wrong type or value")))
            }
        }
    }

    pub(super) fn required<T>(
        &self,
        name: &str,
        read: impl FnOnce(&'a Bson) -> Option<T>,
    ) -> Result<T, Error> {
        self.optional(name, read)?.ok_or_else(|| self.bad(format!("field '{name}' is missing")))
    }

    pub(super) fn flag(&self, name: &str, default: bool) -> Result<bool, Error> {
        Ok(self.optional(name, flag)?.unwrap_or(default))
    }
}

pub(super) fn text(value: &Bson) -> Option<&str> {
    value.as_str()
}

pub(super) fn document(value: &Bson) -> Option<&Document> {
    value.as_document()
}

pub(super) fn object_id(value: &Bson) -> Option<ObjectId> {
    value.as_object_id()
}

pub(super) fn timestamp(value: &Bson) -> Option<Timestamp> {
    value.as_timestamp().map(Timestamp::from)
}

pub(super) fn uuid(value: &Bson) -> Option<Uuid> {
    match value {
        Bson::Binary(binary) => Uuid::from_bson(bson::RawBsonRef::Binary(bson::RawBinaryRef {
            subtype: binary.subtype,
            bytes: &binary.bytes,
        })),
        _ => None,
    }
}

/// Users write settings by hand, so 1 and 1.0 count as true.
pub(super) fn flag(value: &Bson) -> Option<bool> {
    match value {
        Bson::Boolean(flag) => Some(*flag),
        other => Number::from_bson(other).map(|number| !number.is_zero()),
    }
}

pub(super) fn integer(value: &Bson) -> Option<i64> {
    Number::from_bson(value)?.to_i64_exact()
}

pub(super) fn array(value: &Bson) -> Option<&Vec<Bson>> {
    value.as_array()
}
