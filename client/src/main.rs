//! `shoal`: starts local clusters, shows and stops them, imports files, generates load, sends commands.
//! Speaks the MongoDB wire protocol through its own small client; uses no server crate.

#[macro_use]
mod output;

mod admin;
mod args;
mod cluster;
mod extended_json;
mod failure;
mod import;
mod link;
mod load;
mod pause;
mod progress;

use args::{Args, Command};
use clap::Parser;
use failure::Failure;
use std::process::ExitCode;

fn main() -> ExitCode {
    match run(Args::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            complain!("{failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Up(options) => cluster::up::run(&options),
        Command::Status(options) => cluster::status::run(&options),
        Command::Down(options) => cluster::down::run(&options),
        Command::AddShard(options) => admin::add_shard(&options),
        Command::EnableSharding(options) => admin::enable_sharding(&options),
        Command::ShardCollection(options) => admin::shard_collection(&options),
        Command::Split(options) => admin::split(&options),
        Command::Command(options) => admin::command(&options),
        Command::Import(options) => import::run(&options),
        Command::Load(options) => load::run(&options),
        Command::Probe(options) => load::probe::run(&options),
        Command::Detached(options) => cluster::process::become_detached(&options),
    }
}
