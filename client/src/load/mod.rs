//! `shoal load`: YCSB's workloads against any MongoDB-compatible server. One thread and one blocking socket per client, and a
//! few microseconds of processor time per operation, so that the server is what is measured.

mod cpu;
mod crew;
mod distribution;
mod insert_counter;
mod measure;
pub(crate) mod probe;
mod request;
mod worker;
mod workload;

use crate::admin::namespace;
use crate::failure::Failure;
use crate::link::{Connection, Error, Target, WriteConcernFlags};
use crate::progress::{grouped, rate};
use bson::doc;
use clap::{Args, ValueEnum};
use crew::{Outcome, Plan};
use distribution::{Chooser, Distribution};
use insert_counter::InsertCounter;
use request::Shape;
use types::Namespace;
use worker::Run;
use workload::Workload;

const NAMESPACE_NOT_FOUND: i32 = 26;

/// Which part of a workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Phase {
    /// Insert the records
    Load,
    /// Run the operations on records that are there
    Run,
    /// Load, then run
    Both,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  shoal load --workload a --records 100000 --ops 500000 --threads 16 --shard --drop
  shoal load --workload c --phase run --records 100000 --ops 500000 --threads 8 --json
  shoal load --workload e --records 100000 --ops 20000 --uri mongodb://127.0.0.1:27018/

The workloads are YCSB's core workloads with its keys (`user` and the FNV hash of the record's number) and generators.
Requests carry sessions, and writes transaction numbers, as a driver's do (switch the latter off with ?retryWrites=false).
A failed operation is counted by its cause and not sent again. The exit code is not 0 if any failed.")]
pub(crate) struct Options {
    /// The workload
    #[arg(long, ignore_case = true)]
    workload: Workload,
    /// Records to load, and that a run may ask for
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    records: u64,
    /// Operations of the run [default: as many as records]
    #[arg(long)]
    ops: Option<u64>,
    /// Clients, each with its own connection
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=4096))]
    threads: u16,
    #[command(flatten)]
    target: Target,
    /// DATABASE.COLLECTION
    #[arg(long, default_value = "ycsb.usertable", value_parser = namespace)]
    ns: Namespace,
    /// Which part
    #[arg(long, default_value = "both")]
    phase: Phase,
    /// Which keys are asked for [default: the workload's own]
    #[arg(long)]
    distribution: Option<Distribution>,
    /// Fields of a record
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    fields: u32,
    /// Bytes of a field
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    field_bytes: u32,
    /// Records in one insert of the load phase
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    batch: u64,
    /// The longest scan of workload e
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i32).range(1..=10_000))]
    scan_max: i32,
    /// Operations a second of all clients together [default: as many as they can]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    target_ops: Option<u64>,
    /// End each phase after this time
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<u64>,
    /// Shard the collection by hashed _id first (routers only)
    #[arg(long)]
    shard: bool,
    /// Drop the collection first
    #[arg(long)]
    drop: bool,
    /// Begin of the random numbers: equal seeds, equal operations
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Also report the processor time of this process; may be repeated
    #[arg(long = "pid", value_name = "PID")]
    pids: Vec<u32>,
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    concern: WriteConcernFlags,
}

/// Runs the phases and prints their outcome.
///
/// # Errors
/// If the server cannot be reached, or any operation failed.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    prepare(options)?;
    let shape = Shape {
        ns: options.ns.clone(),
        fields: options.fields as usize,
        field_bytes: options.field_bytes as usize,
        concern: options.concern.or_of(&options.target.uri),
    };
    let mut phases = Vec::new();
    if options.phase != Phase::Run {
        phases.push(("load", load_phase(options, &shape)?));
    }
    if options.phase != Phase::Load {
        phases.push(("run", run_phase(options, &shape)?));
    }
    print(options, &phases);
    verdict(phases.iter().map(|(_, outcome)| outcome))
}

/// Drops and shards the collection, as asked.
fn prepare(options: &Options) -> Result<(), Failure> {
    let ns = &options.ns;
    let mut connection = Connection::open(&options.target.uri, 0)?;
    if options.drop {
        match connection.run(ns.db(), &doc! { "drop": ns.collection() }) {
            Err(Error::Server(error)) if error.code == NAMESPACE_NOT_FOUND => {}
            other => drop(other.map_err(|error| Failure::from(error).during("dropping the collection"))?),
        }
    }
    if options.shard {
        if !connection.hello().is_router {
            return Err(Failure::new(format!(
                "{} is not a router: it cannot shard {ns}",
                connection.address()
            ))
            .next("leave out --shard, or name a router with --uri"));
        }
        let command = doc! { "shardCollection": ns.as_str(), "key": { "_id": "hashed" } };
        connection
            .run("admin", &command)
            .map_err(|error| Failure::from(error).during("sharding the collection"))?;
    }
    Ok(())
}

fn plan(options: &Options, what: &str, operations: u64) -> Plan {
    Plan {
        what: what.to_owned(),
        threads: usize::from(options.threads),
        operations,
        target_ops: options.target_ops,
        seconds: options.seconds,
        pids: options.pids.clone(),
    }
}

fn load_phase(options: &Options, shape: &Shape) -> Result<Outcome, Failure> {
    let threads = usize::from(options.threads);
    crew::run(&options.target.uri, &plan(options, "load", options.records), |client, nth, _, pace| {
        let records = worker::part(options.records, threads, nth);
        worker::load(client, shape, records, options.batch, seed(options.seed, 0, nth), pace)
    })
}

fn run_phase(options: &Options, shape: &Shape) -> Result<Outcome, Failure> {
    let operations = options.ops.unwrap_or(options.records);
    let expected_inserts = (operations as f64 * options.workload.insert_share() * 2.0) as u64;
    let distribution = options.distribution.unwrap_or(options.workload.distribution());
    let run = Run {
        workload: options.workload,
        shape,
        chooser: Chooser::new(distribution, options.records, expected_inserts),
        inserted: InsertCounter::new(options.records),
        scan_max: options.scan_max,
    };
    crew::run(&options.target.uri, &plan(options, "run", operations), |client, nth, share, pace| {
        worker::run(client, &run, share, seed(options.seed, 1, nth), pace)
    })
}

/// Each thread of each phase has its own random numbers.
fn seed(seed: u64, phase: u64, nth: usize) -> u64 {
    distribution::hash(seed ^ (phase << 32) ^ ((nth as u64) << 40))
}

fn print(options: &Options, phases: &[(&str, Outcome)]) {
    let distribution = options.distribution.unwrap_or(options.workload.distribution());
    if options.json {
        let phases: Vec<serde_json::Value> =
            phases.iter().map(|(name, outcome)| phase_json(name, outcome)).collect();
        let whole = serde_json::json!({
            "workload": options.workload.name(), "ns": options.ns.as_str(), "uri": options.target.uri.to_string(),
            "records": options.records, "threads": options.threads, "distribution": distribution.name(),
            "phases": phases,
        });
        say!("{whole}");
        return;
    }
    for (name, outcome) in phases {
        let succeeded = outcome.measured.succeeded();
        say!(
            "workload {} ({}), {name}: {} requests in {:.1} s by {} clients, {}/s, {:.1} µs of client CPU each",
            options.workload.name(),
            distribution.name(),
            grouped(succeeded),
            outcome.seconds,
            options.threads,
            grouped(rate(succeeded, outcome.seconds)),
            per(outcome.client_cpu, succeeded),
        );
        for (pid, cpu) in &outcome.process_cpu {
            match cpu {
                Some(cpu) => say!("process {pid}: {:.1} µs of CPU each", per(*cpu, succeeded)),
                None => say!("process {pid}: gone"),
            }
        }
        outcome.measured.print(outcome.seconds);
    }
}

fn phase_json(name: &str, outcome: &Outcome) -> serde_json::Value {
    let succeeded = outcome.measured.succeeded();
    serde_json::json!({
        "phase": name,
        "operations": succeeded,
        "failed": outcome.measured.failed(),
        "not_found": outcome.measured.not_found,
        "seconds": outcome.seconds,
        "ops_per_second": rate(succeeded, outcome.seconds),
        "client_cpu_us_per_op": per(outcome.client_cpu, succeeded),
        "processes": processes_json(outcome),
        "latency_us": outcome.measured.latencies_json(),
        "errors": outcome.measured.errors_json(),
        "stopped": outcome.measured.stop_reason,
    })
}

/// `[{pid, cpu_us, cpu_us_per_op}]`.
fn processes_json(outcome: &Outcome) -> serde_json::Value {
    let succeeded = outcome.measured.succeeded();
    let processes = outcome.process_cpu.iter().map(|(pid, cpu)| {
        serde_json::json!({ "pid": pid, "cpu_us": cpu, "cpu_us_per_op": cpu.map(|cpu| per(cpu, succeeded)) })
    });
    processes.collect()
}

fn per(total: u64, count: u64) -> f64 {
    total as f64 / count.max(1) as f64
}

/// Fails if any operation failed or a thread gave up.
fn verdict<'a>(outcomes: impl Iterator<Item = &'a Outcome>) -> Result<(), Failure> {
    let mut failed = 0;
    for outcome in outcomes {
        if let Some(reason) = &outcome.measured.stop_reason {
            return Err(Failure::new(format!("clients gave up: {reason}"))
                .next("check that the server still runs, then run the command again"));
        }
        failed += outcome.measured.failed();
    }
    match failed {
        0 => Ok(()),
        count => Err(Failure::new(format!("{} operations failed", grouped(count)))
            .next("the causes are named in the report; after a load of other records, --drop begins anew")),
    }
}

#[cfg(test)]
mod tests;
