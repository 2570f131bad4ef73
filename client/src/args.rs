//! The command line: subcommands and their help. Options live beside the code that uses them.

use crate::{admin, cluster, import, load};
use clap::{Parser, Subcommand};

const EXAMPLES: &str = "\
Examples:
  shoal up --shards 2 --dir ./data            start a local cluster, or the same one again
  shoal status --dir ./data                   processes, shards, chunks, documents
  shoal import cities.json --ns geo.cities    import a JSON, JSON lines or CSV file
  shoal load --workload a --records 100000    YCSB workload A
  shoal down --dir ./data                     stop it; the data stays

Each subcommand has its own examples: shoal import --help";

/// The bundled client of Shoal, a MongoDB-compatible sharded cluster.
#[derive(Debug, Parser)]
#[command(name = "shoal", version, about, after_help = EXAMPLES, max_term_width = 110)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start a sharded cluster on this machine, or bring back the one in the directory
    Up(cluster::up::Options),
    /// Show the cluster of a directory: processes, shards, chunks, document counts
    Status(cluster::status::Options),
    /// Stop the cluster of a directory; its data stays
    Down(cluster::down::Options),
    /// Add a running replica set to the cluster as a shard
    AddShard(admin::AddShard),
    /// Create a database and allow sharding in it
    EnableSharding(admin::EnableSharding),
    /// Shard a collection by a key
    ShardCollection(admin::ShardCollection),
    /// Split a chunk
    Split(admin::Split),
    /// Run any database command and print its reply
    Command(admin::Command),
    /// Import a JSON array, JSON lines or CSV file into a collection
    Import(import::Options),
    /// Generate load: the six workloads of YCSB
    Load(load::Options),
    /// Measure one kind of operation: latency at a few connections
    Probe(load::probe::Options),
    /// Become a session leader, then the given program (how `up` starts servers)
    #[command(name = "__detached", hide = true)]
    Detached(cluster::process::Detached),
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn the_documented_commands_parse() {
        for line in [
            "shoal up --shards 2 --dir DIR --port 27017 --replicas 1",
            "shoal up --shards 2 --dir DIR --foreground --config-port 4000",
            "shoal status --dir DIR --json",
            "shoal down --dir DIR",
            "shoal add-shard rs2/127.0.0.1:27100",
            "shoal enable-sharding geo --uri mongodb://127.0.0.1:4",
            "shoal shard-collection geo.cities {\"_id\":\"hashed\"} --chunks 8",
            "shoal split geo.cities --middle {\"country\":\"US\"}",
            "shoal command admin {\"ping\":1}",
            "shoal import cities.json --ns geo.cities --threads 4 --batch 500 --drop --w majority --j",
            "shoal import - --ns a.b --format csv --infer --acked-log acked.txt",
            "shoal load --workload a --records 1000 --ops 1000 --threads 8 --shard --json",
            "shoal probe --op findone --ns ycsb.usertable --key-field _id --records 10 --ops 10 --threads 8 --json",
        ] {
            assert!(Args::try_parse_from(line.split(' ')).is_ok(), "{line}");
        }
    }
}
