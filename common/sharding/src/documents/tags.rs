//! `config.tags`: `{_id, ns, min, max, tag}`, one range of a zone each.

use super::fields::{Fields, document, object_id, text};
use crate::{Error, ShardKey, Zone};
use bson::oid::ObjectId;
use bson::{Document, doc};
use types::Namespace;

/// A zone range as stored: the borders are not yet held against a shard key, for ranges may be set before the collection is
/// sharded.
#[derive(Debug, Clone, PartialEq)]
pub struct TagEntry {
    pub id: Option<ObjectId>,
    pub ns: Namespace,
    pub zone: String,
    pub min: Document,
    pub max: Document,
}

impl TagEntry {
    /// Reads a document of `config.tags`. The `_id` may have the older form `{ns, min}`.
    ///
    /// # Errors
    /// [`Error::BadDocument`].
    pub fn from_document(entry: &Document) -> Result<TagEntry, Error> {
        let fields = Fields { collection: "tags", document: entry };
        Ok(TagEntry {
            id: entry.get("_id").and_then(object_id),
            ns: Namespace::parse(fields.required("ns", text)?)?,
            zone: fields.required("tag", text)?.to_owned(),
            min: fields.required("min", document)?.clone(),
            max: fields.required("max", document)?.clone(),
        })
    }

    /// As a document of `config.tags`.
    pub fn to_document(&self) -> Document {
        let mut entry = match self.id {
            Some(id) => doc! {"_id": id},
            None => doc! {"_id": {"ns": self.ns.as_str(), "min": self.min.clone()}},
        };
        entry.insert("ns", self.ns.as_str());
        entry.insert("min", self.min.clone());
        entry.insert("max", self.max.clone());
        entry.insert("tag", &self.zone);
        entry
    }

    /// The zone range under a shard key.
    ///
    /// # Errors
    /// [`Error::BadBound`] if the borders do not fit the key.
    pub fn zone(&self, key: &ShardKey) -> Result<Zone, Error> {
        Zone::new(self.ns.clone(), &self.zone, key, &self.min, &self.max)
    }
}
