//! The benchmarks, one subcommand each: `make bench-NAME` builds in release and runs `bench NAME`. Drives servers as processes,
//! compares side by side in one run, prints a table, writes `target/bench/NAME.json`, and fails where a target was missed.

mod cities;
mod cluster;
mod connection;
mod member;
mod process;
mod replication;
mod report;
mod router;
mod set;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// What went wrong, for people.
type Error = Box<dyn std::error::Error + Send + Sync>;
type Result<T> = std::result::Result<T, Error>;

const USAGE: &str = "\
usage: bench router|member|replication [--port PORT] [--dir DIR] [--seconds N] [--only PART]...
  --port PORT   first port of the clusters that are started [47100]
  --dir DIR     where their data goes [a new directory in the system's one for temporary files]
  --seconds N   length of one measurement [3]
  --only PART   of router: idle, latency, cost or import; of replication: writes, lag or copy; may be repeated [all]";

/// What the command line asks for.
struct Options {
    port: u16,
    dir: PathBuf,
    seconds: u64,
    only: Vec<String>,
}

impl Options {
    fn wants(&self, part: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|wanted| wanted == part)
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<bool> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().ok_or(USAGE)?;
    let mut options = Options {
        port: 47_100,
        dir: std::env::temp_dir().join(format!("shoal-bench-{}", std::process::id())),
        seconds: 3,
        only: Vec::new(),
    };
    while let Some(flag) = arguments.next() {
        let value = arguments.next().ok_or(USAGE)?;
        match flag.as_str() {
            "--port" => options.port = value.parse()?,
            "--dir" => options.dir = value.into(),
            "--seconds" => options.seconds = value.parse()?,
            "--only" => options.only.push(value),
            _ => return Err(USAGE.into()),
        }
    }
    let report = match name.as_str() {
        "member" => member::run(&options)?,
        "replication" => replication::run(&options)?,
        "router" => router::run(&options)?,
        _ => return Err(USAGE.into()),
    };
    report.write(&root().join("target/bench").join(format!("{name}.json")))?;
    Ok(report.print())
}

/// Lets time pass where nothing tells when it is enough.
fn pause(duration: Duration) {
    let end = Instant::now() + duration;
    while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        std::thread::park_timeout(left);
    }
}

/// The repository.
fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}
