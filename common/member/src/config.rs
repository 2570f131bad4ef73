//! Options that members of replica sets share.

use bson::{Document, doc};
use clap::Args;
use runtime::config::Common;
use std::path::PathBuf;
use std::time::Duration;

/// MongoDB's bounds of the log's size where none is given.
const OPLOG_MB_MIN: u64 = 990;
const OPLOG_MB_MAX: u64 = 50 * 1024;
const OPLOG_PERCENT: u64 = 5;
const HOURS_MAX: f64 = 24.0 * 366.0 * 100.0;

/// Flags of a member of a replica set.
#[derive(Debug, Clone, Args)]
pub struct MemberConfig {
    /// Name of the replica set that this server belongs to
    #[arg(long = "replSet", value_name = "NAME")]
    pub repl_set: String,
    /// Directory of the data
    #[arg(long, value_name = "DIR", default_value = "/data/db")]
    pub dbpath: PathBuf,
    /// Engine that holds what has been checkpointed; a directory stays with the one that made it
    #[arg(long = "storageEngine", value_name = "ENGINE", default_value = "sled", value_parser = ["sled", "fjall"])]
    pub storage_engine: String,
    /// The log of operations is kept up to this size [default: 5 % of the free disk, at least 990 and at most 51200]
    #[arg(long = "oplogSize", value_name = "MB")]
    pub oplog_size_mb: Option<u64>,
    /// What is younger stays in the log of operations beyond its size; 0 is no such bound
    #[arg(long = "oplogMinRetentionHours", value_name = "HOURS", default_value_t = 0.0, value_parser = hours)]
    pub oplog_min_retention_hours: f64,
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

    /// The engine of the base.
    pub fn engine(&self) -> storage::EngineKind {
        match self.storage_engine.as_str() {
            "fjall" => storage::EngineKind::Fjall,
            _ => storage::EngineKind::Sled,
        }
    }

    /// How long entries stay in the log whatever its size.
    pub fn oplog_min_retention(&self) -> Duration {
        Duration::from_secs_f64(self.oplog_min_retention_hours * 3600.0)
    }

    /// The size of the log: as asked for, or a share of what is free where the data is.
    pub fn oplog_size_mb(&self) -> u64 {
        // The directory itself may not be there yet.
        let disk = || self.dbpath.ancestors().find_map(crate::surroundings::disk);
        let free = || disk().map_or(0, |disk| disk.total.saturating_sub(disk.used));
        self.oplog_size_mb.unwrap_or_else(|| default_oplog_mb(free()))
    }

    /// The options in the shape of the configuration file, for getCmdLineOpts.
    pub fn parsed(&self, port: u16, role: &str) -> Document {
        doc! {
            "net": { "bindIp": self.common.hosts().join(","), "port": i32::from(port) },
            "replication": { "replSetName": &self.repl_set, "oplogSizeMB": i64::try_from(self.oplog_size_mb()).unwrap_or(i64::MAX) },
            "sharding": { "clusterRole": role },
            "storage": {
                "dbPath": self.dbpath.display().to_string(),
                "engine": &self.storage_engine,
                "oplogMinRetentionHours": self.oplog_min_retention_hours,
            },
        }
    }
}

fn default_oplog_mb(free_bytes: u64) -> u64 {
    (free_bytes / 100 * OPLOG_PERCENT / (1024 * 1024)).clamp(OPLOG_MB_MIN, OPLOG_MB_MAX)
}

fn hours(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(hours) if (0.0..=HOURS_MAX).contains(&hours) => Ok(hours),
        _ => Err("a number of hours, 0 or more".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        config: MemberConfig,
    }

    fn parsed(flags: &[&str]) -> Option<MemberConfig> {
        let line = Line::try_parse_from(["x", "--replSet", "s"].iter().chain(flags));
        line.ok().map(|line| line.config)
    }

    #[test]
    fn the_log_takes_a_share_of_the_disk_within_bounds() {
        let gib = 1024 * 1024 * 1024;
        for (free, mb) in [(0, 990), (10 * gib, 990), (100 * gib, 5120), (10_000 * gib, 51_200)] {
            assert_eq!(default_oplog_mb(free), mb, "{free}");
        }
        assert_eq!(parsed(&["--oplogSize", "17"]).unwrap().oplog_size_mb(), 17);
        assert!((990..=51_200).contains(&parsed(&["--dbpath", "/"]).unwrap().oplog_size_mb()));
    }

    #[test]
    fn engines_and_hours_are_checked() {
        assert_eq!(parsed(&[]).unwrap().engine(), storage::EngineKind::Sled);
        assert_eq!(parsed(&["--storageEngine", "fjall"]).unwrap().engine(), storage::EngineKind::Fjall);
        assert!(parsed(&["--storageEngine", "wiredTiger"]).is_none());
        let kept = parsed(&["--oplogMinRetentionHours", "1.5"]).unwrap().oplog_min_retention();
        assert_eq!(kept, Duration::from_secs(5400));
        for bad in ["-1", "NaN", "inf", "x"] {
            assert!(parsed(&[&format!("--oplogMinRetentionHours={bad}")]).is_none(), "{bad}");
        }
    }
}
