//! Options of a config server.

use clap::Parser;
use member::MemberConfig;

/// A Shoal config server: keeps the metadata of the whole cluster, as a member of a replica set
#[derive(Debug, Clone, Parser)]
#[command(name = "configsvr", version, args_override_self = true)]
pub struct Config {
    /// Port to listen on
    #[arg(long, default_value_t = 27019)]
    pub port: u16,
    #[command(flatten)]
    pub member: MemberConfig,
}
