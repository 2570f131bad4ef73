//! `config.version`: `{_id: 1, clusterId}`, and `config.mongos`: one document for each router that pings.

use super::fields::{Fields, array, integer, object_id, text};
use crate::Error;
use bson::oid::ObjectId;
use bson::{Document, doc};

/// The identity of the cluster; its presence says that sharding is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClusterVersion {
    pub cluster_id: ObjectId,
}

impl ClusterVersion {
    /// Reads the document of `config.version`.
    ///
    /// # Errors
    /// [`Error::BadDocument`].
    pub fn from_document(entry: &Document) -> Result<ClusterVersion, Error> {
        let fields = Fields { collection: "version", document: entry };
        Ok(ClusterVersion { cluster_id: fields.required("clusterId", object_id)? })
    }

    /// As the document of `config.version`.
    pub fn to_document(&self) -> Document {
        doc! {"_id": 1, "clusterId": self.cluster_id}
    }
}

/// A router that pings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouterEntry {
    /// `host:port`.
    pub id: String,
    pub ping: bson::DateTime,
    pub up_seconds: i64,
    pub version: String,
    pub created: bson::DateTime,
    pub host_names: Vec<String>,
}

impl RouterEntry {
    /// Reads a document of `config.mongos`.
    ///
    /// # Errors
    /// [`Error::BadDocument`].
    pub fn from_document(entry: &Document) -> Result<RouterEntry, Error> {
        let fields = Fields { collection: "mongos", document: entry };
        let ping = fields.required("ping", |value| value.as_datetime().copied())?;
        let names = fields.optional("advisoryHostFQDNs", array)?.into_iter().flatten();
        Ok(RouterEntry {
            id: fields.required("_id", text)?.to_owned(),
            ping,
            up_seconds: fields.optional("up", integer)?.unwrap_or(0),
            version: fields.optional("mongoVersion", text)?.unwrap_or("").to_owned(),
            created: fields.optional("created", |value| value.as_datetime().copied())?.unwrap_or(ping),
            host_names: names.filter_map(|name| name.as_str().map(str::to_owned)).collect(),
        })
    }

    /// As a document of `config.mongos`.
    pub fn to_document(&self) -> Document {
        doc! {
            "_id": &self.id,
            "ping": self.ping,
            "up": self.up_seconds,
            "waiting": true,
            "mongoVersion": &self.version,
            "created": self.created,
            "advisoryHostFQDNs": &self.host_names,
        }
    }
}
