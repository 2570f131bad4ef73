//! Torn tails are cut, damage is told with file and offset, and nothing damaged is ever served.

use super::harness::*;
use crate::options::EngineKind;
use crate::{Error, Store};
use bson::doc;
use std::fs;
use std::path::{Path, PathBuf};
use types::Timestamp;

/// States by time, and per commit where its record starts and ends in the last segment.
struct Written {
    dir: tempfile::TempDir,
    states: Vec<(Timestamp, State)>,
    segment: PathBuf,
    ends: Vec<u64>,
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> =
        fs::read_dir(dir.join("oplog")).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|kind| kind == "log"));
    paths.sort();
    paths
}

/// Commits one after the other, each synced, within one segment.
fn write(count: i32, close: bool) -> Written {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(options(dir.path(), EngineKind::Sled)).unwrap();
    store.create_collection(&ns("d.c"), None, &raw(&doc! {})).unwrap();
    store.create_indexes(&ns("d.c"), &[raw(&doc! {"key": {"x": 1}})]).unwrap();
    store.sync().unwrap();
    let segment = segments(dir.path()).pop().unwrap();
    let mut state = State::from([("d.c".to_owned(), Records::new())]);
    let mut states = vec![(store.last_op_time().ts, state.clone())];
    let mut ends = vec![fs::metadata(&segment).unwrap().len()];
    for id in 0..count {
        let doc = doc! {"_id": id % 7, "x": id};
        let at = put(&store, "d.c", id % 7, Some(&doc)).unwrap();
        state.get_mut("d.c").unwrap().insert(id % 7, doc);
        states.push((at, state.clone()));
        store.sync().unwrap();
        ends.push(fs::metadata(&segment).unwrap().len());
    }
    assert_eq!(segments(dir.path()).len(), 1);
    if close {
        store.close().unwrap();
    }
    Written { dir, states, segment, ends }
}

fn reopened(from: &Path, damage: impl FnOnce(&Path), name: &Path) -> Result<Store, Error> {
    let dir = tempfile::tempdir().unwrap().keep();
    copy(from, &dir);
    damage(&dir.join("oplog").join(name.file_name().unwrap()));
    Store::open(options(&dir, EngineKind::Sled))
}

#[test]
fn a_torn_tail_is_cut_to_whole_commits() {
    let written = write(12, false);
    let (first, last) = (written.ends[0], *written.ends.last().unwrap());
    for cut in (first..=last).step_by(23).chain(written.ends.iter().copied()) {
        let damage = |path: &Path| fs::File::options().write(true).open(path).unwrap().set_len(cut).unwrap();
        let store = reopened(written.dir.path(), damage, &written.segment).unwrap();
        let whole = written.ends.iter().rposition(|end| *end <= cut).unwrap();
        let (at, state) = &written.states[whole];
        assert_eq!(store.last_op_time().ts, *at, "cut at {cut}");
        assert_state(&store, state);
        // And the log goes on from there.
        put(&store, "d.c", 100, Some(&doc! {"_id": 100, "x": 1})).unwrap();
        let dir = store.shared.options.dir.clone();
        drop(store);
        let store = Store::open(options(&dir, EngineKind::Sled)).unwrap();
        assert_eq!(
            store.stats(store.catalog().get(&ns("d.c")).unwrap()).records,
            state["d.c"].len() as u64 + 1
        );
        drop(store);
        fs::remove_dir_all(dir).unwrap();
    }
}

#[test]
fn damage_before_the_tail_is_refused_with_its_place() {
    for closed in [false, true] {
        let written = write(6, closed);
        let count = written.ends.len();
        for index in 1..count {
            let (start, end) = (written.ends[index - 1], written.ends[index]);
            for at in [start, start + 5, start + 20, end - 1] {
                let damage = |path: &Path| {
                    let mut bytes = fs::read(path).unwrap();
                    bytes[at as usize] ^= 0x10;
                    fs::write(path, bytes).unwrap();
                };
                let opened = reopened(written.dir.path(), damage, &written.segment);
                match opened {
                    Err(Error::Corrupt { file, offset, .. }) => {
                        assert_eq!(file.file_name(), written.segment.file_name());
                        assert_eq!(offset, start);
                    }
                    // The last record is a tail for all that anybody can know, unless the store was closed.
                    Ok(store) if index + 1 == count && !closed => {
                        assert_state(&store, &written.states[index - 1].1);
                    }
                    Ok(_) => panic!("damage at {at} was not noticed"),
                    Err(error) => panic!("{error}"),
                }
            }
        }
    }
}

#[test]
fn a_missing_segment_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(options(dir.path(), EngineKind::Sled)).unwrap();
    store.create_collection(&ns("d.c"), None, &raw(&doc! {})).unwrap();
    for id in 0..40 {
        put(&store, "d.c", id, Some(&doc! {"_id": id, "pad": "x".repeat(1000)})).unwrap();
        store.sync().unwrap();
    }
    drop(store);
    let all = segments(dir.path());
    assert!(all.len() > 3);
    fs::remove_file(&all[1]).unwrap();
    assert!(matches!(Store::open(options(dir.path(), EngineKind::Sled)), Err(Error::Corrupt { .. })));
}

#[test]
fn a_directory_is_one_process_and_one_format() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(options(dir.path(), EngineKind::Sled)).unwrap();
    let again = Store::open(options(dir.path(), EngineKind::Sled));
    assert!(matches!(again, Err(Error::Locked { .. })));
    drop(store);
    let other = Store::open(options(dir.path(), EngineKind::Memory));
    assert!(matches!(other, Err(Error::EngineMismatch { .. })));
    let path = dir.path().join("control");
    let mut bytes = fs::read(&path).unwrap();
    bytes[8] += 1;
    fs::write(&path, bytes).unwrap();
    let newer = Store::open(options(dir.path(), EngineKind::Sled));
    assert!(matches!(newer, Err(Error::Format { found: 3, supported: 2 })));
}
