//! The collections of the `config` database that this server keeps, and their indexes.

use bson::{RawDocumentBuf, rawdoc};
use types::{Fault, Namespace};

/// One collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    ActionLog,
    ChangeLog,
    Chunks,
    Collections,
    Databases,
    /// What is being dropped right now, to be finished by whoever is primary next.
    Intents,
    Routers,
    Settings,
    Shards,
    Tags,
    Version,
}

/// Orders the chunks of one collection.
pub(super) const CHUNKS_BY_MIN: &str = "uuid_1_min_1";
/// Orders the zones of one collection.
pub(super) const TAGS_BY_MIN: &str = "ns_1_min_1";

impl Table {
    /// All of them.
    pub const ALL: [Table; 11] = [
        Table::ActionLog,
        Table::ChangeLog,
        Table::Chunks,
        Table::Collections,
        Table::Databases,
        Table::Intents,
        Table::Routers,
        Table::Settings,
        Table::Shards,
        Table::Tags,
        Table::Version,
    ];

    /// The name within `config`.
    pub fn name(self) -> &'static str {
        match self {
            Table::ActionLog => "actionlog",
            Table::ChangeLog => "changelog",
            Table::Chunks => "chunks",
            Table::Collections => "collections",
            Table::Databases => "databases",
            Table::Intents => "system.sharding_ddl_coordinators",
            Table::Routers => "mongos",
            Table::Settings => "settings",
            Table::Shards => "shards",
            Table::Tags => "tags",
            Table::Version => "version",
        }
    }

    /// `config.name`.
    ///
    /// # Errors
    /// None for these names.
    pub fn namespace(self) -> Result<Namespace, Fault> {
        Namespace::new("config", self.name())
    }

    /// The indexes besides the one on `_id`.
    pub(super) fn indexes(self) -> Vec<RawDocumentBuf> {
        match self {
            Table::Chunks => vec![
                rawdoc! { "v": 2, "key": {"uuid": 1, "min": 1}, "name": CHUNKS_BY_MIN, "unique": true },
                rawdoc! { "v": 2, "key": {"uuid": 1, "shard": 1, "min": 1}, "name": "uuid_1_shard_1_min_1", "unique": true },
                rawdoc! { "v": 2, "key": {"uuid": 1, "lastmod": 1}, "name": "uuid_1_lastmod_1", "unique": true },
            ],
            Table::Shards => vec![rawdoc! { "v": 2, "key": {"host": 1}, "name": "host_1", "unique": true }],
            Table::Tags => vec![
                rawdoc! { "v": 2, "key": {"ns": 1, "min": 1}, "name": TAGS_BY_MIN, "unique": true },
                rawdoc! { "v": 2, "key": {"ns": 1, "tag": 1}, "name": "ns_1_tag_1" },
            ],
            _ => Vec::new(),
        }
    }
}
