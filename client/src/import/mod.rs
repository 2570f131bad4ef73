//! `shoal import`: one thread reads and cuts the file into batches of records, several encode and send them.
//! The file is never in memory whole; a batch that was sent is kept until the server answered for it.

mod acked;
mod csv_reader;
mod encode;
mod json_cut;
mod json_encode;
mod report;
mod sender;
mod source;

use crate::admin::namespace;
use crate::failure::Failure;
use crate::link::{Connection, Error, Target, WriteConcernFlags};
use crate::progress;
use acked::AckedLog;
use bson::doc;
use clap::{Args, ValueEnum};
use report::Report;
use sender::{Sender, Settings};
use source::{Batch, Source};
use std::io::Read;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, channel, sync_channel};
use std::sync::{Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};
use types::Namespace;

const NAMESPACE_NOT_FOUND: i32 = 26;
/// Batches that are read ahead, per sender.
const AHEAD: usize = 2;

/// How the file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// One array of objects, or objects one after the other
    Json,
    /// One object per line; a bad line costs only itself
    Jsonl,
    /// Comma-separated values with a header line
    Csv,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  shoal import cities.json --ns geo.cities
  shoal import cities.csv --ns geo.cities --infer --drop
  zcat big.jsonl.gz | shoal import - --format jsonl --ns logs.events --threads 8
  shoal import cities.json --ns geo.cities --acked-log acked.txt --w majority --j

Types beyond JSON are read from extended JSON: {\"$oid\": \"…\"}, {\"$date\": \"…\"}, {\"$numberDecimal\": \"…\"}.
Documents without an _id get an ObjectId here, so that a batch can be sent again after a lost connection without being
stored twice. The exit code is not 0 if any record was not imported.")]
pub(crate) struct Options {
    /// The file; - reads standard input
    file: PathBuf,
    /// DATABASE.COLLECTION
    #[arg(long, value_parser = namespace)]
    ns: Namespace,
    #[command(flatten)]
    target: Target,
    /// How the file is written [default: by its name; json where that does not tell]
    #[arg(long)]
    format: Option<Format>,
    /// Drop the collection first (a sharded one must be sharded again)
    #[arg(long)]
    drop: bool,
    /// Connections that send
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: u16,
    /// Documents in one insert
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    batch: u32,
    /// CSV: make numbers and true/false of what looks like them
    #[arg(long)]
    infer: bool,
    /// Write the _id of every acknowledged document to this file, one a line, as canonical extended JSON
    #[arg(long, value_name = "FILE")]
    acked_log: Option<PathBuf>,
    /// How long a batch is tried again after network errors and failovers
    #[arg(long, default_value_t = 30, value_name = "SECONDS")]
    retry_seconds: u64,
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    concern: WriteConcernFlags,
}

/// Runs the import.
///
/// # Errors
/// If anything at all was not imported.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let concern = options.concern.or_of(&options.target.uri);
    if concern.is_unacknowledged() {
        return Err(
            Failure::new("an import with w: 0 cannot tell what was stored").next("use --w 1 or --w majority")
        );
    }
    let source = Source::open(&options.file, options.format)?;
    let mut connection = Connection::open(&options.target.uri, 0)?;
    if options.drop {
        drop_collection(&mut connection, &options.ns)?;
    }
    let settings = Settings {
        uri: options.target.uri.clone(),
        ns: options.ns.clone(),
        concern,
        infer: options.infer,
        retry_for: Duration::from_secs(options.retry_seconds),
        is_retryable: options.target.uri.options.retry_writes && connection.hello().retries_writes(),
    };
    drop(connection);
    let acked = options.acked_log.as_deref().map(AckedLog::create).transpose()?;
    let report = import(source, &settings, acked.as_ref(), options)?;
    report.print(options.json)?;
    report.verdict()
}

fn drop_collection(connection: &mut Connection, ns: &Namespace) -> Result<(), Failure> {
    match connection.run(ns.db(), &doc! { "drop": ns.collection() }) {
        Ok(_) => Ok(()),
        Err(Error::Server(error)) if error.code == NAMESPACE_NOT_FOUND => Ok(()),
        Err(error) => Err(Failure::from(error).during("dropping the collection")),
    }
}

fn import(
    source: Source,
    settings: &Settings,
    acked: Option<&AckedLog>,
    options: &Options,
) -> Result<Report, Failure> {
    let begin = Instant::now();
    let bar = progress::bytes(source.size(), options.ns.as_str());
    let threads = usize::from(options.threads);
    let (to_senders, batches) = sync_channel::<Batch>(threads * AHEAD);
    let batches = Mutex::new(batches);
    let (to_main, news) = channel::<Report>();
    let mut total = Report::default();
    thread::scope(|scope| {
        let bar = &bar;
        for nth in 0..threads {
            let (batches, to_main) = (&batches, to_main.clone());
            scope.spawn(move || send_all(nth, batches, settings, acked, &to_main));
        }
        drop(to_main);
        let reading = scope.spawn(move || read_all(source, &to_senders, options, bar));
        loop {
            match news.recv_timeout(progress::TICK) {
                Ok(part) => total.add(part),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            let rate = progress::rate(total.inserted, begin.elapsed().as_secs_f64());
            bar.set_message(format!(
                "{} documents, {}/s",
                progress::grouped(total.inserted),
                progress::grouped(rate)
            ));
        }
        match reading.join() {
            Ok(result) => total.add(result),
            Err(_) => total.stop_reason = Some("the reading thread ended abruptly".to_owned()),
        }
    });
    bar.finish_and_clear();
    total.seconds = begin.elapsed().as_secs_f64();
    Ok(total)
}

/// Cuts the whole file. Ends early when all senders have ended.
fn read_all(
    source: Source,
    to_senders: &SyncSender<Batch>,
    options: &Options,
    bar: &indicatif::ProgressBar,
) -> Report {
    let mut report = Report::default();
    let format = source.format();
    let reader: Box<dyn Read> = Box::new(bar.wrap_read(source.into_reader()));
    let batch = options.batch as usize;
    let mut deliver = |batch: Batch| to_senders.send(batch).is_ok();
    let result = match format {
        Format::Json => json_cut::cut_values(reader, batch, &mut deliver),
        Format::Jsonl => json_cut::cut_lines(reader, batch, &mut deliver),
        Format::Csv => csv_reader::read(reader, batch, &mut deliver, &mut report),
    };
    if let Err(stopped) = result {
        report.stop_reason = Some(stopped.to_string());
    }
    report
}

/// One sender: takes batches until there are no more, or until the server cannot be reached any longer.
fn send_all(
    nth: usize,
    batches: &Mutex<Receiver<Batch>>,
    settings: &Settings,
    acked: Option<&AckedLog>,
    to_main: &std::sync::mpsc::Sender<Report>,
) {
    let mut sender = Sender::new(nth, settings, acked);
    loop {
        // The lock is held while waiting for the next batch: the others would only wait for the same.
        let next = lock(batches).recv();
        let Ok(batch) = next else { return };
        let report = sender.send(&batch);
        let is_lost = report.stop_reason.is_some();
        // The main thread listens until the last sender ended.
        to_main.send(report).ok();
        if is_lost {
            return drain(batches, to_main);
        }
    }
}

/// The server is gone: the rest of the file is counted as not sent instead of being tried for half a minute a batch.
fn drain(batches: &Mutex<Receiver<Batch>>, to_main: &std::sync::mpsc::Sender<Report>) {
    loop {
        let next = lock(batches).recv();
        let Ok(batch) = next else { return };
        to_main.send(Report::not_sent(batch.len())).ok();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
