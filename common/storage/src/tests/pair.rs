//! Random writes of all kinds on a primary, shipped in random groups to a follower that checkpoints, spills, crashes, is opened
//! again, rolls back and pulls once more, takes over, or copies the primary anew while writes go on. At the end both are the same.

use super::harness::*;
use super::kinds::Language;
use super::replica::{assert_same, dump};
use crate::options::EngineKind;
use crate::{CommitMeta, Error, LogRecord, SessionMeta, Store};
use bson::{Document, doc};
use proptest::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use types::Timestamp;

const NAMES: [&str; 3] = ["d.a", "d.b", "e.c"];
const CAPPED: &str = "d.capped";
const SESSIONS: &str = "config.transactions";
const LOCAL: &str = "local.own";
const IDS: i32 = 10;

#[derive(Debug, Clone)]
enum Step {
    /// Collection, per document its `_id` and what it becomes, and whether it is a retryable write.
    Commit(usize, Vec<(i32, Option<i32>)>, bool),
    Append(usize),
    Own,
    CreateIndex(usize, usize),
    DropIndex(usize, usize),
    Change(usize, usize, i32),
    Recreate(usize),
    Rename(usize, usize),
    DropDatabase,
    Ship(usize, usize),
    Checkpoint(bool),
    Spill(usize),
    Reopen(bool),
    /// Follower: a checkpoint that fails after some writes; of those not synced a share survives.
    Crash(usize, usize),
    /// What the majority has: so many of the follower's newest are not.
    Majority(usize),
    RollBack(usize),
    Switch,
    /// The follower copies everything anew; so many steps of the copy come before the next one.
    BeginCopy,
    Copy(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let write = (0..IDS, proptest::option::weighted(0.7, 0..60_i32));
    let writes = proptest::collection::vec(write, 1..6);
    let step = prop_oneof![
        24 => (0..3_usize, writes, any::<bool>()).prop_map(|(c, w, s)| Step::Commit(c, w, s)),
        4 => (1..4_usize).prop_map(Step::Append),
        1 => Just(Step::Own),
        4 => (0..3_usize, 0..6_usize).prop_map(|(c, i)| Step::CreateIndex(c, i)),
        2 => (0..3_usize, 0..6_usize).prop_map(|(c, i)| Step::DropIndex(c, i)),
        1 => (0..3_usize, 0..6_usize, 0..9_i32).prop_map(|(c, i, v)| Step::Change(c, i, v)),
        1 => (0..3_usize).prop_map(Step::Recreate),
        1 => (0..3_usize, 0..3_usize).prop_map(|(c, d)| Step::Rename(c, d)),
        1 => Just(Step::DropDatabase),
        10 => (0..12_usize, 1..6_usize).prop_map(|(n, g)| Step::Ship(n, g)),
        3 => any::<bool>().prop_map(Step::Checkpoint),
        2 => (0..6000_usize).prop_map(Step::Spill),
        2 => any::<bool>().prop_map(Step::Reopen),
        2 => (0..60_usize, 0..=100_usize).prop_map(|(a, b)| Step::Crash(a, b)),
        4 => (0..12_usize).prop_map(Step::Majority),
        4 => (0..12_usize).prop_map(Step::RollBack),
        1 => Just(Step::Switch),
        1 => Just(Step::BeginCopy),
        4 => (1..5_usize).prop_map(Step::Copy),
    ];
    proptest::collection::vec(step, 1..80)
}

fn index(number: usize) -> Document {
    match number {
        0 => doc! {"key": {"x": 1}, "name": "x"},
        1 => doc! {"key": {"l": -1, "x": 1}, "name": "l"},
        2 => doc! {"key": {"u": 1}, "name": "u", "unique": true, "sparse": true},
        3 => doc! {"key": {"x": "hashed"}, "name": "h"},
        4 => doc! {"key": {"$**": 1}, "name": "w", "collation": {"locale": "en", "strength": 1}},
        _ => {
            doc! {"key": {"s": -1, "p": 1}, "name": "p", "partialFilterExpression": {"x": 3}, "collation": {"locale": "sv"}}
        }
    }
}

fn document(id: i32, seed: i32) -> Document {
    let text = ["a", "A", "\u{e5}", "", "b"][seed as usize % 5];
    let mut doc = doc! {"_id": id, "x": seed % 7, "s": text};
    match seed % 5 {
        0 => doc.insert("l", seed % 3),
        1 => doc.insert("l", vec![seed % 3, seed % 4]),
        _ => doc.insert("p", doc! {"q": [seed % 2, {"r": seed}]}),
    };
    if seed % 2 == 0 {
        doc.insert("u", seed % 20);
    }
    if seed % 13 == 0 {
        doc.insert("pad", "p".repeat(2000));
    }
    doc
}

struct Member {
    dir: tempfile::TempDir,
    base: Option<Fragile>,
    engine: EngineKind,
    store: Option<Store>,
}

impl Member {
    fn open(&mut self, writable: bool, majority: &Arc<AtomicU64>) {
        self.store = None;
        let mut options = options(self.dir.path(), self.engine);
        let majority = majority.clone();
        options.majority_point = Some(Arc::new(move || Timestamp(majority.load(Ordering::SeqCst))));
        options.predicates = Some(Arc::new(Language));
        options.writable = writable;
        self.store = Some(match self.base.clone() {
            Some(base) => Store::open_on(options, move |_, _, _| Ok(Arc::new(base))).unwrap(),
            None => Store::open(options).unwrap(),
        });
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }
}

/// What is still to be copied.
struct Copying {
    snapshot_at: Timestamp,
    /// Collections whose records are to come, and from which key.
    rest: Vec<(types::Uuid, Vec<value::interval::KeyRange>)>,
}

struct Run {
    primary: Member,
    follower: Member,
    majority: Arc<AtomicU64>,
    term: i64,
    txn: i64,
    copying: Option<Copying>,
}

impl Run {
    fn new(make: &dyn Fn() -> (Option<Fragile>, EngineKind)) -> Run {
        let majority = Arc::new(AtomicU64::new(0));
        let member = |writable: bool| {
            let (base, engine) = make();
            let mut member = Member { dir: tempfile::tempdir().unwrap(), base, engine, store: None };
            member.open(writable, &majority);
            member
        };
        let (primary, follower) = (member(true), member(false));
        let run = Run { primary, follower, majority, term: 1, txn: 0, copying: None };
        run.fill();
        run
    }

    /// What is missing is created.
    fn fill(&self) {
        let store = self.primary.store();
        for name in NAMES.iter().chain([&CAPPED, &SESSIONS, &LOCAL]) {
            if store.catalog().get(&ns(name)).is_none() {
                let options = if *name == CAPPED {
                    doc! {"capped": true, "size": 600, "max": 6}
                } else if *name == NAMES[1] {
                    doc! {"collation": {"locale": "en", "strength": 2}}
                } else {
                    doc! {}
                };
                store.create_collection(&ns(name), None, &raw(&options)).unwrap();
            }
        }
    }

    fn commit(&mut self, name: &str, writes: &[(i32, Option<i32>)], session: bool) {
        let store = self.primary.store();
        let catalog = store.catalog();
        let collection = catalog.get(&ns(name)).unwrap();
        let mut batch = store.batch(store.snapshot());
        for (id, seed) in writes {
            let old = batch.get(collection, &key(*id)).unwrap();
            let done = match (&old, seed) {
                (None, None) => Ok(()),
                (None, Some(seed)) => batch.insert(collection, &raw(&document(*id, *seed))).map(drop),
                (Some(old), Some(seed)) => {
                    batch.update(collection, &key(*id), old, &raw(&document(*id, *seed)))
                }
                (Some(old), None) => batch.delete(collection, &key(*id), old),
            };
            match done {
                Ok(()) | Err(Error::DuplicateKey(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
        let mut meta = CommitMeta::default();
        if session {
            self.txn += 1;
            let id = (self.txn % 3) as i32;
            let sessions = catalog.get(&ns(SESSIONS)).unwrap();
            let record = doc! {"_id": id, "txnNumber": self.txn, "pad": "s".repeat((self.txn % 7) as usize)};
            match batch.get(sessions, &key(id)).unwrap() {
                Some(old) if self.txn % 11 == 0 => batch.delete(sessions, &key(id), &old).unwrap(),
                Some(old) => batch.update(sessions, &key(id), &old, &raw(&record)).unwrap(),
                None => drop(batch.insert(sessions, &raw(&record)).unwrap()),
            }
            let lsid = raw(&doc! {"id": id});
            meta.session = Some(SessionMeta { lsid, txn_number: self.txn, stmt_ids: vec![0, 1, 2] });
        }
        batch.commit(meta).unwrap();
    }

    fn ship(&self, most: usize, each: usize) {
        if self.copying.is_some() {
            return;
        }
        let (from, to) = (self.primary.store(), self.follower.store());
        let cursor = from.records_after(to.last_op_time()).unwrap();
        let records: Vec<LogRecord> = cursor.take(most).map(Result::unwrap).collect();
        for group in records.chunks(each) {
            assert_eq!(to.apply(group).unwrap(), group.last().unwrap().at);
        }
        self.finish_copy();
    }

    /// Ends a copy whose log was applied far enough.
    fn finish_copy(&self) {
        let store = self.follower.store();
        if let Some(import) = store.importing()
            && import.catalog.is_some()
            && store.last_op_time().ts >= import.newest
        {
            store.finish_import(store.last_op_time()).unwrap();
        }
    }

    fn begin_copy(&mut self) {
        // Nothing of a copy can be undone, so it is of what a majority has. Memory does not keep one.
        if self.follower.engine == EngineKind::Memory || self.copying.is_some() {
            return;
        }
        let (from, to) = (self.primary.store(), self.follower.store());
        self.majority.store(from.last_op_time().ts.0, Ordering::SeqCst);
        if to.importing().is_some() {
            return;
        }
        to.begin_import(from.last_op_time()).unwrap();
        self.start_copy();
    }

    fn start_copy(&mut self) {
        let (from, to) = (self.primary.store(), self.follower.store());
        let snapshot = from.snapshot();
        self.majority.store(from.last_op_time().ts.0, Ordering::SeqCst);
        if to.importing().unwrap().catalog.is_none() {
            let catalog = from.export_catalog(&snapshot).unwrap();
            to.import_catalog(snapshot.timestamp(), &catalog).unwrap();
        }
        let mut rest = Vec::new();
        for collection in to.catalog().all() {
            match from.export_ranges(&snapshot, collection.uuid, 3) {
                Ok(ranges) => rest.push((collection.uuid, ranges)),
                Err(Error::NamespaceNotFound { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        self.copying = Some(Copying { snapshot_at: snapshot.timestamp(), rest });
    }

    /// Some batches, each from the newest snapshot there is.
    fn copy(&mut self, batches: usize) {
        let Some(mut copying) = self.copying.take() else { return };
        let (from, to) = (self.primary.store(), self.follower.store());
        for _ in 0..batches {
            let Some((uuid, ranges)) = copying.rest.last_mut() else { break };
            let Some(range) = ranges.last_mut() else {
                copying.rest.pop();
                continue;
            };
            let snapshot = from.snapshot();
            self.majority.store(from.last_op_time().ts.0, Ordering::SeqCst);
            copying.snapshot_at = snapshot.timestamp();
            let batch = match from.export_records(&snapshot, *uuid, range, 300) {
                Ok(mut export) => export.next().transpose().unwrap(),
                // Dropped meanwhile: the log says so.
                Err(Error::NamespaceNotFound { .. }) => None,
                Err(error) => panic!("{error}"),
            };
            match batch {
                Some(batch) => {
                    to.import_records(*uuid, snapshot.timestamp(), &batch).unwrap();
                    range.start = [&batch.last().unwrap().0[..], &[0]].concat();
                }
                None => drop(ranges.pop()),
            }
        }
        if !copying.rest.is_empty() {
            self.copying = Some(copying);
        }
    }

    /// After the follower was opened again.
    fn opened(&mut self) {
        if self.copying.take().is_some() {
            assert!(self.follower.store().importing().is_some());
            self.start_copy();
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Commit(collection, writes, session) => self.commit(NAMES[collection], &writes, session),
            Step::Append(count) => {
                let store = self.primary.store();
                let catalog = store.catalog();
                let mut batch = store.batch(store.snapshot());
                for _ in 0..count {
                    self.txn += 1;
                    let doc = doc! {"_id": self.txn, "pad": "c".repeat((self.txn % 200) as usize)};
                    batch.insert(catalog.get(&ns(CAPPED)).unwrap(), &raw(&doc)).unwrap();
                }
                batch.commit(CommitMeta::default()).unwrap();
            }
            Step::Own => drop(put(self.primary.store(), LOCAL, 1, Some(&doc! {"_id": 1})).unwrap()),
            Step::CreateIndex(collection, number) => {
                let made =
                    self.primary.store().create_indexes(&ns(NAMES[collection]), &[raw(&index(number))]);
                match made {
                    // Taken, refused by the data, or there with another time to live.
                    Ok(_) | Err(Error::DuplicateKey(_) | Error::IndexSpec { .. }) => {}
                    // A hashed index has no collation, and would inherit one.
                    Err(Error::NotImplemented(_)) if number == 3 => {}
                    Err(error) => panic!("{error}"),
                }
            }
            Step::DropIndex(collection, number) => {
                let name = index(number).get_str("name").unwrap().to_owned();
                match self.primary.store().drop_index(&ns(NAMES[collection]), &name) {
                    Ok(_) | Err(Error::IndexNotFound { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            Step::Change(collection, number, value) => {
                let (store, ns) = (self.primary.store(), ns(NAMES[collection]));
                let name = index(number).get_str("name").unwrap().to_owned();
                let done = match value {
                    0..4 => store.set_index_hidden(&ns, &name, value % 2 == 0),
                    _ => store.set_index_expiry(&ns, &name, value),
                };
                match done {
                    Ok(_) | Err(Error::IndexNotFound { .. } | Error::IndexSpec { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            Step::Recreate(collection) => {
                self.primary.store().drop_collection(&ns(NAMES[collection])).unwrap();
                self.fill();
            }
            Step::Rename(from, to) if from != to => {
                let renamed = self.primary.store().rename_collection(&ns(NAMES[from]), &ns(NAMES[to]), true);
                renamed.unwrap();
                self.fill();
            }
            Step::Rename(..) => {}
            Step::DropDatabase => {
                self.primary.store().drop_database("e").unwrap();
                self.fill();
            }
            Step::Ship(most, each) => self.ship(most, each),
            Step::Checkpoint(true) => self.primary.store().force_checkpoint().unwrap(),
            Step::Checkpoint(false) => self.follower.store().force_checkpoint().unwrap(),
            Step::Spill(keep) => {
                self.follower.store().sync().unwrap();
                self.follower.store().shared.spill_to(keep).unwrap();
            }
            Step::Reopen(close) => {
                if close {
                    self.follower.store().close().unwrap();
                }
                self.follower.open(false, &self.majority);
                self.opened();
            }
            Step::Crash(writes, keep) => {
                let Some(base) = self.follower.base.clone() else { return };
                base.fail_after(Some(writes));
                self.follower.store().force_checkpoint().ok();
                base.fail_after(None);
                self.follower.base = Some(base.crash(keep));
                forget_damage(self.follower.dir.path());
                self.follower.open(false, &self.majority);
                self.opened();
            }
            Step::Majority(back) => {
                if self.follower.store().importing().is_some() {
                    return;
                }
                let times = self.follower.store().op_times_before(None, back + 1).unwrap();
                if let Some(at) = times.get(back) {
                    // Never back.
                    self.majority.fetch_max(at.ts.0, Ordering::SeqCst);
                }
            }
            Step::RollBack(back) => self.roll_back(back),
            Step::Switch => self.switch(),
            Step::BeginCopy => self.begin_copy(),
            Step::Copy(batches) => self.copy(batches),
        }
    }

    fn committed(&self) -> u64 {
        self.majority.load(Ordering::SeqCst)
    }

    fn roll_back(&self, back: usize) {
        let store = self.follower.store();
        let times = store.op_times_before(None, back + 1).unwrap();
        let Some(to) = times.last().copied().filter(|to| to.ts.0 >= self.committed()) else { return };
        if store.importing().is_some() {
            assert!(matches!(store.roll_back_to(to), Err(Error::RollbackRefused { .. })));
            return;
        }
        store.roll_back_to(to).unwrap();
        assert_eq!(store.last_op_time(), to);
        dump(store);
    }

    /// The follower takes over, and what it has not is undone.
    fn switch(&mut self) {
        let to = self.follower.store().last_op_time();
        if self.follower.store().importing().is_some() || to.ts.0 < self.committed() || to.ts.0 == 0 {
            return;
        }
        self.primary.store().set_writable(None);
        std::mem::swap(&mut self.primary, &mut self.follower);
        self.term += 1;
        self.follower.store().roll_back_to(to).unwrap();
        let primary = self.primary.store();
        primary.set_writable(Some(self.term));
        primary.noop(&raw(&doc! {"msg": "new primary"})).unwrap();
        primary.resume_builds().unwrap();
        self.fill();
    }

    fn finish(&mut self) {
        while self.copying.is_some() {
            self.copy(10);
        }
        self.ship(usize::MAX, 7);
        assert_eq!(self.follower.store().importing(), None);
        assert_same(self.primary.store(), self.follower.store());
        self.follower.store().force_checkpoint().unwrap();
        self.follower.open(false, &self.majority);
        assert_same(self.primary.store(), self.follower.store());
    }
}

fn run(make: &dyn Fn() -> (Option<Fragile>, EngineKind), steps: Vec<Step>) {
    let mut run = Run::new(make);
    for step in steps {
        run.step(step);
    }
    run.finish();
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 2000, ..ProptestConfig::default() })]

    #[test]
    fn over_a_crashing_base(steps in steps()) {
        run(&|| (Some(Fragile::default()), EngineKind::Sled), steps);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn over_sled(steps in steps()) {
        run(&|| (None, EngineKind::Sled), steps);
    }

    #[test]
    fn over_fjall(steps in steps()) {
        run(&|| (None, EngineKind::Fjall), steps);
    }

    #[test]
    fn over_memory(steps in steps()) {
        run(&|| (None, EngineKind::Memory), steps);
    }
}
