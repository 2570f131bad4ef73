//! `config.databases`: `{_id, primary, version: {uuid, timestamp, lastMod}}`.

use super::fields::{Fields, document, integer, text, timestamp, uuid};
use crate::{DatabaseRouting, Error};
use bson::{Document, doc};
use types::{DatabaseVersion, ShardId};

/// A database and its home shard.
pub type DatabaseEntry = DatabaseRouting;

impl DatabaseRouting {
    /// Reads a document of `config.databases`.
    ///
    /// # Errors
    /// [`Error::BadDocument`].
    pub fn from_document(entry: &Document) -> Result<DatabaseRouting, Error> {
        let fields = Fields { collection: "databases", document: entry };
        let version = Fields { collection: "databases", document: fields.required("version", document)? };
        Ok(DatabaseRouting {
            name: fields.required("_id", text)?.to_owned(),
            primary: ShardId::new(fields.required("primary", text)?),
            version: DatabaseVersion {
                uuid: version.required("uuid", uuid)?,
                timestamp: version.required("timestamp", timestamp)?,
                last_mod: version.required("lastMod", |value| {
                    integer(value).and_then(|value| i32::try_from(value).ok())
                })?,
            },
        })
    }

    /// As a document of `config.databases`.
    pub fn to_document(&self) -> Document {
        doc! {
            "_id": &self.name,
            "primary": self.primary.as_str(),
            "version": {
                "uuid": self.version.uuid.to_bson(),
                "timestamp": bson::Timestamp::from(self.version.timestamp),
                "lastMod": self.version.last_mod,
            },
        }
    }
}
