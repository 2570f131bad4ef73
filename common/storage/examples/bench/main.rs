//! `make bench-storage`: this crate beside plain sled and beside a bare loop that appends and syncs, in one run on one disk.
//! Prints a table with the machine's load, writes `target/bench/storage.json`, and fails where a target was missed.

mod plain;
mod report;
mod shoal;
mod sustained;

/// That of the servers; plain sled gets the same.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

use report::{Report, Target};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::LazyLock;
use std::time::{Duration, Instant};
use storage::EngineKind;

type Error = Box<dyn std::error::Error + Send + Sync>;
type Result<T> = std::result::Result<T, Error>;

/// Documents of about 1.1 KB.
const DOCUMENTS: i32 = 30_000;
const PAD_BYTES: usize = 1050;
const LETTERS_BYTES: i32 = 1 << 18;
const WAITERS: usize = 64;
const UPDATERS: usize = 4;
const SCAN: usize = 100;
const ROUNDS: usize = 5;
const UPDATE_ROUNDS: usize = 3;

const USAGE: &str = "\
usage: bench [--dir DIR] [--seconds N] [--sustained SECONDS] [--only PART]... [--engine NAME]
  --dir DIR            where the data goes [a new directory in the system's one for temporary files]
  --seconds N          length of one measurement [3]
  --sustained SECONDS  length of the sustained run, 600 for the real one; its targets count from 300 on [10]
  --only PART          reads, updates, hot, crash, sustained or durable; may be repeated [all]
  --engine NAME        sled or fjall as base [both]";

struct Options {
    dir: PathBuf,
    seconds: u64,
    sustained: u64,
    only: Vec<String>,
    engines: Vec<EngineKind>,
}

impl Options {
    fn wants(&self, part: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|wanted| wanted == part)
    }
}

fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.first().map(String::as_str) {
        Some("crash") => shoal::crash(&arguments.split_off(1)).map(|()| true),
        Some("sustained") => sustained::child(&arguments.split_off(1)).map(|()| true),
        _ => run(arguments),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Vec<String>) -> Result<bool> {
    let temporary = std::env::temp_dir().join(format!("shoal-bench-storage-{}", std::process::id()));
    let mut options = Options {
        dir: temporary,
        seconds: 3,
        sustained: 10,
        only: Vec::new(),
        engines: vec![EngineKind::Sled, EngineKind::Fjall],
    };
    let mut arguments = arguments.into_iter();
    while let Some(flag) = arguments.next() {
        let value = arguments.next().ok_or(USAGE)?;
        match flag.as_str() {
            "--dir" => options.dir = value.into(),
            "--seconds" => options.seconds = value.parse()?,
            "--sustained" => options.sustained = value.parse()?,
            "--only" => options.only.push(value),
            "--engine" => options.engines.retain(|engine| engine.name() == value),
            _ => return Err(USAGE.into()),
        }
    }
    std::fs::create_dir_all(&options.dir)?;
    let mut report = Report::new("storage");
    let measured = measure(&options, &mut report);
    std::fs::remove_dir_all(&options.dir)?;
    measured?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).ok_or("no repository")?;
    report.write(&root.join("target/bench/storage.json"))?;
    Ok(report.print())
}

fn measure(options: &Options, report: &mut Report) -> Result<()> {
    let length = Duration::from_secs(options.seconds);
    let plain = plain::Plain::open(&options.dir.join("plain"))?;
    let start = Instant::now();
    plain.load()?;
    report.add("plain sled: load", f64::from(DOCUMENTS) / start.elapsed().as_secs_f64(), "/s", Target::None);
    let mut stores = Vec::new();
    for engine in &options.engines {
        let name = engine.name();
        let store = shoal::Bench::open(&options.dir.join(name), *engine)?;
        let start = Instant::now();
        store.load()?;
        let rate = f64::from(DOCUMENTS) / start.elapsed().as_secs_f64();
        report.add(format!("{name}: load in batches of 100, then checkpoint"), rate, "/s", Target::None);
        stores.push((name, store));
    }
    if options.wants("reads") {
        reads(report, &plain, &stores)?;
    }
    if options.wants("updates") {
        updates(length, report, &plain, &stores)?;
    }
    if options.wants("hot") {
        for (name, store) in &stores {
            let (quiet, hot) = store.scans_beside_hot_keys(length)?;
            report.add(format!("{name}: whole scan"), quiet, " ms", Target::None);
            let beside = format!("{name}: whole scan beside 100 hot keys");
            report.add(beside, hot / quiet, "x", Target::AtMost(10.0));
        }
    }
    if options.wants("durable") {
        durable(options, report, &plain, &stores)?;
    }
    stores.into_iter().try_for_each(|(_, store)| store.close())?;
    drop(plain);
    for engine in &options.engines {
        let name = engine.name();
        if options.wants("crash") {
            let (bytes, opened) =
                shoal::reopen_after_crash(&options.dir.join(format!("{name}-crash")), *engine)?;
            report.add(format!("{name}: reopening after a crash"), opened, " s", Target::AtMost(5.0));
            report.note(format!("{} MB of log to replay", bytes / 1_000_000));
        }
        if options.wants("sustained") {
            let dir = options.dir.join(format!("{name}-sustained"));
            sustained::run(&dir, *engine, options.sustained, report)?;
        }
    }
    Ok(())
}

/// The middle of one figure over all rounds.
fn middle(rounds: &[Vec<f64>], figure: impl Fn(&[f64]) -> f64) -> f64 {
    let mut all: Vec<f64> = rounds.iter().map(|row| figure(row)).collect();
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
}

fn at(row: &[f64], number: usize) -> f64 {
    row.get(number).copied().unwrap_or(f64::NAN)
}

/// Point reads and scans, in rounds: what else the machine does, and how fast its cores run, changes from second to second.
fn reads(report: &mut Report, plain: &plain::Plain, stores: &[(&'static str, shoal::Bench)]) -> Result<()> {
    let mut rounds: Vec<Vec<f64>> = Vec::new();
    for _ in 0..ROUNDS {
        let mut row = vec![plain.gets()?, plain.scans()?];
        for (_, store) in stores {
            row.extend([store.gets()?, store.scans()?]);
        }
        rounds.push(row);
    }
    let what = [("point read", 0), ("scan of 100", 1)];
    for (what, column) in what {
        let value = middle(&rounds, |row| at(row, column));
        report.add(format!("plain sled: {what}"), value, " us CPU", Target::None);
    }
    for (number, (name, _)) in stores.iter().enumerate() {
        for (what, column) in what {
            let own = 2 + 2 * number + column;
            // fjall is known to cost more here; the default has to hold the target.
            let target = if *name == EngineKind::Sled.name() { Target::AtMost(1.2) } else { Target::None };
            let value = middle(&rounds, |row| at(row, own));
            report.add(format!("{name}: {what} from the base"), value, " us CPU", Target::None);
            let ratio = middle(&rounds, |row| at(row, own) / at(row, column));
            report.add(format!("{name}: {what} against plain sled"), ratio, "x", target);
        }
    }
    Ok(())
}

/// Updates, in rounds as well.
fn updates(
    length: Duration,
    report: &mut Report,
    plain: &plain::Plain,
    stores: &[(&'static str, shoal::Bench)],
) -> Result<()> {
    let mut rounds: Vec<Vec<f64>> = Vec::new();
    for _ in 0..UPDATE_ROUNDS {
        let mut row = Vec::new();
        let mut round = |updates: &dyn Fn() -> Result<f64>| -> Result<()> {
            let (start, before) = (Instant::now(), process_cpu()?);
            let rate = updates()?;
            let cpu = (process_cpu()? - before).as_secs_f64() / start.elapsed().as_secs_f64();
            row.extend([rate, cpu / rate * 1e6]);
            Ok(())
        };
        round(&|| plain.updates(UPDATERS, length))?;
        for (_, store) in stores {
            round(&|| store.updates(UPDATERS, length))?;
        }
        rounds.push(row);
    }
    let mut add = |name: &str, own: usize| {
        let of = |column: usize| middle(&rounds, |row| at(row, column));
        report.add(format!("{name}: updates, 4 threads"), of(own), "/s", Target::None);
        report.add(format!("{name}: CPU of an update"), of(own + 1), " us", Target::None);
    };
    add("plain sled", 0);
    for (number, (name, _)) in stores.iter().enumerate() {
        add(name, 2 + 2 * number);
    }
    for (number, (name, _)) in stores.iter().enumerate() {
        let ratio = middle(&rounds, |row| at(row, 2 + 2 * number) / at(row, 0));
        report.add(format!("{name}: updates against plain sled"), ratio, "x", Target::AtLeast(3.0));
    }
    Ok(())
}

/// Syncs, in rounds: what else the disk has to do changes from second to second, so each round measures all side by side and
/// ratios are those of the middle round.
fn durable(
    options: &Options,
    report: &mut Report,
    plain: &plain::Plain,
    stores: &[(&'static str, shoal::Bench)],
) -> Result<()> {
    let length = Duration::from_secs(options.seconds).div_f64(2.0);
    let mut rounds: Vec<Vec<f64>> = Vec::new();
    for round in 0..ROUNDS {
        let path = |name: &str| options.dir.join(format!("{name}-{round}"));
        let mut row = vec![
            plain::sync_rate(&path("bare"), length)?,
            plain::group_sync(&path("group"), WAITERS, length)?,
            plain.durable(WAITERS, length)?,
        ];
        for (_, store) in stores {
            row.push(store.durable(WAITERS, length)?);
            row.push(store.durable(1, length)?);
        }
        rounds.push(row);
    }
    let of = |number: usize| middle(&rounds, |row| at(row, number));
    let ratio = |over: usize, under: usize| middle(&rounds, |row| at(row, over) / at(row, under));
    report.add("disk: append 1.3 KB and fdatasync", of(0), "/s", Target::None);
    report.add("bare append and group sync, 64 waiters", of(1), "/s", Target::None);
    report.add("plain sled: durable writes, 64 threads", of(2), "/s", Target::None);
    report.note("each flushes and syncs for itself");
    for (number, (name, _)) in stores.iter().enumerate() {
        let (many, one) = (3 + number * 2, 4 + number * 2);
        report.add(format!("{name}: durable writes, 64 waiters"), of(many), "/s", Target::None);
        let against = |report: &mut Report, what: &str, value: f64, target: f64| {
            report.add(format!("{name}: {what}"), value, "x", Target::AtLeast(target));
        };
        against(report, "durable against plain sled", ratio(many, 2), 6.0);
        against(report, "durable against bare group sync", ratio(many, 1), 0.6);
        report.add(format!("{name}: durable writes, one client"), of(one), "/s", Target::None);
        against(report, "one client against the disk", ratio(one, 0), 0.7);
    }
    Ok(())
}

/// Time of all cores that this process used so far.
fn process_cpu() -> Result<Duration> {
    const TICKS_PER_SECOND: u64 = 100;
    let text = std::fs::read_to_string("/proc/self/stat")?;
    // The name of the program ends with the last bracket; user and system time are the 14th and 15th field.
    let (_, fields) = text.rsplit_once(')').ok_or("no fields in stat")?;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u64>);
    let ticks = ticks.sum::<std::result::Result<u64, _>>()?;
    Ok(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
}

/// Microseconds of CPU that this thread used so far.
fn cpu_micros() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|word| word.parse::<f64>().ok()).map_or(f64::NAN, |nanos| nanos / 1e3)
}

/// Walks through a document, as whoever matches, projects or sends it does. One field alone would tell more about which line of the
/// processor's cache it happens to lie in than about the engine.
fn walk(doc: &bson::RawDocument) -> Result<usize> {
    let mut count = 0;
    for element in doc {
        std::hint::black_box(element?);
        count += 1;
    }
    Ok(count)
}

fn document(id: i32, n: i32) -> bson::RawDocumentBuf {
    // Not all the same, for engines compress; and cheap, for it is not what is measured.
    static LETTERS: LazyLock<String> = LazyLock::new(|| {
        let mut draw = Draw(1);
        (0..LETTERS_BYTES + PAD_BYTES as i32).map(|_| char::from(b'a' + draw.below(26) as u8)).collect()
    });
    let from = Draw((id as u64) << 32 | n as u64).below(LETTERS_BYTES) as usize;
    let pad = LETTERS.get(from..from + PAD_BYTES).unwrap_or_default();
    let mut doc = Vec::with_capacity(PAD_BYTES + 64);
    doc.extend_from_slice(&[0; 4]);
    let x = id.wrapping_mul(7919).wrapping_add(n) % 10_000;
    for (name, value) in [(b"\x10_id\0".as_slice(), id), (b"\x10n\0", n), (b"\x10x\0", x)] {
        doc.extend_from_slice(name);
        doc.extend_from_slice(&value.to_le_bytes());
    }
    doc.extend_from_slice(b"\x02pad\0");
    doc.extend_from_slice(&(pad.len() as u32 + 1).to_le_bytes());
    doc.extend_from_slice(pad.as_bytes());
    doc.extend_from_slice(&[0, 0]);
    let length = doc.len() as u32;
    if let Some(place) = doc.first_chunk_mut() {
        *place = length.to_le_bytes();
    }
    bson::RawDocumentBuf::from_bytes(doc).unwrap_or_default()
}

/// A small generator, one per thread.
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: i32) -> i32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % bound.unsigned_abs().max(1) as u64) as i32
    }
}

/// Runs `work` on some threads for a time; returns how often it was done per second.
fn threads(
    count: usize,
    length: Duration,
    work: impl Fn(usize, &mut Draw) -> Result<()> + Sync,
) -> Result<f64> {
    let start = Instant::now();
    let done: Vec<Result<u64>> = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..count)
            .map(|number| {
                let work = &work;
                scope.spawn(move || {
                    let mut draw = Draw(number as u64 + 1);
                    let mut done = 0;
                    while start.elapsed() < length {
                        work(number, &mut draw)?;
                        done += 1;
                    }
                    Ok(done)
                })
            })
            .collect();
        handles
            .into_iter()
            .map(|handle| handle.join().unwrap_or_else(|_| Err("a thread panicked".into())))
            .collect()
    });
    let total: u64 = done.into_iter().sum::<Result<u64>>()?;
    Ok(total as f64 / start.elapsed().as_secs_f64())
}
