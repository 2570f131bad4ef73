//! Indexes that start-up builds again: what the log said of their entries stays the last word, however much of it was spilled, and
//! however often the process ended in between.

use super::harness::*;
use crate::Store;
use crate::options::{EngineKind, Options};
use bson::doc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use types::{OpTime, Timestamp};

/// What makes replay spill, once, and leaves room for the entries that are built again.
const SMALL_BYTES: usize = 128 * 1024;
const BIG_BYTES: usize = 256 * 1024 * 1024;

struct Set {
    dir: tempfile::TempDir,
    majority: Arc<AtomicU64>,
    store: Option<Store>,
    want: Records,
}

impl Set {
    /// A hundred records in the base, and the stable time stands where they are.
    fn new() -> Set {
        let dir = tempfile::tempdir().unwrap();
        let majority = Arc::new(AtomicU64::new(u64::MAX));
        let mut set = Set { dir, majority, store: None, want: Records::new() };
        set.open(BIG_BYTES);
        set.store().create_collection(&ns("d.c"), None, &raw(&doc! {})).unwrap();
        for id in 0..100 {
            set.put(id, Some(id), 20);
        }
        set.store().force_checkpoint().unwrap();
        set.hold(set.store().last_op_time());
        set
    }

    fn options(&self, versions_bytes_max: usize) -> Options {
        let point = self.majority.clone();
        let mut options = options(self.dir.path(), EngineKind::Sled);
        options.majority_point = Some(Arc::new(move || Timestamp(point.load(Ordering::SeqCst))));
        options.versions_bytes_max = versions_bytes_max;
        options
    }

    /// As after a crash, if one was open.
    fn open(&mut self, versions_bytes_max: usize) {
        self.store = None;
        self.store = Some(Store::open(self.options(versions_bytes_max)).unwrap());
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    fn hold(&self, at: OpTime) {
        self.majority.store(at.ts.0, Ordering::SeqCst);
    }

    fn release(&self) {
        self.majority.store(u64::MAX, Ordering::SeqCst);
        self.store().sync().unwrap();
        self.store().force_checkpoint().unwrap();
        assert_eq!(self.store().metrics().checkpoint, self.store().last_op_time().ts);
    }

    fn put(&mut self, id: i32, x: Option<i32>, pad: usize) {
        let doc = x.map(|x| doc! {"_id": id, "x": x, "pad": "p".repeat(pad)});
        put(self.store(), "d.c", id, doc.as_ref()).unwrap();
        match doc {
            Some(doc) => self.want.insert(id, doc),
            None => self.want.remove(&id),
        };
    }

    fn create_index(&self) {
        self.store().create_indexes(&ns("d.c"), &[raw(&doc! {"key": {"x": 1}, "name": "x"})]).unwrap();
    }

    fn drop_index(&self) {
        self.store().drop_index(&ns("d.c"), "x").unwrap();
    }

    /// Some are removed and some get another value, then comes more than half of a small budget.
    fn change_much(&mut self) {
        for id in 0..80 {
            self.put(id, (id % 2 == 0).then_some(id + 1000), 20);
        }
        self.put(99, Some(99), SMALL_BYTES * 5 / 8);
    }

    fn check(&self) {
        assert_state(self.store(), &State::from([("d.c".to_owned(), self.want.clone())]));
    }
}

#[test]
fn entries_that_were_removed_and_spilled_do_not_come_back() {
    let mut set = Set::new();
    set.create_index();
    set.change_much();
    set.open(SMALL_BYTES);
    assert!(set.store().metrics().spilled_versions > 0);
    set.check();
    set.release();
    set.check();
    set.open(SMALL_BYTES);
    set.check();
}

/// The index was dropped in what was replayed, and a rollback brings it back.
#[test]
fn a_rollback_brings_back_no_removed_entries_either() {
    let mut set = Set::new();
    set.create_index();
    set.change_much();
    let to = set.store().last_op_time();
    set.drop_index();
    set.open(SMALL_BYTES);
    set.store().roll_back_to(to).unwrap();
    set.check();
    set.release();
    set.check();
}

/// Between two ends of the process a checkpoint came to where an index was ready that is dropped by now.
#[test]
fn an_index_that_comes_back_is_whole_though_a_checkpoint_came_between() {
    let mut set = Set::new();
    set.create_index();
    set.put(1, Some(5000), 20);
    let ready = set.store().last_op_time();
    set.drop_index();
    let dropped = set.store().last_op_time();
    set.open(BIG_BYTES);
    set.hold(ready);
    set.store().sync().unwrap();
    set.store().force_checkpoint().unwrap();
    let checkpoint = set.store().metrics().checkpoint;
    assert!(checkpoint == ready.ts && checkpoint < dropped.ts);
    set.open(BIG_BYTES);
    set.store().roll_back_to(ready).unwrap();
    set.check();
    // What is back has to be there after the next end as well.
    set.open(BIG_BYTES);
    set.check();
    set.release();
    set.check();
}
