//! `shoal probe`: one kind of operation at a few connections, for latencies and costs without the noise of a mix.

use super::crew::{self, Outcome, Pace, Plan};
use super::distribution::write_key;
use super::measure::{Measured, latency_json};
use super::request::Client;
use super::worker::recovered;
use super::workload::Operation;
use super::{per, processes_json, verdict};
use crate::admin::namespace;
use crate::failure::Failure;
use crate::link::{Connection, Target, first_batch};
use crate::progress::{grouped, rate};
use bson::{RawBson, RawDocumentBuf, doc};
use clap::{Args, ValueEnum};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use std::time::Instant;
use types::Namespace;

/// Operations of each client before its measurement begins.
const WARM_UP_MAX: u64 = 1_000;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Probed {
    /// A find of one document by its key
    Findone,
    /// The command that does nothing
    Ping,
}

/// Which values the finds ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Keys {
    /// Values that the collection has, read before the measurement
    Sample,
    /// The keys of `shoal load`: user and a hash
    Ycsb,
    /// 0, 1, 2, … as 32-bit integers
    Int,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  shoal probe --op findone --ns geo.cities --threads 1 --ops 20000
  shoal probe --op findone --ns ycsb.usertable --keys ycsb --records 100000 --threads 8 --json --pid 4711 --pid 4712
  shoal probe --op ping --threads 1

Compare a router with a shard by naming each with --uri. --pid adds the processor time of server processes per operation.")]
pub(crate) struct Options {
    /// What to measure
    #[arg(long, default_value = "findone")]
    op: Probed,
    /// DATABASE.COLLECTION
    #[arg(long, default_value = "ycsb.usertable", value_parser = namespace)]
    ns: Namespace,
    /// The field that finds ask for
    #[arg(long, default_value = "_id", value_name = "FIELD")]
    key_field: String,
    /// Which values they ask for
    #[arg(long, default_value = "sample")]
    keys: Keys,
    /// How many different values
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    records: u32,
    /// Operations, all clients together
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..))]
    ops: u64,
    /// Clients, each with its own connection
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=4096))]
    threads: u16,
    #[command(flatten)]
    target: Target,
    /// End after this time
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<u64>,
    /// Begin of the random numbers
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Also report the processor time of this process; may be repeated
    #[arg(long = "pid", value_name = "PID")]
    pids: Vec<u32>,
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
}

/// Measures and prints.
///
/// # Errors
/// If the server cannot be reached, the collection has no such values, or any operation failed.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    if options.key_field.contains('\0') || options.key_field.is_empty() {
        return Err(Failure::new("--key-field is not a field name"));
    }
    let keys = if options.op == Probed::Ping { Vec::new() } else { keys(options)? };
    let threads = u64::from(options.threads);
    let mut plan = Plan {
        what: "warm-up".to_owned(),
        threads: usize::from(options.threads),
        operations: (options.ops / 10).min(WARM_UP_MAX * threads),
        target_ops: None,
        seconds: options.seconds,
        pids: options.pids.clone(),
    };
    let work = |client: Client<'_>, nth: usize, share: u64, pace: &Pace| {
        probe(client, options, &keys, share, super::seed(options.seed, 2, nth), pace)
    };
    // Caches, routing tables and branch predictors are warm when the measurement begins.
    crew::run(&options.target.uri, &plan, work)?;
    plan.operations = options.ops;
    "probe".clone_into(&mut plan.what);
    let outcome = crew::run(&options.target.uri, &plan, work)?;
    print(options, &outcome);
    verdict(std::iter::once(&outcome))
}

/// The values that finds ask for.
fn keys(options: &Options) -> Result<Vec<RawBson>, Failure> {
    let ns = &options.ns;
    match options.keys {
        Keys::Int => Ok((0..options.records).map(|number| RawBson::Int32(number.cast_signed())).collect()),
        Keys::Ycsb => {
            let mut key = String::new();
            let keys = (0..options.records).map(|number| {
                write_key(u64::from(number), &mut key);
                RawBson::String(key.clone())
            });
            Ok(keys.collect())
        }
        Keys::Sample => {
            let mut connection = Connection::open(&options.target.uri, 0)?;
            let field = options.key_field.as_str();
            let mut projection = doc! { field: 1 };
            if field != "_id" {
                projection.insert("_id", 0);
            }
            let limit = i64::from(options.records);
            let command = doc! { "find": ns.collection(), "projection": projection, "limit": limit, "batchSize": 10_000 };
            let documents = connection
                .run_cursor(ns.db(), &command)
                .map_err(|error| Failure::from(error).during(&format!("reading values of {ns}")))?;
            let mut keys = Vec::with_capacity(documents.len());
            for document in &documents {
                let raw = RawDocumentBuf::try_from(document)
                    .map_err(|error| Failure::new(format!("a document of {ns} cannot be used: {error}")))?;
                if let Ok(Some(value)) = raw.get(field) {
                    keys.push(RawBson::from(value));
                }
            }
            if keys.is_empty() {
                return Err(Failure::new(format!("no document of {ns} has a field {field}"))
                    .next("import or load documents first, or name another --ns or --key-field"));
            }
            Ok(keys)
        }
    }
}

fn probe(
    mut client: Client<'_>,
    options: &Options,
    keys: &[RawBson],
    operations: u64,
    seed: u64,
    pace: &Pace,
) -> Result<Measured, Failure> {
    let operation = if options.op == Probed::Ping { Operation::Ping } else { Operation::Read };
    let mut measured = Measured::of([operation])?;
    let mut rng = SmallRng::seed_from_u64(seed);
    for nth in 0..operations {
        if !pace.next(nth) {
            break;
        }
        match keys.get(rng.random_range(0..keys.len().max(1))) {
            Some(key) => client.find_value(&options.ns, &options.key_field, key.as_raw_bson_ref()),
            None => client.ping(),
        }
        let begin = Instant::now();
        match client.send(|reply| Ok(first_batch(reply))) {
            Ok(found) => {
                measured.record(operation, begin.elapsed());
                measured.not_found += u64::from(found == 0 && operation == Operation::Read);
            }
            Err(error) if !recovered(&error, operation, &mut client, &mut measured, pace) => {
                return Ok(measured);
            }
            Err(_) => {}
        }
        pace.did(1);
    }
    Ok(measured)
}

fn print(options: &Options, outcome: &Outcome) {
    let succeeded = outcome.measured.succeeded();
    let operation = if options.op == Probed::Ping { Operation::Ping } else { Operation::Read };
    if options.json {
        let whole = serde_json::json!({
            "op": if options.op == Probed::Ping { "ping" } else { "findone" },
            "ns": options.ns.as_str(),
            "uri": options.target.uri.to_string(),
            "threads": options.threads,
            "operations": succeeded,
            "failed": outcome.measured.failed(),
            "not_found": outcome.measured.not_found,
            "seconds": outcome.seconds,
            "ops_per_second": rate(succeeded, outcome.seconds),
            "latency_us": outcome.measured.latency(operation).map(latency_json),
            "client_cpu_us_per_op": per(outcome.client_cpu, succeeded),
            "processes": processes_json(outcome),
            "errors": outcome.measured.errors_json(),
        });
        say!("{whole}");
        return;
    }
    say!(
        "{} operations in {:.1} s by {} clients, {}/s, {:.1} µs of client CPU each",
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
