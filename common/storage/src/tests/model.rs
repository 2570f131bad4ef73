//! Random interleavings of commits, checkpoints, snapshot reads, index builds and reopening, against a simple model.
//! The base crashes at any write of a checkpoint and loses any suffix of what it had not synced.

use super::harness::*;
use crate::options::EngineKind;
use crate::scan::Direction;
use crate::{CommitMeta, Error, Snapshot, Store};
use bson::{Bson, Document, doc};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use types::{OpTime, Timestamp};
use value::interval::KeyRange;

const NAMES: [&str; 2] = ["d.a", "d.b"];
const IDS: i32 = 12;

#[derive(Debug, Clone)]
enum Step {
    /// Collection, and per document its `_id` and what it becomes.
    Commit(usize, Vec<(i32, Option<i32>)>),
    CreateIndex(usize, usize),
    DropIndex(usize, usize),
    Recreate(usize),
    Checkpoint,
    /// A checkpoint that fails after so many writes; where it was a sync that failed, the store ends, and what was not synced is lost.
    FailingCheckpoint(usize),
    Hold,
    Release(usize),
    Read(usize),
    /// Closed or just dropped.
    Reopen(bool),
    /// What a majority has: so many of the newest states are not.
    Majority(usize),
    /// Memory is full: what no held snapshot may miss goes to the spill space; so many bytes stay.
    Spill(usize),
    /// Back by so many of the newest states.
    RollBack(usize),
    /// Checkpoint fails after some writes, and of those not synced a share survives.
    Crash(usize, usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let write = (0..IDS, proptest::option::weighted(0.7, 0..40_i32));
    let step = prop_oneof![
        20 => (0..2_usize, proptest::collection::vec(write, 1..6)).prop_map(|(c, w)| Step::Commit(c, w)),
        2 => (0..2_usize, 0..4_usize).prop_map(|(c, i)| Step::CreateIndex(c, i)),
        1 => (0..2_usize, 0..4_usize).prop_map(|(c, i)| Step::DropIndex(c, i)),
        1 => (0..2_usize).prop_map(Step::Recreate),
        3 => Just(Step::Checkpoint),
        2 => (0..60_usize).prop_map(Step::FailingCheckpoint),
        3 => Just(Step::Hold),
        2 => (0..4_usize).prop_map(Step::Release),
        4 => (0..4_usize).prop_map(Step::Read),
        1 => any::<bool>().prop_map(Step::Reopen),
        3 => (0..12_usize).prop_map(Step::Majority),
        3 => (0..6000_usize).prop_map(Step::Spill),
        3 => (0..12_usize).prop_map(Step::RollBack),
        2 => (0..60_usize, 0..=100_usize).prop_map(|(a, b)| Step::Crash(a, b)),
    ];
    proptest::collection::vec(step, 1..60)
}

fn index(number: usize) -> Document {
    match number {
        0 => doc! {"key": {"x": 1}, "name": "x"},
        1 => doc! {"key": {"l": -1, "x": 1}, "name": "l"},
        2 => doc! {"key": {"u": 1}, "name": "u", "unique": true, "sparse": true},
        _ => doc! {"key": {"x": "hashed"}, "name": "h"},
    }
}

fn document(id: i32, seed: i32) -> Document {
    let mut doc = doc! {"_id": id, "x": seed % 7, "l": [seed % 3, seed % 5, seed % 11]};
    if seed % 2 == 0 {
        // Sometimes the same for two documents, which the unique index refuses.
        doc.insert("u", seed % 10);
    }
    if seed % 13 == 0 {
        doc.insert("pad", "p".repeat(3000));
    }
    doc
}

struct Run {
    dir: tempfile::TempDir,
    base: Option<Fragile>,
    store: Option<Store>,
    state: State,
    /// Every state so far, by the time from which it was so.
    history: BTreeMap<Timestamp, State>,
    held: Vec<(Snapshot, State)>,
    engine: EngineKind,
    majority: Arc<AtomicU64>,
    /// For versions in memory. A small one has the store make checkpoints and spill of its own accord, and replay spill.
    budget: Option<usize>,
}

fn open(
    dir: &Path,
    base: &Option<Fragile>,
    engine: EngineKind,
    majority: &Arc<AtomicU64>,
    budget: Option<usize>,
) -> Result<Store, Error> {
    let mut options = options(dir, engine);
    options.versions_bytes_max = budget.unwrap_or(options.versions_bytes_max);
    let majority = majority.clone();
    options.majority_point = Some(Arc::new(move || Timestamp(majority.load(Ordering::SeqCst))));
    match base {
        Some(base) => {
            let base = base.clone();
            Store::open_on(options, move |_, _, _| Ok(Arc::new(base)))
        }
        None => Store::open(options),
    }
}

impl Run {
    fn new(base: Option<Fragile>, engine: EngineKind, budget: Option<usize>) -> Run {
        let dir = tempfile::tempdir().unwrap();
        let majority = Arc::new(AtomicU64::new(u64::MAX));
        let store = open(dir.path(), &base, engine, &majority, budget).unwrap();
        let mut run = Run {
            dir,
            base,
            store: Some(store),
            state: State::new(),
            history: BTreeMap::new(),
            held: Vec::new(),
            engine,
            majority,
            budget,
        };
        for name in NAMES {
            run.create(name);
        }
        run
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    fn remember(&mut self) {
        let at = self.store().last_op_time().ts;
        self.history.insert(at, self.state.clone());
    }

    fn create(&mut self, name: &str) {
        self.store().create_collection(&ns(name), None, &raw(&doc! {})).unwrap();
        self.state.insert(name.to_owned(), Records::new());
        self.remember();
    }

    /// Whether the model would have two documents with the same `u`.
    fn violates(records: &Records) -> bool {
        let mut seen = Vec::new();
        for doc in records.values() {
            if let Some(u) = doc.get("u") {
                if seen.contains(u) {
                    return true;
                }
                seen.push(u.clone());
            }
        }
        false
    }

    fn is_unique(&self, name: &str) -> bool {
        self.store().catalog().get(&ns(name)).unwrap().index("u").is_some()
    }

    fn commit(&mut self, name: &str, writes: &[(i32, Option<i32>)]) {
        let catalog = self.store().catalog();
        let collection = catalog.get(&ns(name)).unwrap();
        let unique = self.is_unique(name);
        let mut batch = self.store().batch(self.store().snapshot());
        let mut next = self.state[name].clone();
        for (id, seed) in writes {
            let old = batch.get(collection, &key(*id)).unwrap();
            let mut after = next.clone();
            match seed {
                Some(seed) => after.insert(*id, document(*id, *seed)),
                None => after.remove(id),
            };
            let done = match (&old, seed) {
                (None, None) => Ok(()),
                (None, Some(seed)) => batch.insert(collection, &raw(&document(*id, *seed))).map(drop),
                (Some(old), Some(seed)) => {
                    batch.update(collection, &key(*id), old, &raw(&document(*id, *seed)))
                }
                (Some(old), None) => batch.delete(collection, &key(*id), old),
            };
            match done {
                Ok(()) => {
                    assert!(!(unique && Run::violates(&after)), "a duplicate was taken");
                    next = after;
                }
                Err(Error::DuplicateKey(_)) => {
                    assert!(unique && Run::violates(&after), "refused without need")
                }
                Err(error) => panic!("{error}"),
            }
        }
        batch.commit(CommitMeta::default()).unwrap();
        self.state.insert(name.to_owned(), next);
        self.remember();
    }

    fn reopen(&mut self, base: Option<Fragile>) {
        self.held.clear();
        self.store = None;
        self.base = base;
        forget_damage(self.dir.path());
        let opened = open(self.dir.path(), &self.base, self.engine, &self.majority, self.budget);
        self.store = Some(opened.unwrap());
        self.store().resume_builds().unwrap();
        assert_state(self.store(), &self.state);
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Commit(collection, writes) => self.commit(NAMES[collection], &writes),
            Step::CreateIndex(collection, number) => {
                let name = NAMES[collection];
                let made = self.store().create_indexes(&ns(name), &[raw(&index(number))]);
                match made {
                    Ok(_) => {}
                    Err(Error::DuplicateKey(_)) => {
                        assert!(number == 2 && Run::violates(&self.state[name]));
                        assert!(!self.is_unique(name));
                    }
                    Err(error) => panic!("{error}"),
                }
                self.remember();
            }
            Step::DropIndex(collection, number) => {
                let name = index(number).get_str("name").unwrap().to_owned();
                match self.store().drop_index(&ns(NAMES[collection]), &name) {
                    Ok(_) | Err(Error::IndexNotFound { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
                self.remember();
            }
            Step::Recreate(collection) => {
                self.held.clear();
                self.store().drop_collection(&ns(NAMES[collection])).unwrap();
                self.history.clear();
                self.create(NAMES[collection]);
            }
            Step::Checkpoint => self.store().force_checkpoint().unwrap(),
            // The store's own checkpoints must not meet it.
            Step::FailingCheckpoint(_) if self.budget.is_some() => {}
            Step::FailingCheckpoint(writes) => {
                if let Some(base) = self.base.clone() {
                    base.fail_after(Some(writes));
                    self.store().force_checkpoint().ok();
                    base.fail_after(None);
                    if self.store().damage().is_some() {
                        assert!(self.store().force_checkpoint().is_err(), "tried again");
                        self.reopen(Some(base.crash(0)));
                    }
                }
            }
            Step::Hold => self.held.push((self.store().snapshot(), self.state.clone())),
            Step::Release(number) => {
                if number < self.held.len() {
                    self.held.remove(number);
                }
            }
            Step::Read(number) => self.read(number),
            Step::Reopen(close) => {
                if close {
                    self.store().close().unwrap();
                }
                let base = self.base.clone();
                self.reopen(base);
            }
            Step::Majority(back) => {
                let at = self.history.keys().rev().nth(back).map_or(0, |at| at.0);
                // Never back, or the stable time would be.
                let was = self.majority.load(Ordering::SeqCst);
                let at = if was == u64::MAX { at } else { at.max(was) };
                self.majority.store(at, Ordering::SeqCst);
            }
            Step::Spill(keep) => {
                self.store().sync().unwrap();
                self.store().shared.spill_to(keep).unwrap();
            }
            Step::RollBack(back) => self.roll_back(back),
            Step::Crash(_, keep) if self.budget.is_some() => {
                self.held.clear();
                self.store = None;
                let left = self.base.as_ref().map(|base| base.crash(keep));
                self.reopen(left);
            }
            Step::Crash(writes, keep) => {
                let Some(base) = self.base.clone() else { return };
                base.fail_after(Some(writes));
                self.store().force_checkpoint().ok();
                base.fail_after(None);
                let left = base.crash(keep);
                self.reopen(Some(left));
            }
        }
    }

    fn roll_back(&mut self, back: usize) {
        let Some((to, state)) = self.history.iter().rev().nth(back).map(|(at, state)| (*at, state.clone()))
        else {
            return;
        };
        let oldest = self.store().oldest_readable();
        let last = self.store().last_op_time();
        match self.store().roll_back_to(OpTime { ts: to, term: last.term }) {
            Ok(_) => assert!(to >= oldest),
            Err(Error::RollbackRefused { .. }) => return assert!(to < self.store().oldest_readable()),
            Err(error) => panic!("{error}"),
        }
        assert_eq!(self.store().last_op_time().ts, to);
        assert!(self.store().durable_op_time().ts <= to);
        // Snapshots of what is undone are told so.
        for (snapshot, _) in self.held.iter().filter(|(snapshot, _)| snapshot.timestamp() > to) {
            let catalog = self.store().catalog();
            let collection = catalog.get(&ns(NAMES[0])).unwrap();
            assert!(matches!(snapshot.get(collection, &key(1)), Err(Error::SnapshotTooOld { .. })));
        }
        self.held.retain(|(snapshot, _)| snapshot.timestamp() <= to);
        self.history.retain(|at, _| *at <= to);
        self.state = state;
        assert_state(self.store(), &self.state);
        for name in NAMES.iter().filter(|name| !self.state.contains_key(**name)).collect::<Vec<_>>() {
            self.create(name);
        }
    }

    fn read(&self, number: usize) {
        if let Some((snapshot, state)) = self.held.get(number) {
            self.check(snapshot, state);
        }
        // Any time that the store says it still has.
        let oldest = self.store().oldest_readable();
        for (at, state) in self.history.range(oldest..).take(3) {
            match self.store().snapshot_at(*at) {
                Ok(snapshot) => self.check(&snapshot, state),
                // A checkpoint of the store's own came in between.
                Err(error) => assert!(*at < self.store().oldest_readable(), "{error}"),
            }
        }
    }

    fn check(&self, snapshot: &Snapshot, state: &State) {
        for (name, records) in state {
            let mut want: Vec<_> = records.clone().into_iter().collect();
            assert_eq!(read(snapshot, self.store(), name, Direction::Forward), want);
            want.reverse();
            assert_eq!(read(snapshot, self.store(), name, Direction::Backward), want);
            let catalog = self.store().catalog();
            let collection = catalog.get(&ns(name)).unwrap();
            for id in 0..IDS {
                let found = snapshot.get(collection, &key(id)).unwrap();
                assert_eq!(found.map(|doc| Document::try_from(&*doc).unwrap()).as_ref(), records.get(&id));
            }
            let Some(x) = collection.index("x").filter(|index| index.usable_at(snapshot.timestamp())) else {
                continue;
            };
            let mut want: Vec<_> = records
                .iter()
                .map(|(id, doc)| (value::key::of_bson(doc.get("x").unwrap_or(&Bson::Null)), key(*id)))
                .collect();
            want.sort();
            for direction in [Direction::Forward, Direction::Backward] {
                let found: Vec<_> = snapshot
                    .scan_index(x, &KeyRange::all(), direction)
                    .unwrap()
                    .map(|entry| entry.map(|(key, record)| (key.to_vec(), record.to_vec())).unwrap())
                    .collect();
                assert_eq!(found, want);
                want.reverse();
            }
        }
    }
}

fn run(base: Option<Fragile>, engine: EngineKind, budget: Option<usize>, steps: Vec<Step>) {
    let mut run = Run::new(base, engine, budget);
    for step in steps {
        run.step(step);
    }
    assert_state(run.store(), &run.state);
    let base = run.base.clone();
    run.reopen(base);
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 2000, ..ProptestConfig::default() })]

    #[test]
    fn any_interleaving_over_a_crashing_base(steps in steps()) {
        run(Some(Fragile::default()), EngineKind::Sled, None, steps);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_interleaving_over_sled(steps in steps()) {
        run(None, EngineKind::Sled, None, steps);
    }

    #[test]
    fn any_interleaving_over_fjall(steps in steps()) {
        run(None, EngineKind::Fjall, None, steps);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_interleaving_in_little_memory(steps in steps(), budget in 8_000..60_000_usize) {
        run(Some(Fragile::default()), EngineKind::Sled, Some(budget), steps);
    }
}
