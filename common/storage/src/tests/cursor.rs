//! Cursors over a log of many segments: they read what they need and no more, and say so when the log has gone on without them.

use super::harness::*;
use crate::oplog::collection::record_key;
use crate::options::{EngineKind, Options};
use crate::{Direction, Error, Located, Store};
use bson::doc;
use std::path::{Path, PathBuf};
use types::{OpTime, Timestamp};
use value::interval::KeyRange;

/// Records that share a segment, at most.
const SEGMENT_RECORDS: usize = 16;

fn filled(store: &Store, count: i32) -> Vec<Timestamp> {
    (0..count)
        .map(|id| put(store, "d.c", id, Some(&doc! {"_id": id, "pad": "x".repeat(500)})).unwrap())
        .collect()
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(dir.join("oplog")).unwrap().map(|file| file.unwrap().path());
    let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|is| is == "log")).collect();
    files.sort();
    files
}

/// Flips a bit amid a segment: whoever reads all of it fails.
fn damage(segment: &Path) {
    let mut bytes = std::fs::read(segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(segment, bytes).unwrap();
}

/// A log of many segments of which only the newest are whole: what reads the others is told so.
fn reopened_over_damage(change: impl FnOnce(&mut Options)) -> (tempfile::TempDir, Store, Vec<OpTime>) {
    let dir = tempfile::tempdir().unwrap();
    let mut options = options(dir.path(), EngineKind::Sled);
    let store = Store::open(options.clone()).unwrap();
    store.create_collection(&ns("d.c"), None, &raw(&doc! {})).unwrap();
    let written = filled(&store, 100);
    let term = store.last_op_time().term;
    store.close().unwrap();
    drop(store);
    let paths = segments(dir.path());
    assert!(paths.len() > 6);
    for path in &paths[..4] {
        damage(path);
    }
    change(&mut options);
    let store = Store::open(options).unwrap();
    (dir, store, written.into_iter().map(|ts| OpTime { ts, term }).collect())
}

/// After a start nothing of the log is known but its end.
#[test]
fn a_cursor_reads_no_segment_but_its_own() {
    let (_dir, store, written) = reopened_over_damage(|_| {});
    for from in [4 * SEGMENT_RECORDS, 90, 99] {
        assert_eq!(store.locate(written[from]).unwrap(), Located::Found);
        let rest: Vec<_> =
            store.records_after(written[from]).unwrap().map(|record| record.unwrap().at).collect();
        assert_eq!(rest, written[from + 1..]);
        let entries = store.oplog().after(written[from].ts).unwrap();
        assert_eq!(entries.map(|entry| entry.unwrap().op_time).collect::<Vec<_>>(), written[from + 1..]);
    }
    assert_eq!(store.op_times_before(None, 2).unwrap(), [written[99], written[98]]);
    assert_eq!(store.op_times_before(Some(written[80]), 1).unwrap(), [written[79]]);
    assert!(store.first_op_time().unwrap().unwrap() < written[0]);
    // What is damaged is met by those who read it.
    assert!(store.oplog().scan(Direction::Forward).unwrap().any(|entry| entry.is_err()));
}

/// Segments that go are not read for it, but for the one whose end is in question.
#[test]
fn what_is_dropped_is_not_read() {
    let (dir, store, _) = reopened_over_damage(|options| options.oplog_bytes_max = 20 * 1024);
    put(&store, "d.c", 200, Some(&doc! {"_id": 200})).unwrap();
    store.force_checkpoint().unwrap();
    assert!(store.oplog().bytes() <= 20 * 1024);
    assert!(segments(dir.path()).len() <= 3);
}

/// A store with a log of a few segments, and the times of some writes.
fn small(dir: &Path) -> (Store, Vec<Timestamp>) {
    let mut options = options(dir, EngineKind::Sled);
    options.oplog_bytes_max = 20 * 1024;
    let store = Store::open(options).unwrap();
    store.create_collection(&ns("d.c"), None, &raw(&doc! {})).unwrap();
    let written = filled(&store, 40);
    (store, written)
}

/// Writes until the log has lost a time.
fn roll_past(store: &Store, at: Timestamp) {
    filled(store, 100);
    store.force_checkpoint().unwrap();
    assert!(matches!(store.oplog().after(at), Err(Error::OplogPositionLost { .. })));
}

fn is_lost<T>(next: Option<Result<T, Error>>) -> bool {
    matches!(next, Some(Err(Error::OplogPositionLost { .. })))
}

#[test]
fn a_reader_that_falls_behind_the_log_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (store, written) = small(dir.path());
    let log = store.oplog();
    let mut entries = log.after(written[0]).unwrap();
    let mut records = store.records_after(OpTime { ts: written[0], term: 1 }).unwrap();
    let catalog = store.catalog();
    let collection = catalog.get(&ns("d.c")).unwrap();
    let mut changes = log.changes(written[0], collection, &KeyRange::all()).unwrap();
    let mut all = log.scan(Direction::Forward).unwrap();
    all.next().unwrap().unwrap();
    assert_eq!(entries.next().unwrap().unwrap().op_time.ts, written[1]);
    assert_eq!(records.next().unwrap().unwrap().at.ts, written[1]);
    assert_eq!(changes.next().unwrap().unwrap().op_time.ts, written[1]);
    // One that has read everything may fall behind as well.
    let mut end = log.after(store.last_op_time().ts).unwrap();
    assert!(end.next().is_none());
    roll_past(&store, written[39]);
    // The rest of the segment that it has open, without a gap.
    for at in &written[2..] {
        match entries.next() {
            Some(Ok(entry)) => assert_eq!(entry.op_time.ts, *at),
            lost => {
                assert!(is_lost(lost));
                break;
            }
        }
    }
    // And told again, never that nothing is left.
    assert!(is_lost(entries.next()) && is_lost(entries.next()));
    assert!(is_lost(records.find(Result::is_err)) && is_lost(records.next()));
    assert!(is_lost(changes.find(Result::is_err)) && is_lost(changes.next()));
    assert!(is_lost(all.find(Result::is_err)) && is_lost(all.next()));
    assert!(is_lost(end.find(Result::is_err)) && is_lost(end.next()));
}

/// As a collection: who asks for a range gets what is there of it, who goes on behind a record gets all that follows or is told.
#[test]
fn a_scan_of_the_log_goes_on_without_a_gap_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let (store, written) = small(dir.path());
    roll_past(&store, written[39]);
    let catalog = store.catalog();
    let log = catalog.get(&ns("local.oplog.rs")).unwrap();
    let scan =
        |start: Vec<u8>| store.snapshot().scan(log, &KeyRange { start, end: None }, Direction::Forward);
    let oldest = scan(Vec::new()).next().unwrap().unwrap().0;
    let inclusive = record_key(written[20]).to_vec();
    let exclusive = value::interval::successor(&inclusive).unwrap();
    for start in [inclusive.clone(), exclusive] {
        assert_eq!(scan(start).next().unwrap().unwrap().0, oldest);
    }
    let behind = |key: &[u8]| [key, &[0]].concat();
    assert!(is_lost(scan(behind(&inclusive)).next()));
    assert!(scan(behind(&oldest)).next().unwrap().unwrap().0 > oldest);
}

/// However small the log may be, it says where it ends.
#[test]
fn the_last_record_stays() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = options(dir.path(), EngineKind::Sled);
    options.oplog_bytes_max = 1;
    let store = Store::open(options.clone()).unwrap();
    store.create_collection(&ns("d.c"), None, &raw(&doc! {})).unwrap();
    // Until a segment was begun that has nothing yet.
    let is_empty = |path: &PathBuf| std::fs::metadata(path).unwrap().len() < 100;
    for id in 0.. {
        put(&store, "d.c", id, Some(&doc! {"_id": id, "pad": "x".repeat(500)})).unwrap();
        store.sync().unwrap();
        if segments(dir.path()).last().is_some_and(is_empty) {
            break;
        }
    }
    store.force_checkpoint().unwrap();
    let last = store.last_op_time();
    drop(store);
    let store = Store::open(options).unwrap();
    assert_eq!(store.last_op_time(), last);
    assert_eq!(store.locate(last).unwrap(), Located::Found);
}
