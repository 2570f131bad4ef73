//! The router's program: options, telemetry, node, a clean stop.

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

use clap::Parser;
use mongos::config::Config;
use mongos::node::Node;
use std::process::ExitCode;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mongos: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let config = Config::parse_from(runtime::config::arguments(std::env::args_os())?);
    config.common.check()?;
    config.common.write_pid_file()?;
    // No spare workers: nothing in a router blocks.
    runtime::executor::build(0)?.block_on(async {
        let telemetry = runtime::telemetry::init(&config.common.telemetry("mongos"))?;
        let node = Node::start(&config, telemetry.recent()).await?;
        runtime::shutdown::requested(&node.tasks.token()).await?;
        node.stop().await;
        telemetry.stop();
        Ok(())
    })
}
