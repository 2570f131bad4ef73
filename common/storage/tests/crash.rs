//! A real process that is killed at random moments: every durable acknowledgement is there, batches are whole, nothing is doubled,
//! counts are exact, indexes equal records. `SHOAL_STORAGE_KILLS` sets how often.
//! In a binary of its own: a test that forks holds the file locks of all tests beside it for a moment.

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
use storage::{Clock, CommitMeta, Direction, Error, Options, Store};
use types::Namespace;
use value::interval::KeyRange;

const DIR: &str = "SHOAL_STORAGE_CRASH_DIR";
const KILLS_DEFAULT: u64 = 12;
const WRITERS: i32 = 3;
/// `_id` of the n-th document of a writer.
const STRIDE: i32 = 1_000_000;

/// Goes on by a millisecond with each look.
struct Ticks(AtomicI64);

impl Clock for Ticks {
    fn wall_millis(&self) -> i64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

fn open(dir: &Path) -> Store {
    let clock = Arc::new(Ticks(AtomicI64::new(1_700_000_000_000)));
    Store::open(Options {
        cache_bytes: 1 << 20,
        checkpoint_interval: Duration::from_millis(10),
        versions_bytes_max: 1 << 20,
        oplog_bytes_max: 256 * 1024,
        oplog_segment_bytes: 64 * 1024,
        sync_interval: Duration::from_millis(5),
        history_window: Duration::ZERO,
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

/// Each commit of a writer inserts its next document, changes the one before, and counts in a document of its own.
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
        match batch.commit(CommitMeta::default()) {
            Ok(at) => runtime.block_on(store.durable(at)).unwrap(),
            Err(Error::WriteConflict) => continue,
            Err(error) => panic!("{error}"),
        }
        let line = format!("ack {writer} {number}\n");
        std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
    }
}

/// The process that is killed. Does nothing when run as an ordinary test.
#[test]
fn victim() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let store = open(Path::new(&dir));
    if store.catalog().get(&ns()).is_none() {
        store.create_collection(&ns(), None, &rawdoc! {}).unwrap();
        store.create_indexes(&ns(), &[rawdoc! {"key": {"x": 1}}]).unwrap();
    }
    std::io::stdout().lock().write_all(b"ready\n").unwrap();
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let store = &store;
            scope.spawn(move || write(store, writer));
        }
    });
}

#[test]
fn a_killed_process_loses_nothing_acknowledged() {
    let kills = std::env::var("SHOAL_STORAGE_KILLS").ok().and_then(|kills| kills.parse().ok());
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged: HashMap<i32, i32> = HashMap::new();
    for kill in 0..kills.unwrap_or(KILLS_DEFAULT) {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["victim", "--exact", "--nocapture", "--test-threads=1"])
            .env(DIR, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
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
        started.recv_timeout(Duration::from_secs(60)).unwrap();
        // Not waiting for anything: the moment is meant to be arbitrary.
        started.recv_timeout(Duration::from_millis(20 + kill * 37 % 211)).unwrap_err();
        child.kill().unwrap();
        child.wait().unwrap();
        acknowledged.extend(reader.join().unwrap());
        check(&open(dir.path()), &acknowledged);
    }
    assert!(acknowledged.values().sum::<i32>() > 20, "{acknowledged:?}");
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
        expected += number as u64 + u64::from(number > 0);
        for at in 1..=number {
            let doc = snapshot.get(collection, &key(writer * STRIDE + at)).unwrap().unwrap();
            assert_eq!(doc.get_bool("done").unwrap_or(false), at < number, "half a batch");
        }
    }
    let all = snapshot.scan(collection, &KeyRange::all(), Direction::Forward).count();
    assert_eq!((all as u64, validation.records), (expected, expected));
}
