//! Whole members in one simulated network: the production driver, service and `rpc` with the real tonic, hyper and h2, over logs in
//! memory that lose what was not synced. Time, network and faults come from the seed, and every process runs in one thread, so a seed
//! replays exactly ([`a_seed_replays_exactly`]). `SHOAL_SEED=n` runs one seed (`SHOAL_TRACE=1` tells what happens in it), `SHOAL_SEEDS=n` as
//! many; `SHOAL_SECONDS=n` ends the campaign after that time.
//!
//! What is not simulated is storage with its threads, whose steps the system's scheduler orders: replica sets of real processes on real
//! disks are in `tests/`.

mod client;
mod judge;
mod nemesis;
mod net;
mod process;

use crate::core::bug::Bug;
use crate::core::config::{MemberConfig, SetConfig};
use bson::oid::ObjectId;
use judge::{Counts, Judge};
use net::PORT;
use process::Place;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Once};
use std::time::{Duration, Instant};

const TICK: Duration = Duration::from_millis(5);
/// Between two hosts, in milliseconds.
const LATENCY_MAX: u64 = 20;
/// The set has a primary by then.
const BEGIN: Duration = Duration::from_secs(2);
/// Faults are lifted.
const CALM: Duration = Duration::from_secs(20);
/// By then everybody agrees and a majority took a write of every client.
const END: Duration = Duration::from_secs(60);

/// A recovery that is told of.
const SLOW: Duration = Duration::from_secs(6);

thread_local! {
    /// A task of this thread's simulation panicked; tokio keeps that to itself.
    static PANICKED: Cell<bool> = const { Cell::new(false) };
}

fn notice_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANICKED.set(true);
            before(info);
        }));
    });
}

/// What came of a run.
#[derive(Debug)]
struct Outcome {
    blames: Vec<String>,
    counts: Counts,
    trace: u64,
    recovered_after: Option<Duration>,
}

/// With `SHOAL_TRACE` everything that the members log and the judge notes is printed, with simulated time: for one seed.
fn tell_what_happens() {
    struct Simulated;
    impl tracing_subscriber::fmt::time::FormatTime for Simulated {
        fn format_time(&self, out: &mut tracing_subscriber::fmt::format::Writer<'_>) -> std::fmt::Result {
            write!(out, "{:?}", turmoil::sim_elapsed().unwrap_or_default())
        }
    }
    static ONCE: Once = Once::new();
    if std::env::var_os("SHOAL_TRACE").is_some() {
        ONCE.call_once(|| {
            let levels = tracing_subscriber::EnvFilter::new("warn,turmoil=info,repl=debug,rpc=debug");
            tracing_subscriber::fmt().with_env_filter(levels).with_timer(Simulated).with_ansi(false).init();
        });
    }
}

fn config(members: usize) -> Arc<SetConfig> {
    let each = (0..).take(members).map(|id| MemberConfig::new(id, &format!("m{id}:{PORT}"))).collect();
    Arc::new(SetConfig { term: 0, ..SetConfig::of("rs", each, false, ObjectId::from_bytes([9; 12])) })
}

fn run(seed: u64, bug: Option<Bug>) -> Outcome {
    notice_panics();
    tell_what_happens();
    PANICKED.set(false);
    let mut chance = StdRng::seed_from_u64(seed);
    let members = chance.random_range(3..=5);
    let plan = nemesis::plan(&mut chance, members, BEGIN, CALM);
    let judge = Arc::new(Judge::default());
    let config = config(members);
    let places: Vec<Arc<Place>> =
        (0..members).map(|one| Place::new(one, seed, config.clone(), bug, &judge)).collect();
    let mut sim = turmoil::Builder::new()
        .rng_seed(seed)
        .tick_duration(TICK)
        .simulation_duration(2 * END)
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(Duration::from_millis(LATENCY_MAX))
        .repair_rate(nemesis::repair_rate())
        .tcp_capacity(4096)
        .enable_random_order()
        .build();
    for (one, place) in places.iter().enumerate() {
        let place = place.clone();
        sim.host(nemesis::name(one), move || place.clone().live());
    }
    let hosts: Vec<String> = places.iter().map(|place| place.host.clone()).collect();
    for one in 0..members {
        sim.client(client::name(one), client::run(one, hosts.clone(), seed, judge.clone()));
    }
    let mut faults = plan.iter().peekable();
    let mut recovered_after = None;
    while sim.elapsed() < END && recovered_after.is_none() {
        while let Some((_, fault, begins)) = faults.next_if(|(at, ..)| *at <= sim.elapsed()) {
            tracing::info!(?fault, begins, "nemesis");
            nemesis::apply(&mut sim, &places, fault, *begins);
        }
        if sim.elapsed() >= CALM && !judge.is_calm() {
            tracing::info!("the faults are lifted");
            nemesis::heal(&mut sim, members);
            judge.calm();
        }
        let are_served = match sim.step() {
            Ok(are_served) => are_served,
            Err(error) => {
                judge.blame(format!("a process ended: {error}"));
                break;
            }
        };
        if PANICKED.get() {
            judge.blame("a task panicked".to_owned());
            break;
        }
        if are_served && agree(&places) {
            recovered_after = Some(sim.elapsed() - CALM);
        }
    }
    if recovered_after.is_none() {
        judge.blame(format!("no progress within {:?} after the faults were lifted", END - CALM));
    }
    drop(sim);
    let history: Vec<_> = places.iter().map(|place| place.data().history()).collect();
    let (blames, counts) = judge.conclude(&history);
    Outcome { blames, counts, trace: judge.trace(), recovered_after }
}

/// Whether there is a primary, and everybody has the same.
fn agree(places: &[Arc<Place>]) -> bool {
    let ends: Vec<_> = places.iter().map(|place| crate::data::Data::last(&*place.data())).collect();
    ends.windows(2).all(|pair| pair[0] == pair[1]) && places.iter().any(|place| place.accepts_writes())
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Runs seeds beside each other and hands each outcome to `check`, which says what is wrong with it.
fn each_seed(count: u64, check: impl Fn(u64, &Outcome) -> Option<String> + Sync) {
    let seeds = match number("SHOAL_SEED") {
        Some(seed) => seed..seed + 1,
        None => {
            let first = number("SHOAL_SEED_FIRST").unwrap_or(1);
            first..first + number("SHOAL_SEEDS").unwrap_or(count)
        }
    };
    let until = number("SHOAL_SECONDS").map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let (next, done) = (AtomicU64::new(seeds.start), AtomicU64::new(0));
    let failed = parking_lot::Mutex::new(Vec::new());
    let work = || {
        while until.is_none_or(|until| Instant::now() < until) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return;
            }
            let outcome = run(seed, None);
            done.fetch_add(1, Ordering::Relaxed);
            if let Some(wrong) = check(seed, &outcome) {
                println!(
                    "seed {seed}: {wrong}\nreplay: SHOAL_SEED={seed} cargo test --profile verify -p repl --lib simulation -- --nocapture"
                );
                failed.lock().push(seed);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, std::num::NonZero::get) {
            scope.spawn(work);
        }
    });
    println!("{} seeds done", done.into_inner());
    let failed = failed.into_inner();
    assert!(failed.is_empty(), "these seeds failed: {failed:?}");
}

#[test]
fn acknowledged_writes_survive_every_fault_there_is() {
    let sums = parking_lot::Mutex::new((Counts::default(), Duration::ZERO));
    each_seed(200, |seed, outcome| {
        if number("SHOAL_SEED") == Some(seed) {
            println!("{outcome:#?}");
        }
        if outcome.recovered_after > Some(SLOW) {
            println!("seed {seed} recovered only after {:?}", outcome.recovered_after);
        }
        let (sum, slowest) = &mut *sums.lock();
        *sum = sum.plus(&outcome.counts);
        *slowest = outcome.recovered_after.map_or(*slowest, |after| after.max(*slowest));
        (!outcome.blames.is_empty()).then(|| outcome.blames.join("\n"))
    });
    let (sum, slowest) = sums.into_inner();
    println!("{sum:?}, slowest recovery {slowest:?}");
    // The runs had something in them to be checked.
    assert!(
        number("SHOAL_SEED").is_some()
            || (sum.majority > 0 && sum.undone > 0 && sum.crashed > 0 && sum.lost > 0),
        "{sum:?}"
    );
}

#[test]
fn a_seed_replays_exactly() {
    for seed in 1..=10 {
        let traces: Vec<u64> = (0..3).map(|_| run(seed, None).trace).collect();
        assert!(traces.iter().all(|trace| *trace == traces[0]), "seed {seed}: {traces:?}");
    }
    assert_ne!(run(3, None).trace, run(4, None).trace);
}

/// Seeds are tried in turn until one finds the fault.
fn check_caught(bug: Bug, seeds: u64) {
    let found = (1..=seeds).find_map(|seed| {
        let outcome = run(seed, Some(bug));
        outcome.blames.first().map(|blame| (seed, blame.clone()))
    });
    println!("{bug:?}: {found:?}");
    assert!(found.is_some(), "{bug:?} was not caught");
}

#[test]
fn seeded_faults_are_caught() {
    check_caught(Bug::CommitBeforeMajority, 60);
    check_caught(Bug::NoRollback, 60);
    check_caught(Bug::IgnoreFreshness, 60);
}
