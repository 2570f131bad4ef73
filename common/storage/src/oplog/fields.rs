//! Entries as they are read again: what one says about a record, in one pass over its fields.

use crate::Error;
use crate::batch::document_id;
use crate::capped;
use crate::collection::{Collection, RecordKey, RecordOrder};
use bson::{RawBsonRef, RawDocument};
use types::{OpTime, Uuid};

/// The fields of an entry, or of one inside an `applyOps`.
#[derive(Debug, Default)]
pub(crate) struct Fields<'a> {
    pub op: &'a str,
    pub uuid: Option<Uuid>,
    pub o: Option<&'a RawDocument>,
    pub o2: Option<&'a RawDocument>,
    /// The number of a record that is kept by number.
    pub number: Option<i64>,
}

impl<'a> Fields<'a> {
    pub(crate) fn bad(at: OpTime, what: &str) -> Error {
        Error::Damaged(format!("oplog entry at {at}: {what}"))
    }

    pub(crate) fn of(entry: &'a RawDocument, at: OpTime) -> Result<Fields<'a>, Error> {
        let mut fields = Fields::default();
        for element in entry.iter_elements() {
            let element = element.map_err(|error| Fields::bad(at, &error.to_string()))?;
            // Everything else, the time at the end above all, is of no interest.
            let value = match element.key().as_str() {
                "op" | "ui" | "o" | "o2" | "rid" => {
                    element.value().map_err(|error| Fields::bad(at, &error.to_string()))?
                }
                _ => continue,
            };
            match (element.key().as_str(), value) {
                ("op", RawBsonRef::String(op)) => fields.op = op,
                ("ui", value) => fields.uuid = Uuid::from_bson(value),
                ("o", RawBsonRef::Document(o)) => fields.o = Some(o),
                ("o2", RawBsonRef::Document(o2)) => fields.o2 = Some(o2),
                ("rid", RawBsonRef::Int64(number)) => fields.number = Some(number),
                _ => {}
            }
        }
        Ok(fields)
    }

    /// The key of the record that an insert, update or deletion is about.
    pub(crate) fn record_key(&self, collection: &Collection, at: OpTime) -> Result<RecordKey, Error> {
        let missing = |what: &'static str| move || Fields::bad(at, what);
        match collection.order {
            RecordOrder::Id => {
                let named = if self.op == "u" { self.o2 } else { self.o };
                Ok(collection.record_key(document_id(named.ok_or_else(missing("o2"))?)?))
            }
            RecordOrder::Number => {
                let number = self.number.and_then(|number| u64::try_from(number).ok());
                Ok(capped::record_key(number.ok_or_else(missing("rid"))?))
            }
            RecordOrder::Log => Err(Fields::bad(at, "a write to the log itself")),
        }
    }
}
