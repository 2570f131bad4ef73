//! What only the system can tell: that a flush of each engine syncs every file that was written, and what a sync that fails there comes
//! to. The tests run themselves once more, with a library in front of the system's that notes writes and syncs and lets them fail.

use super::engine::{Engine, Write};
use super::{Health, fjall::Fjall, sled::Sled};
use crate::options::{Clock, EngineKind, Options};
use crate::{CommitMeta, Error, Store};
use bytes::Bytes;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

const ENGINES: [EngineKind; 2] = [EngineKind::Sled, EngineKind::Fjall];
const DIR: &str = "SHOAL_SYNCS_DIR";
const ENGINE: &str = "SHOAL_SYNCS_ENGINE";
/// Larger than what sled keeps in its main file.
const LARGE_KEY_BYTES: usize = 3 << 20;

/// Runs a test of this file in a process of its own, and returns its writes (`w`), syncs (`s`) and failed syncs (`f`) in order.
fn run(test: &str, dir: &Path, engine: EngineKind) -> Vec<(char, PathBuf)> {
    let shim = dir.join("shim");
    fs::create_dir_all(&shim).unwrap();
    fs::write(shim.join("syncs.c"), include_str!("syncs.c")).unwrap();
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o", "syncs.so", "syncs.c", "-ldl"])
        .current_dir(&shim)
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("base::syncs::{test}"), "--ignored", "--nocapture"])
        .env("LD_PRELOAD", shim.join("syncs.so"))
        .env("SHOAL_SYNCS_LOG", dir.join("log"))
        .env("SHOAL_SYNCS_FAIL", "/data/base/")
        .env("SHOAL_SYNCS_WHEN", dir.join("failing"))
        .env(DIR, dir)
        .env(ENGINE, engine.name())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let log = fs::read_to_string(dir.join("log")).unwrap();
    log.lines().map(|line| (line.chars().next().unwrap(), PathBuf::from(&line[2..]))).collect()
}

/// In the process for [`run`].
fn given() -> (PathBuf, EngineKind) {
    let engine = std::env::var(ENGINE).unwrap();
    let engine = ENGINES.into_iter().find(|known| known.name() == engine).unwrap();
    (PathBuf::from(std::env::var(DIR).unwrap()), engine)
}

#[test]
#[ignore = "run by a_flush_syncs_every_file_that_was_written"]
fn child_flushes() {
    let (dir, kind) = given();
    let base = dir.join("base");
    let engine: Box<dyn Engine> = match kind {
        EngineKind::Fjall => Box::new(Fjall::open(&base, 1 << 20).unwrap()),
        _ => Box::new(Sled::open(&base, 1 << 20, &Health::new(&dir, None).unwrap()).unwrap()),
    };
    let put = |key: Bytes| engine.write(&[Write { key, value: Some(Bytes::from_static(b"v")) }]).unwrap();
    engine.flush().unwrap();
    for round in 0..3_u8 {
        put(Bytes::from(vec![round]));
        if kind == EngineKind::Sled {
            put(Bytes::from(vec![round; LARGE_KEY_BYTES]));
        }
        fs::write(dir.join("begin"), b"x").unwrap();
        engine.flush().unwrap();
        fs::write(dir.join("end"), b"x").unwrap();
    }
}

#[test]
fn a_flush_syncs_every_file_that_was_written() {
    for engine in ENGINES {
        let dir = tempfile::tempdir().unwrap();
        let (base, end) = (dir.path().join("base"), dir.path().join("end"));
        let log = run("child_flushes", dir.path(), engine);
        let ends: Vec<usize> =
            log.iter().enumerate().filter(|(_, (_, path))| *path == end).map(|(at, _)| at).collect();
        assert_eq!(ends.len(), 3, "{log:?}");
        let mut seen = Vec::new();
        for (round, end) in ends.iter().enumerate() {
            let log = &log[..*end];
            let last =
                |what: char, file: &Path| log.iter().rposition(|(did, path)| *did == what && path == file);
            let begin = log.iter().rposition(|(_, path)| *path == dir.path().join("begin")).unwrap();
            let written = |(what, path): &&(char, PathBuf)| *what == 'w' && path.starts_with(&base);
            for (_, file) in log.iter().filter(written) {
                assert!(last('s', file) > last('w', file), "{engine:?}, flush {round}: {}", file.display());
                // A file that came with this round stands in its directory, too.
                let first = log.iter().position(|(_, path)| path == file).unwrap();
                let blobs = base.join("blobs");
                if file.starts_with(&blobs) && first > ends.get(round.wrapping_sub(1)).copied().unwrap_or(0) {
                    assert!(last('s', &blobs) > Some(begin), "{} has no name yet", file.display());
                }
                seen.push(file.clone());
            }
        }
        let blobs = seen.iter().filter(|file| file.starts_with(base.join("blobs"))).count();
        assert!(!seen.is_empty() && (blobs > 0) == (engine == EngineKind::Sled), "{engine:?}: {seen:?}");
    }
}

struct Ticks(AtomicI64);

impl Clock for Ticks {
    fn wall_millis(&self) -> i64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

fn options(dir: &Path, engine: EngineKind) -> Options {
    Options {
        engine,
        cache_bytes: 1 << 20,
        history_window: std::time::Duration::ZERO,
        ..Options::new(dir.join("data"), Arc::new(Ticks(AtomicI64::new(1_700_000_000_000))))
    }
}

#[test]
#[ignore = "run by a_sync_that_fails_once_is_not_tried_again"]
fn child_fails() {
    let (dir, engine) = given();
    let store = Store::open(options(&dir, engine)).unwrap();
    let ns = types::Namespace::parse("d.c").unwrap();
    store.create_collection(&ns, None, &bson::rawdoc! {}).unwrap();
    let collection = store.catalog().get(&ns).unwrap().clone();
    for id in 0..100 {
        let mut batch = store.batch(store.snapshot());
        batch.insert(&collection, &bson::rawdoc! { "_id": id }).unwrap();
        batch.commit(CommitMeta::default()).unwrap();
    }
    fs::write(dir.join("failing"), b"x").unwrap();
    assert!(store.force_checkpoint().is_err());
    fs::remove_file(dir.join("failing")).unwrap();
    assert!(store.force_checkpoint().is_err(), "tried again as if it had not failed");
    assert!(store.damage().is_some());
    assert_eq!(store.metrics().checkpoints, 0);
}

#[test]
fn a_sync_that_fails_once_is_not_tried_again() {
    for engine in ENGINES {
        let dir = tempfile::tempdir().unwrap();
        let log = run("child_fails", dir.path(), engine);
        assert!(log.iter().any(|(what, _)| *what == 'f'), "{engine:?}");
        assert!(matches!(Store::open(options(dir.path(), engine)), Err(Error::Damaged(_))), "{engine:?}");
    }
}
