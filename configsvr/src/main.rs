//! The config server's program: options, telemetry, node, a clean stop.

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

use clap::Parser;
use configsvr::config::Config;
use configsvr::node::Node;
use std::process::ExitCode;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("configsvr: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let config = Config::parse_from(runtime::config::arguments(std::env::args_os())?);
    config.member.common.check()?;
    config.member.common.write_pid_file()?;
    runtime::executor::build(runtime::executor::SPARE_WORKERS)?.block_on(async {
        let telemetry = runtime::telemetry::init(&config.member.common.telemetry("configsvr"))?;
        let node = Node::start(&config, telemetry.recent()).await?;
        runtime::shutdown::requested(&node.member.tasks.token()).await?;
        node.member.stop().await?;
        telemetry.stop();
        Ok(())
    })
}
