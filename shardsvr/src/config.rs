//! Options of a shard's member.

use clap::Parser;
use member::MemberConfig;

/// A Shoal shard's member: stores documents, as a member of a replica set
#[derive(Debug, Clone, Parser)]
#[command(name = "shardsvr", version, args_override_self = true)]
pub struct Config {
    /// Port to listen on
    #[arg(long, default_value_t = 27018)]
    pub port: u16,
    #[command(flatten)]
    pub member: MemberConfig,
}
