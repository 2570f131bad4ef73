//! Syncs that meet a failure: of two that go on at once the system may tell only one. Nobody hears that something is on disk after that.

use super::harness::*;
use crate::oplog::AmidSync;
use crate::options::EngineKind;
use crate::{Error, Store};
use bson::doc;
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

const EIO: i32 = 5;
/// Long enough for another thread to do what it must not.
const MOMENT: Duration = Duration::from_millis(100);

/// A store that syncs when it is asked to, with one entry that is synced.
fn quiet(dir: &std::path::Path) -> Store {
    let mut options = options(dir, EngineKind::Memory);
    options.sync_interval = Duration::from_secs(3600);
    options.oplog_segment_bytes = 64 * 1024;
    let store = Store::open(options).unwrap();
    store.create_collection(&ns("d.c"), None, &raw(&doc! {})).unwrap();
    store.sync().unwrap();
    store
}

/// The next syncs stop between the disk's word and their own: told when one is there, goes on when told.
fn hold_syncs(store: &Store) -> (mpsc::Receiver<()>, mpsc::Sender<()>) {
    let (there, arrived) = mpsc::channel();
    let (go_on, may_go) = mpsc::channel::<()>();
    let may_go = parking_lot::Mutex::new(may_go);
    let hold = move || {
        there.send(()).ok();
        // A test that failed lets nobody hang.
        may_go.lock().recv_timeout(Duration::from_secs(10)).ok();
    };
    *store.shared.log.amid_sync.lock() = Some(Arc::new(AmidSync(Box::new(hold))));
    (arrived, go_on)
}

fn is_poisoned(outcome: &Result<(), Error>) -> bool {
    matches!(outcome, Err(Error::Poisoned { .. } | Error::Io { .. }))
}

/// A write that fails while another thread's sync is done and not told yet.
#[test]
fn nothing_is_told_after_a_failure() {
    let dir = tempfile::tempdir().unwrap();
    let store = quiet(dir.path());
    let log = &store.shared.log;
    let before = log.durable_ts();
    let (arrived, go_on) = hold_syncs(&store);
    let waited_for = put(&store, "d.c", 1, Some(&doc! {"_id": 1})).unwrap();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| log.wait_durable(waited_for, log.epoch()));
        arrived.recv().unwrap();
        put(&store, "d.c", 2, Some(&doc! {"_id": 2})).unwrap();
        *log.faulty.lock() = Some(("write", EIO));
        assert!(log.write_out().is_err());
        *log.faulty.lock() = None;
        go_on.send(()).unwrap();
        assert!(is_poisoned(&waiter.join().unwrap()));
    });
    assert_eq!(log.durable_ts(), before);
    assert_eq!(store.durable_op_time().ts, before);
}

/// A sync that would fail does not run beside another one, whether somebody asked for it or a segment is full: the other one's word is
/// out before. After it nothing is synced any more.
#[test]
fn syncs_go_one_by_one() {
    for full in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let store = quiet(dir.path());
        let log = &store.shared.log;
        let (arrived, go_on) = hold_syncs(&store);
        let first = put(&store, "d.c", 1, Some(&doc! {"_id": 1})).unwrap();
        let pad = "x".repeat(if full { 100_000 } else { 10 });
        thread::scope(|scope| {
            let waiter = scope.spawn(|| log.wait_durable(first, log.epoch()));
            arrived.recv().unwrap();
            let second = put(&store, "d.c", 2, Some(&doc! {"_id": 2, "pad": pad})).unwrap();
            *log.faulty.lock() = Some(("sync", EIO));
            let (ended, end) = mpsc::channel();
            let failing = scope.spawn(move || {
                let outcome = if full { log.write_out() } else { log.sync() };
                ended.send(()).ok();
                outcome
            });
            assert!(end.recv_timeout(MOMENT).is_err(), "it waits for the other one");
            assert_eq!(log.faults.load(Ordering::Relaxed), 0);
            go_on.send(()).unwrap();
            waiter.join().unwrap().unwrap();
            assert!(is_poisoned(&failing.join().unwrap()));
            *log.faulty.lock() = None;
            assert!(is_poisoned(&log.wait_durable(second, log.epoch())));
            assert!(is_poisoned(&log.sync()));
            assert_eq!(log.faults.load(Ordering::Relaxed), 1);
            assert_eq!((log.durable_ts(), store.durable_op_time().ts), (first, first));
        });
    }
}
