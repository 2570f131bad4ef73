//! Options of a router.

use bson::{Document, doc};
use clap::Parser;
use runtime::config::Common;

/// A Shoal router: speaks to clients as a MongoDB 8.0 mongos, and finds their documents on the shards
#[derive(Debug, Clone, Parser)]
#[command(name = "mongos", version, args_override_self = true)]
pub struct Config {
    /// Port to listen on
    #[arg(long, default_value_t = 27017)]
    pub port: u16,
    /// The config server's replica set: name/host:port[,host:port...]
    #[arg(long, value_name = "SET/HOSTS")]
    pub configdb: String,
    #[command(flatten)]
    pub common: Common,
}

impl Config {
    /// `host:port` by which others name this router.
    pub fn name(&self) -> String {
        format!("{}:{}", self.common.advertised_host(), self.port)
    }

    /// Where to listen.
    pub fn listen(&self) -> frontend::Options {
        frontend::Options {
            bind: self.common.hosts(),
            port: self.port,
            ipv6: false,
            connections_max: Some(self.common.max_connections),
        }
    }

    /// The options in the shape of the configuration file, for getCmdLineOpts.
    pub fn parsed(&self) -> Document {
        doc! {
            "net": { "bindIp": self.common.hosts().join(","), "port": i32::from(self.port) },
            "sharding": { "configDB": &self.configdb },
        }
    }
}
