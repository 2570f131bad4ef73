//! Disks that fail: full, refusing to sync, forgetting what was not synced, flipping bits. Nothing acknowledged is lost, nothing
//! damaged is served, and a failed sync is never tried again.

use super::harness::*;
use crate::options::EngineKind;
use crate::{Direction, Error, Store};
use bson::{Document, doc};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use types::Code;

fn wait(store: &Store, at: types::OpTime) -> Result<(), Error> {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(store.durable(at))
}

fn filled(store: &Store, count: i32) -> Records {
    store.create_collection(&ns("d.c"), None, &raw(&doc! {})).unwrap();
    store.create_indexes(&ns("d.c"), &[raw(&doc! {"key": {"x": 1}})]).unwrap();
    (0..count)
        .map(|id| {
            let doc = doc! {"_id": id, "x": id % 10, "pad": "p".repeat((id % 50) as usize * 20)};
            put(store, "d.c", id, Some(&doc)).unwrap();
            (id, doc)
        })
        .collect()
}

#[test]
fn a_failed_write_or_sync_ends_writing_and_is_never_tried_again() {
    for (call, errno, code) in [
        ("sync", EIO, Code::InternalError),
        ("write", EIO, Code::InternalError),
        ("write", ENOSPC, Code::OutOfDiskSpace),
        ("sync", ENOSPC, Code::OutOfDiskSpace),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let mut options = options(dir.path(), EngineKind::Sled);
        // Only when somebody asks.
        options.sync_interval = std::time::Duration::from_secs(3600);
        let store = Store::open(options.clone()).unwrap();
        let records = filled(&store, 20);
        let acknowledged = store.last_op_time();
        wait(&store, acknowledged).unwrap();
        *store.shared.log.faulty.lock() = Some((call, errno));
        put(&store, "d.c", 100, Some(&doc! {"_id": 100})).unwrap();
        let refused = wait(&store, store.last_op_time()).unwrap_err();
        assert_eq!(refused.fault().code, code, "{call} {errno}: {refused}");
        // Even where the disk would take it again.
        *store.shared.log.faulty.lock() = None;
        let refused = put(&store, "d.c", 101, Some(&doc! {"_id": 101})).unwrap_err();
        assert_eq!(refused.fault().code, code, "{refused}");
        assert!(store.sync().is_err() && store.close().is_err());
        assert_eq!(store.shared.log.faults.load(Ordering::Relaxed), 1);
        assert_eq!(store.durable_op_time(), acknowledged);
        // Reads go on.
        let found = read(&store.snapshot(), &store, "d.c", Direction::Forward);
        assert!(found.len() >= records.len());
        drop(store);
        let store = Store::open(options).unwrap();
        let found = read(&store.snapshot(), &store, "d.c", Direction::Forward);
        assert!(found.starts_with(&records.into_iter().collect::<Vec<_>>()));
    }
}

/// The system tells a failed sync once, and keeps serving what it could not write: to sync again and go on would drop the log of
/// records that are on no disk.
#[test]
fn a_failed_sync_of_the_base_ends_the_store() {
    for errno in [EIO, ENOSPC] {
        for after in 0..3 {
            let dir = tempfile::tempdir().unwrap();
            let base = Fragile::default();
            let open = |base: &Fragile| {
                let base = base.clone();
                Store::open_on(options(dir.path(), EngineKind::Sled), move |_, _, _| Ok(Arc::new(base)))
            };
            let store = open(&base).unwrap();
            let records = filled(&store, 200);
            base.fail_flush(after, errno);
            assert!(store.force_checkpoint().is_err());
            assert!(
                store.force_checkpoint().is_err(),
                "{errno} {after}: tried again as if it had not failed"
            );
            let damage = store.damage().expect("told").to_owned();
            assert!(damage.contains("sync"), "{damage}");
            assert!(store.close().is_err());
            drop(store);
            // Not even the next start may believe what the system still shows.
            assert!(matches!(open(&base), Err(Error::Damaged(_))));
            // After a loss of power the log has all that the disk has not.
            fs::remove_file(dir.path().join("damaged")).unwrap();
            let store = open(&base.crash(0)).unwrap();
            assert_state(&store, &State::from([("d.c".to_owned(), records)]));
            store.force_checkpoint().unwrap();
        }
    }
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> =
        fs::read_dir(dir.join("oplog")).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|kind| kind == "log"));
    paths.sort();
    paths
}

/// After a power loss the disk has what was synced, any part of what was written after that, and the last sector half.
#[test]
fn what_was_not_synced_may_be_lost_and_torn() {
    let mut seed = 11_u64;
    let mut draw = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below.max(1)
    };
    for round in 0..60 {
        let dir = tempfile::tempdir().unwrap();
        let base = Fragile::default();
        let mut options = options(dir.path(), EngineKind::Sled);
        options.sync_interval = std::time::Duration::from_secs(3600);
        options.oplog_segment_bytes = 1 << 20;
        let open = |dir: &Path, base: &Fragile| {
            let base = base.clone();
            let options = crate::Options { dir: dir.to_owned(), ..options.clone() };
            Store::open_on(options, move |_, _, _| Ok(Arc::new(base)))
        };
        let store = open(dir.path(), &base).unwrap();
        let mut state = Records::new();
        let mut states = Vec::new();
        filled(&store, 0);
        store.sync().unwrap();
        let mut synced = (0, fs::metadata(segments(dir.path()).last().unwrap()).unwrap().len());
        states.push(state.clone());
        for number in 0..40 {
            let id = draw(12) as i32;
            let doc = doc! {"_id": id, "x": number, "pad": "p".repeat(draw(900) as usize)};
            put(&store, "d.c", id, Some(&doc)).unwrap();
            state.insert(id, doc);
            states.push(state.clone());
            match draw(8) {
                0 => {
                    store.sync().unwrap();
                    let length = fs::metadata(segments(dir.path()).last().unwrap()).unwrap().len();
                    synced = (states.len() - 1, length);
                }
                1 => store.force_checkpoint().unwrap_or(()),
                _ => store.shared.log.write_out().unwrap(),
            }
            // A checkpoint syncs as well.
            if store.durable_op_time() == store.last_op_time() {
                let length = fs::metadata(segments(dir.path()).last().unwrap()).unwrap().len();
                synced = (states.len() - 1, length);
            }
        }
        let left = base.crash(draw(101) as usize);
        let after = tempfile::tempdir().unwrap();
        copy(dir.path(), after.path());
        let segment = segments(after.path()).pop().unwrap();
        let mut bytes = fs::read(&segment).unwrap();
        let whole = bytes.len() as u64;
        let keep = synced.1 + draw(whole - synced.1 + 1);
        bytes.truncate(keep as usize);
        // A sector of which only a part was written, or the file grew before its content came.
        let torn = (keep - (keep % 512)).max(synced.1) as usize;
        match draw(3) {
            0 => bytes[torn..].fill(0),
            1 => bytes.resize((keep + draw(2000)) as usize, 0),
            _ => {}
        }
        fs::write(&segment, &bytes).unwrap();
        let store = open(after.path(), &left).unwrap();
        let found: Records = read(&store.snapshot(), &store, "d.c", Direction::Forward).into_iter().collect();
        let place = states.iter().rposition(|state| *state == found);
        assert!(place.is_some_and(|place| place >= synced.0), "round {round}: {place:?}, synced {synced:?}");
        assert_state(&store, &State::from([("d.c".to_owned(), found)]));
    }
}

/// All records, or why not.
fn contents(dir: &Path, engine: EngineKind) -> Result<Vec<(i32, Document)>, Error> {
    let store = Store::open(options(dir, engine))?;
    let catalog = store.catalog();
    let collection = catalog
        .get(&ns("d.c"))
        .ok_or_else(|| Error::Damaged("the collection is gone, and nobody said so".to_owned()))?;
    let mut found = Vec::new();
    for record in store.snapshot().scan(collection, &value::interval::KeyRange::all(), Direction::Forward) {
        let doc = Document::try_from(&*record?.1).unwrap();
        found.push((doc.get_i32("_id").unwrap(), doc));
    }
    Ok(found)
}

fn files(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, out) } else { out.push(path) }
    }
}

#[test]
fn flipped_bits_of_the_base_are_never_served() {
    const FLIPS: usize = 120;
    for engine in [EngineKind::Sled, EngineKind::Fjall] {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = options(dir.path(), engine);
        settings.oplog_bytes_max = 1;
        let store = Store::open(settings).unwrap();
        let records: Vec<(i32, Document)> = filled(&store, 400).into_iter().collect();
        store.close().unwrap();
        drop(store);
        assert_eq!(contents(dir.path(), engine).unwrap(), records);
        let mut paths = Vec::new();
        files(&dir.path().join("base"), &mut paths);
        paths.sort();
        paths.retain(|path| fs::metadata(path).unwrap().len() > 0);
        let (mut told, mut harmless, mut missed) = (0, 0, Vec::new());
        for number in 0..FLIPS {
            let copied = tempfile::tempdir().unwrap();
            copy(dir.path(), copied.path());
            let path = &paths[number % paths.len()];
            let target = copied.path().join(path.strip_prefix(dir.path()).unwrap());
            let mut bytes = fs::read(&target).unwrap();
            // Where there is something.
            let places: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
            let Some(at) = places.get(places.len() * number / FLIPS) else { continue };
            bytes[*at] ^= 1 << (number % 8);
            fs::write(&target, bytes).unwrap();
            let outcome = std::panic::catch_unwind(|| contents(copied.path(), engine));
            match outcome {
                Ok(Ok(found)) if found == records => harmless += 1,
                Ok(Ok(found)) => missed.push((target, *at, found.len())),
                // An engine that panics serves nothing either.
                Ok(Err(_)) | Err(_) => told += 1,
            }
        }
        println!("{engine:?}: {told} told, {harmless} harmless");
        assert_eq!(missed, Vec::new(), "{engine:?}");
    }
}
