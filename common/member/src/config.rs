//! Options that members of replica sets share.

use bson::{Document, doc};
use clap::Args;
use runtime::config::Common;
use std::path::PathBuf;

/// Flags of a member of a replica set.
#[derive(Debug, Clone, Args)]
pub struct MemberConfig {
    /// Name of the replica set that this server belongs to
    #[arg(long = "replSet", value_name = "NAME")]
    pub repl_set: String,
    /// Directory of the data
    #[arg(long, value_name = "DIR", default_value = "/data/db")]
    pub dbpath: PathBuf,
    /// The log of operations is kept up to this size
    #[arg(long = "oplogSize", value_name = "MB", default_value_t = 1024)]
    pub oplog_size_mb: u64,
    /// Cache of the storage engine
    #[arg(long = "cacheSizeMB", value_name = "MB", default_value_t = 256)]
    pub cache_size_mb: usize,
    /// Recent versions of records kept in memory
    #[arg(long = "versionsMB", value_name = "MB", default_value_t = 512)]
    pub versions_mb: usize,
    /// Host name by which others reach this server, instead of its first bind address
    #[arg(long = "advertise", value_name = "HOST")]
    pub advertise: Option<String>,
    #[command(flatten)]
    pub common: Common,
}

impl MemberConfig {
    /// `host:port` by which others reach this member.
    pub fn host(&self, port: u16) -> String {
        let host = self.advertise.clone().unwrap_or_else(|| self.common.advertised_host());
        format!("{host}:{port}")
    }

    /// Where to listen.
    pub fn listen(&self, port: u16) -> frontend::Options {
        frontend::Options {
            bind: self.common.hosts(),
            port,
            ipv6: false,
            connections_max: Some(self.common.max_connections),
        }
    }

    /// The options in the shape of the configuration file, for getCmdLineOpts.
    pub fn parsed(&self, port: u16, role: &str) -> Document {
        doc! {
            "net": { "bindIp": self.common.hosts().join(","), "port": i32::from(port) },
            "replication": { "replSetName": &self.repl_set, "oplogSizeMB": i64::try_from(self.oplog_size_mb).unwrap_or(i64::MAX) },
            "sharding": { "clusterRole": role },
            "storage": { "dbPath": self.dbpath.display().to_string() },
        }
    }
}
