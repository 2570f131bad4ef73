//! `config.shards`: `{_id, host: "set/host:port,…", state: 1, topologyTime, replSetConfigVersion, tags?, draining?}`.

use super::fields::{Fields, array, integer, text, timestamp};
use crate::Error;
use bson::{Bson, Document, doc};
use types::{ShardId, Timestamp};

/// The only state that a shard is stored with: aware of sharding.
const STATE_AWARE: i32 = 1;

/// A shard.
#[derive(Debug, Clone, PartialEq)]
pub struct ShardEntry {
    pub id: ShardId,
    /// `setName/host:port,host:port`.
    pub host: String,
    /// When the list of shards last changed by this one.
    pub topology_time: Timestamp,
    /// The version of the replica set's config that `host` was read from.
    pub set_config_version: Option<i64>,
    /// The zones that it belongs to.
    pub zones: Vec<String>,
    /// It is being emptied to be removed.
    pub draining: bool,
}

impl ShardEntry {
    /// Reads a document of `config.shards`.
    ///
    /// # Errors
    /// [`Error::BadDocument`].
    pub fn from_document(entry: &Document) -> Result<ShardEntry, Error> {
        let fields = Fields { collection: "shards", document: entry };
        let zones = fields.optional("tags", array)?.into_iter().flatten();
        let zones = zones.map(|zone| zone.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>();
        Ok(ShardEntry {
            id: ShardId::new(fields.required("_id", text)?),
            host: fields.required("host", text)?.to_owned(),
            topology_time: fields.optional("topologyTime", timestamp)?.unwrap_or(Timestamp::ZERO),
            set_config_version: fields.optional("replSetConfigVersion", integer)?,
            zones: zones.ok_or_else(|| fields.bad("field 'tags' must hold strings"))?,
            draining: fields.flag("draining", false)?,
        })
    }

    /// As a document of `config.shards`.
    pub fn to_document(&self) -> Document {
        let mut entry = doc! {
            "_id": self.id.as_str(),
            "host": &self.host,
            "state": STATE_AWARE,
            "topologyTime": bson::Timestamp::from(self.topology_time),
        };
        if let Some(version) = self.set_config_version {
            entry.insert("replSetConfigVersion", Bson::Int64(version));
        }
        if !self.zones.is_empty() {
            entry.insert("tags", &self.zones);
        }
        if self.draining {
            entry.insert("draining", true);
        }
        entry
    }

    /// The name of the replica set, and its members as `host:port`.
    pub fn members(&self) -> (Option<&str>, Vec<&str>) {
        let (set, hosts) = match self.host.split_once('/') {
            Some((set, hosts)) => (Some(set), hosts),
            None => (None, self.host.as_str()),
        };
        (set, hosts.split(',').filter(|host| !host.is_empty()).collect())
    }
}
