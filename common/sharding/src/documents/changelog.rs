//! `config.changelog` and `config.actionlog`: what happened to the metadata, for people and for `sh.status()`.

use bson::oid::ObjectId;
use bson::{Document, doc};

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// `host:port` of the member that writes it.
    pub server: String,
    /// The shard that it concerns as seen by the writer; `config` for the config server.
    pub shard: String,
    /// The address of the client that asked; empty if the server acted by itself.
    pub client_address: String,
    pub time: bson::DateTime,
    /// Such as `split`, `moveChunk.from`, `shardCollection.start`, `balancer.round`.
    pub what: String,
    /// The namespace, or empty.
    pub ns: String,
    pub details: Document,
}

impl Event {
    /// As a document of either log. `unique` keeps events of one server and second apart.
    pub fn to_document(&self, unique: ObjectId) -> Document {
        let time =
            self.time.try_to_rfc3339_string().unwrap_or_else(|_| self.time.timestamp_millis().to_string());
        doc! {
            "_id": format!("{}-{time}-{unique}", self.server),
            "server": &self.server,
            "shard": &self.shard,
            "clientAddr": &self.client_address,
            "time": self.time,
            "what": &self.what,
            "ns": &self.ns,
            "details": self.details.clone(),
        }
    }
}
