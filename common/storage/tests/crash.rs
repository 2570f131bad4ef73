//! A real process that is killed, at every named place and at random moments: every durable acknowledgement is there, batches
//! are whole, nothing is doubled, counts are exact, indexes equal records. The next process checks what the last one left.
//! `SHOAL_STORAGE_KILLS` sets how often. In a binary of its own: a test that forks holds the file locks of all tests beside it
//! for a moment.

#![allow(clippy::unwrap_used, reason = "clippy takes only cfg(test) modules for tests")]

use bson::{RawBsonRef, rawdoc};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use storage::{
    Clock, CommitMeta, Direction, EngineKind, Error, FAIL_POINTS, Located, Options, REPLICA_POINTS, Store,
};
use types::{Namespace, Timestamp};
use value::interval::KeyRange;

const DIR: &str = "SHOAL_STORAGE_CRASH_DIR";
const ENGINE: &str = "SHOAL_STORAGE_CRASH_ENGINE";
/// What was acknowledged to processes before: `writer=number,…`.
const ACKED: &str = "SHOAL_STORAGE_CRASH_ACKED";
const FAIL_POINT: &str = "SHOAL_FAILPOINT";
/// Over both engines.
const KILLS_DEFAULT: usize = 204;
const WRITERS: i32 = 3;
/// `_id` of the n-th document of a writer.
const STRIDE: i32 = 1_000_000;
/// Documents of a writer are removed again after this many more, so that checks stay short.
const KEPT: i32 = 60;
/// A process that was to end at a named place and does not come there is killed after this.
const PATIENCE: Duration = Duration::from_millis(1500);

/// Goes on by a millisecond with each look.
struct Ticks(AtomicI64);

impl Clock for Ticks {
    fn wall_millis(&self) -> i64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

fn open(dir: &Path, engine: EngineKind) -> Store {
    let lag = Arc::new(AtomicI64::new(0));
    // Now and then nothing is stable for a while, so that versions are spilled.
    open_with(dir, engine, true, move || {
        let looks = lag.fetch_add(1, Ordering::Relaxed);
        if looks % 200 < 120 { Timestamp::MAX } else { Timestamp::ZERO }
    })
}

fn open_with(
    dir: &Path,
    engine: EngineKind,
    writable: bool,
    majority: impl Fn() -> Timestamp + Send + Sync + 'static,
) -> Store {
    let clock = Arc::new(Ticks(AtomicI64::new(1_700_000_000_000)));
    Store::open(Options {
        engine,
        cache_bytes: 1 << 20,
        checkpoint_interval: Duration::from_millis(10),
        versions_bytes_max: 256 << 10,
        oplog_bytes_max: 128 * 1024,
        oplog_segment_bytes: 32 * 1024,
        sync_interval: Duration::from_millis(5),
        history_window: Duration::ZERO,
        majority_point: Some(Arc::new(majority)),
        writable,
        ..Options::new(dir, clock)
    })
    .unwrap()
}

fn ns() -> Namespace {
    Namespace::parse("d.c").unwrap()
}

fn key(id: i32) -> Vec<u8> {
    value::key::of(RawBsonRef::Int32(id))
}

/// Each commit of a writer inserts its next document, changes the one before, removes an old one, and counts in a document of
/// its own.
fn write(store: &Store, writer: i32) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let catalog = store.catalog();
    let collection = catalog.get(&ns()).unwrap();
    loop {
        let mut batch = store.batch(store.snapshot());
        let counter = key(-1 - writer);
        let old = batch.get(collection, &counter).unwrap();
        let number = old.as_ref().map_or(0, |doc| doc.get_i32("n").unwrap()) + 1;
        let new = rawdoc! {"_id": -1 - writer, "n": number, "x": number % 5};
        match &old {
            Some(old) => batch.update(collection, &counter, old, &new).unwrap(),
            None => drop(batch.insert(collection, &new).unwrap()),
        }
        let id = writer * STRIDE + number;
        let pad = "p".repeat((number % 40) as usize * 50);
        batch.insert(collection, &rawdoc! {"_id": id, "x": [number, number + 1], "pad": pad}).unwrap();
        if number > 1 {
            let last = batch.get(collection, &key(id - 1)).unwrap().unwrap();
            let done = rawdoc! {"_id": id - 1, "x": number - 1, "done": true};
            batch.update(collection, &key(id - 1), &last, &done).unwrap();
        }
        if number > KEPT {
            let last = batch.get(collection, &key(id - KEPT)).unwrap().unwrap();
            batch.delete(collection, &key(id - KEPT), &last).unwrap();
        }
        match batch.commit(CommitMeta::default()) {
            Ok(at) => runtime.block_on(store.durable(at)).unwrap(),
            Err(Error::WriteConflict) => continue,
            Err(error) => panic!("{error}"),
        }
        tell(&format!("ack {writer} {number}\n"));
    }
}

fn tell(line: &str) {
    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
}

/// The process that is killed. Does nothing when run as an ordinary test.
#[test]
fn victim() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let (engine, acked) = told();
    let store = open(Path::new(&dir), engine);
    prepare(&store, &acked);
    tell("ready\n");
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let store = &store;
            scope.spawn(move || write(store, writer));
        }
    });
}

/// What the process was told: the engine, and what others have acknowledged.
fn told() -> (EngineKind, HashMap<i32, i32>) {
    let engine = if std::env::var(ENGINE).unwrap() == "fjall" { EngineKind::Fjall } else { EngineKind::Sled };
    let acked = std::env::var(ACKED)
        .unwrap()
        .split(',')
        .filter_map(|pair| pair.split_once('='))
        .map(|(writer, number)| (writer.parse().unwrap(), number.parse().unwrap()))
        .collect();
    (engine, acked)
}

fn prepare(store: &Store, acked: &HashMap<i32, i32>) {
    store.resume_builds().unwrap();
    if store.catalog().get(&ns()).is_none() {
        assert!(acked.is_empty(), "the collection is gone");
        store.create_collection(&ns(), None, &rawdoc! {}).unwrap();
    }
    if store.catalog().get(&ns()).unwrap().index("x_1").is_none() {
        assert!(acked.is_empty(), "the index is gone");
        store.create_indexes(&ns(), &[rawdoc! {"key": {"x": 1}}]).unwrap();
        store.sync().unwrap();
    }
    check(store, acked);
}

/// A primary and a follower in one process that is killed. The follower must become what the primary is whenever the process
/// ended: while records were applied, while indexes were built, while everything was copied.
#[test]
fn victim_pair() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let (engine, acked) = told();
    let primary = open(&Path::new(&dir).join("primary"), engine);
    prepare(&primary, &acked);
    let durable = primary.durable_watch();
    let majority = move || durable.borrow().at.ts;
    let follower = open_with(&Path::new(&dir).join("follower"), engine, false, majority);
    match follower.importing() {
        Some(import) if import.catalog.is_some() => copy(&primary, &follower),
        Some(_) => start_copy(&primary, &follower),
        None => {
            // What the primary had not synced is gone there.
            let times = follower.op_times_before(None, usize::MAX).unwrap();
            let common = times.iter().find(|at| primary.locate(**at).unwrap() == Located::Found);
            match common {
                Some(common) if *common == follower.last_op_time() => {}
                Some(common) => drop(follower.roll_back_to(*common).unwrap()),
                // The log of the primary goes on later, or has nothing of the follower's.
                None if primary.locate(follower.last_op_time()).unwrap() == Located::Found => {}
                None => start_copy(&primary, &follower),
            }
        }
    }
    catch_up(&primary, &follower);
    check(&follower, &acked);
    let records = |store: &Store| store.stats(store.catalog().get(&ns()).unwrap()).records;
    assert_eq!(records(&follower), records(&primary));
    tell("ready\n");
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let store = &primary;
            scope.spawn(move || write(store, writer));
        }
        let (primary, follower) = (&primary, &follower);
        scope.spawn(move || {
            for round in 1.. {
                ship(primary, follower, 20);
                if round % 5 == 0 {
                    let name = Namespace::parse(&format!("d.t{}", round % 3)).unwrap();
                    if primary.drop_collection(&name).is_err() {
                        primary.create_collection(&name, None, &rawdoc! {}).unwrap();
                    }
                    match primary.drop_index(&ns(), "y_1") {
                        Ok(_) => {}
                        Err(_) => drop(primary.create_indexes(&ns(), &[rawdoc! {"key": {"y": 1}}]).unwrap()),
                    }
                }
                if round % 30 == 0 {
                    start_copy(primary, follower);
                    catch_up(primary, follower);
                }
            }
        });
    });
}

/// Applies up to so many records; says whether there were any.
fn ship(primary: &Store, follower: &Store, most: usize) -> bool {
    let records = match primary.records_after(follower.last_op_time()) {
        Ok(cursor) => cursor.take(most).collect::<Result<Vec<_>, _>>(),
        Err(error) => Err(error),
    };
    match records {
        Ok(records) => {
            follower.apply(&records).unwrap();
            !records.is_empty()
        }
        Err(Error::OplogPositionLost { .. }) => {
            start_copy(primary, follower);
            true
        }
        Err(error) => panic!("{error}"),
    }
}

fn catch_up(primary: &Store, follower: &Store) {
    loop {
        let more = ship(primary, follower, 50);
        let last = follower.last_op_time();
        if follower.importing().is_some_and(|import| last.ts >= import.newest) {
            follower.finish_import(last).unwrap();
        }
        if !more && follower.importing().is_none() {
            return;
        }
    }
}

fn start_copy(primary: &Store, follower: &Store) {
    primary.sync().unwrap();
    follower.begin_import(primary.last_op_time()).unwrap();
    copy(primary, follower);
}

/// Copies what is not noted as copied. A part of the log may have been applied by a process before this one: then all is there.
fn copy(primary: &Store, follower: &Store) {
    let import = follower.importing().unwrap();
    if follower.last_op_time() != import.from {
        return;
    }
    primary.sync().unwrap();
    let snapshot = primary.snapshot();
    primary.sync().unwrap();
    if import.catalog.is_none() {
        let catalog = primary.export_catalog(&snapshot).unwrap();
        follower.import_catalog(snapshot.timestamp(), &catalog).unwrap();
    }
    let mut done = import.progress.clone();
    for collection in follower.catalog().all() {
        let name = std::ffi::CString::new(collection.ns.as_str()).unwrap();
        let name = <&bson::raw::CStr>::try_from(name.to_str().unwrap()).unwrap();
        if done.get(name).unwrap().is_some() {
            continue;
        }
        match primary.export_records(&snapshot, collection.uuid, &KeyRange::all(), 4096) {
            Ok(export) => {
                for batch in export {
                    follower.import_records(collection.uuid, snapshot.timestamp(), &batch.unwrap()).unwrap();
                }
            }
            // Dropped meanwhile.
            Err(Error::NamespaceNotFound { .. }) => {}
            Err(error) => panic!("{error}"),
        }
        done.append(name, true);
        follower.set_import_progress(done.clone()).unwrap();
    }
}

/// How a process ends.
#[derive(Debug, Clone, Copy)]
enum End {
    At(&'static str, u64),
    After(Duration),
}

/// A draw from `0..below`, the same in every run.
fn draw(state: &mut u64, below: u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) % below
}

/// Starts a process, lets it end, and takes note of what it acknowledged. Says whether it came to the named place.
fn life(dir: &Path, engine: &str, victim: &str, end: End, acked: &mut HashMap<i32, i32>) -> bool {
    let told: Vec<String> = acked.iter().map(|(writer, number)| format!("{writer}={number}")).collect();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([victim, "--exact", "--nocapture", "--test-threads=1"])
        .env(DIR, dir)
        .env(ENGINE, engine)
        .env(ACKED, told.join(","))
        .env_remove(FAIL_POINT)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if let End::At(name, times) = end {
        command.env(FAIL_POINT, format!("{name}:{times}"));
    }
    let mut child = command.spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut errors = child.stderr.take().unwrap();
    let told = thread::spawn(move || {
        let mut text = String::new();
        std::io::Read::read_to_string(&mut errors, &mut text).ok();
        text
    });
    let (ready, started) = mpsc::channel();
    let reader = thread::spawn(move || {
        let mut last = HashMap::new();
        for line in lines.map_while(Result::ok) {
            let words: Vec<&str> = line.split(' ').collect();
            match words.as_slice() {
                // The test runner prints on the same line before the first one.
                [.., "ready"] => ready.send(()).unwrap(),
                [.., "ack", writer, number] => {
                    last.insert(writer.parse::<i32>().unwrap(), number.parse::<i32>().unwrap());
                }
                _ => {}
            }
        }
        last
    });
    let wait = |time| started.recv_timeout(time);
    // Ends with its output: when it is told that it is ready, or by its own hand before.
    let is_ready = wait(Duration::from_secs(60)).is_ok();
    let by_itself = match end {
        End::At(..) => wait(PATIENCE) == Err(mpsc::RecvTimeoutError::Disconnected),
        End::After(time) => wait(time) == Err(mpsc::RecvTimeoutError::Disconnected),
    };
    child.kill().ok();
    let status = child.wait().unwrap();
    acked.extend(reader.join().unwrap());
    let errors = told.join().unwrap();
    let aborted = std::os::unix::process::ExitStatusExt::signal(&status) == Some(6);
    match end {
        End::At(..) if by_itself => assert!(aborted, "{end:?}: {status}: {errors}"),
        End::At(..) => assert!(is_ready, "{end:?}: {errors}"),
        End::After(_) => assert!(is_ready && !by_itself, "{end:?}: {status}: {errors}"),
    }
    by_itself
}

fn lives(engine: &'static str, victim: &str, points: &[&'static str], kills: usize) {
    let dir = tempfile::tempdir().unwrap();
    let mut acked = HashMap::new();
    let mut seed = 7;
    let mut reached: HashMap<&str, usize> = HashMap::new();
    for kill in 0..kills {
        // Two of three at a named place.
        let end = if kill % 3 == 2 {
            End::After(Duration::from_millis(1 + draw(&mut seed, 60)))
        } else {
            let point = points[(kill - kill / 3) % points.len()];
            End::At(point, 1 + draw(&mut seed, 4))
        };
        if life(dir.path(), engine, victim, end, &mut acked)
            && let End::At(name, _) = end
        {
            *reached.entry(name).or_default() += 1;
        }
    }
    // Once more, to see what the last one left.
    life(dir.path(), engine, victim, End::After(Duration::from_millis(1)), &mut acked);
    println!("{victim} on {engine}: {kills} kills, {acked:?} acknowledged, ended by itself at {reached:?}");
    assert!(acked.values().sum::<i32>() > 20, "{acked:?}");
    if kills >= 100 {
        let missed: Vec<_> = points.iter().filter(|point| !reached.contains_key(**point)).collect();
        assert!(missed.is_empty(), "never came to {missed:?}");
    }
}

#[test]
fn a_killed_process_loses_nothing_acknowledged() {
    // Not again in the process that is killed.
    if std::env::var(DIR).is_ok() {
        return;
    }
    let kills = std::env::var("SHOAL_STORAGE_KILLS").ok().and_then(|kills| kills.parse().ok());
    let each = kills.unwrap_or(KILLS_DEFAULT).div_ceil(2);
    thread::scope(|scope| {
        scope.spawn(|| lives("sled", "victim", FAIL_POINTS, each));
        scope.spawn(|| lives("fjall", "victim", FAIL_POINTS, each));
    });
}

#[test]
fn a_killed_follower_becomes_what_the_primary_is() {
    if std::env::var(DIR).is_ok() {
        return;
    }
    let kills = std::env::var("SHOAL_STORAGE_KILLS").ok().and_then(|kills| kills.parse().ok());
    let each = kills.unwrap_or(KILLS_DEFAULT).div_ceil(2);
    thread::scope(|scope| {
        scope.spawn(|| lives("sled", "victim_pair", REPLICA_POINTS, each));
        // Only sled's import has keys before their records.
        let points: Vec<_> =
            REPLICA_POINTS.iter().copied().filter(|point| *point != "keys-imported").collect();
        scope.spawn(move || lives("fjall", "victim_pair", &points, each));
    });
}

fn check(store: &Store, acknowledged: &HashMap<i32, i32>) {
    let catalog = store.catalog();
    let collection = catalog.get(&ns()).unwrap();
    let validation = store.validate(collection).unwrap();
    assert_eq!(validation.errors, Vec::<String>::new());
    let snapshot = store.snapshot();
    let mut expected = 0;
    for writer in 0..WRITERS {
        let counter = snapshot.get(collection, &key(-1 - writer)).unwrap();
        let number = counter.map_or(0, |doc| doc.get_i32("n").unwrap());
        assert!(number >= acknowledged.get(&writer).copied().unwrap_or(0), "writer {writer} lost something");
        let first = (number - KEPT).max(0) + 1;
        expected += u64::from(number > 0) + (first..=number).count() as u64;
        for at in first..=number {
            let doc = snapshot.get(collection, &key(writer * STRIDE + at)).unwrap().unwrap();
            assert_eq!(doc.get_bool("done").unwrap_or(false), at < number, "half a batch");
        }
    }
    let all = snapshot.scan(collection, &KeyRange::all(), Direction::Forward).count();
    assert_eq!((all as u64, validation.records), (expected, expected));
}
