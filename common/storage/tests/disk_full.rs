//! A disk that is really full: writes are refused with the code for it, reads go on, nothing acknowledged is lost, and with room
//! again a new start goes on. Needs the right to mount a small file system in memory; says so loudly when it has not.

#![allow(clippy::unwrap_used, reason = "clippy takes only cfg(test) modules for tests")]

use bson::rawdoc;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};
use storage::{Clock, CommitMeta, Direction, EngineKind, Options, Store};
use types::{Code, Namespace};
use value::interval::KeyRange;

const MIB: usize = 1024 * 1024;

struct Ticks(AtomicI64);

impl Clock for Ticks {
    fn wall_millis(&self) -> i64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

struct Mount(tempfile::TempDir);

impl Mount {
    fn new(megabytes: usize) -> Option<Mount> {
        let dir = tempfile::tempdir().unwrap();
        let done = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={megabytes}m"), "tmpfs"])
            .arg(dir.path())
            .output();
        match done {
            Ok(output) if output.status.success() => Some(Mount(dir)),
            other => {
                println!("SKIPPED: no disk of {megabytes} MB could be mounted, this needs root: {other:?}");
                None
            }
        }
    }

    fn resize(&self, megabytes: usize) {
        let done = Command::new("mount")
            .args(["-o", &format!("remount,size={megabytes}m")])
            .arg(self.0.path())
            .status()
            .unwrap();
        assert!(done.success());
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(self.0.path()).status().ok();
    }
}

fn open(dir: &Path, engine: EngineKind, checkpoint: Duration) -> Store {
    Store::open(Options {
        engine,
        cache_bytes: MIB,
        versions_bytes_max: 4 * MIB,
        checkpoint_interval: checkpoint,
        oplog_bytes_max: 2 * MIB as u64,
        oplog_segment_bytes: MIB as u64,
        history_window: Duration::ZERO,
        ..Options::new(dir, Arc::new(Ticks(AtomicI64::new(1_700_000_000_000))))
    })
    .unwrap()
}

#[test]
fn a_full_disk_refuses_writes_and_loses_nothing() {
    for engine in [EngineKind::Sled, EngineKind::Fjall] {
        let Some(mount) = Mount::new(if engine == EngineKind::Fjall { 192 } else { 64 }) else { return };
        let dir = mount.0.path().join("data");
        let store = open(&dir, engine, Duration::from_millis(200));
        let ns = Namespace::parse("d.c").unwrap();
        store.create_collection(&ns, None, &rawdoc! {}).unwrap();
        let collection = store.catalog().get(&ns).cloned().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut acknowledged = 0;
        let refused = loop {
            let mut batch = store.batch(store.snapshot());
            // Nothing that could be compressed.
            let pad = bson::Binary {
                subtype: bson::spec::BinarySubtype::Generic,
                bytes: (0..4000_u64)
                    .map(|at| {
                        (at + 7919 * acknowledged as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) as u8
                            ^ (at as u8)
                    })
                    .collect(),
            };
            batch.insert(&collection, &rawdoc! {"_id": acknowledged, "pad": pad}).unwrap();
            let done = batch.commit(CommitMeta::default());
            match done.and_then(|at| runtime.block_on(store.durable(at))) {
                Ok(()) => acknowledged += 1,
                Err(error) => break error,
            }
            assert!(acknowledged < 200_000, "the disk never got full");
        };
        assert_eq!(refused.fault().code, Code::OutOfDiskSpace, "{refused}");
        assert!(acknowledged > 100, "{acknowledged}");
        let all = |store: &Store| -> Vec<i32> {
            store
                .snapshot()
                .scan(&collection, &KeyRange::all(), Direction::Forward)
                .map(|record| record.unwrap().1.get_i32("_id").unwrap())
                .collect()
        };
        assert_eq!(all(&store), (0..acknowledged).collect::<Vec<_>>(), "reads go on");
        // With room again it goes on, without a restart.
        mount.resize(512);
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let mut batch = store.batch(store.snapshot());
            batch.insert(&collection, &rawdoc! {"_id": acknowledged}).unwrap();
            match batch.commit(CommitMeta::default()) {
                Ok(at) => break runtime.block_on(store.durable(at)).unwrap(),
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
            std::thread::park_timeout(Duration::from_millis(20));
        }
        drop(store);
        let store = open(&dir, engine, Duration::from_secs(3600));
        assert_eq!(all(&store), (0..=acknowledged).collect::<Vec<_>>());
        let collection = store.catalog().get(&ns).cloned().unwrap();
        assert_eq!(store.validate(&collection).unwrap().errors, Vec::<String>::new());
        println!("{engine:?}: full after {acknowledged} writes; all are there");
    }
}
