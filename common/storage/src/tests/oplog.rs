//! The log as readers see it.

use super::harness::*;
use crate::options::EngineKind;
use crate::{
    Change, ChangeKind, Collection, CommitMeta, Direction, Error, OplogEntry, RecordKey, SessionMeta,
    Snapshot, Store,
};
use bson::{Document, doc, rawdoc};
use std::collections::BTreeMap;
use std::time::Duration;
use types::Timestamp;
use value::interval::KeyRange;

/// The records of a range, by key.
fn held(snapshot: &Snapshot, collection: &Collection, range: &KeyRange) -> BTreeMap<RecordKey, Document> {
    let records = snapshot.scan(collection, range, Direction::Forward).map(|record| record.unwrap());
    records.map(|(key, doc)| (key, Document::try_from(&*doc).unwrap())).collect()
}

/// Does to a copy what the log says.
fn follow(store: &Store, collection: &Collection, change: Change, copy: &mut BTreeMap<RecordKey, Document>) {
    match change.kind {
        ChangeKind::Delete => drop(copy.remove(&change.record_key)),
        _ => {
            // As of the change; what the log has of an update may be less than the document.
            let at = store.snapshot_at(change.op_time.ts).unwrap();
            let doc = at.get(collection, &change.record_key).unwrap().unwrap();
            copy.insert(change.record_key, Document::try_from(&*doc).unwrap());
        }
    }
}

fn times(entries: impl Iterator<Item = Result<OplogEntry, Error>>) -> Vec<Timestamp> {
    entries.map(|entry| entry.unwrap().op_time.ts).collect()
}

fn filled(store: &Store, count: i32) -> Vec<Timestamp> {
    (0..count)
        .map(|id| put(store, "d.c", id, Some(&doc! {"_id": id, "pad": "x".repeat(500)})).unwrap())
        .collect()
}

#[test]
fn entries_are_read_both_ways_and_from_anywhere() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(options(dir.path(), EngineKind::Memory)).unwrap();
    store.create_collection(&ns("d.c"), None, &raw(&doc! {})).unwrap();
    let created = store.last_op_time().ts;
    let written = filled(&store, 100);
    let mut all = vec![created];
    all.extend(&written);
    check_reads(&store, &all);
    drop(store);
    check_reads(&Store::open(options(dir.path(), EngineKind::Memory)).unwrap(), &all);
}

fn check_reads(store: &Store, all: &[Timestamp]) {
    let log = store.oplog();
    assert_eq!(times(log.scan(Direction::Forward).unwrap()), all);
    let mut reversed = all.to_vec();
    reversed.reverse();
    assert_eq!(times(log.scan(Direction::Backward).unwrap()), reversed);
    for from in [0, 1, 37, 99, 100] {
        assert_eq!(times(log.after(all[from]).unwrap()), all[from + 1..]);
        let mut before = all[..from].to_vec();
        before.reverse();
        assert_eq!(times(log.before(all[from]).unwrap()), before);
    }
    assert_eq!(log.first().unwrap().unwrap().op_time.ts, all[0]);
    assert_eq!(log.last().unwrap().unwrap().op_time.ts, all[100]);
}

#[test]
fn a_tail_goes_on_and_wakes() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(options(dir.path(), EngineKind::Memory)).unwrap();
    store.create_collection(&ns("d.c"), None, &raw(&doc! {})).unwrap();
    let mut tail = store.oplog().after(store.last_op_time().ts).unwrap();
    assert!(tail.next().is_none());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    for round in 0..30 {
        let mut watch = store.oplog().watch();
        watch.borrow_and_update();
        let at = put(&store, "d.c", round, Some(&doc! {"_id": round, "pad": "y".repeat(700)})).unwrap();
        runtime.block_on(async {
            tokio::time::timeout(Duration::from_secs(10), watch.changed()).await.unwrap().unwrap();
        });
        let entry = tail.next().unwrap().unwrap();
        assert_eq!(entry.op_time.ts, at);
        assert_eq!(entry.doc.get_timestamp("ts").unwrap(), at.into());
        assert!(tail.next().is_none());
    }
}

#[test]
fn the_size_limit_drops_whole_segments_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = options(dir.path(), EngineKind::Sled);
    options.oplog_bytes_max = 20 * 1024;
    let store = Store::open(options.clone()).unwrap();
    store.create_collection(&ns("d.c"), None, &raw(&doc! {})).unwrap();
    let written = filled(&store, 100);
    store.sync().unwrap();
    let full = store.oplog().bytes();
    store.force_checkpoint().unwrap();
    let left = store.oplog().bytes();
    assert!(left <= 20 * 1024 && full > 50 * 1024, "{full} {left}");
    assert!(matches!(store.oplog().after(written[3]), Err(Error::OplogPositionLost { .. })));
    let rest = times(store.oplog().scan(Direction::Forward).unwrap());
    assert_eq!(rest, written[100 - rest.len()..]);
    drop(store);
    let store = Store::open(options).unwrap();
    assert_eq!(times(store.oplog().scan(Direction::Forward).unwrap()), rest);
    assert_eq!(store.stats(store.catalog().get(&ns("d.c")).unwrap()).records, 100);
}

#[test]
fn commits_have_one_entry_each_and_unreplicated_ones_none() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(options(dir.path(), EngineKind::Sled)).unwrap();
    for name in ["d.c", "config.transactions", "local.x"] {
        store.create_collection(&ns(name), None, &raw(&doc! {})).unwrap();
    }
    let start = store.last_op_time().ts;
    let catalog = store.catalog();
    let collection = |name: &str| catalog.get(&ns(name)).unwrap().clone();
    put(&store, "local.x", 1, Some(&doc! {"_id": 1})).unwrap();
    let mut batch = store.batch(store.snapshot());
    batch.insert(&collection("d.c"), &rawdoc! {"_id": 1}).unwrap();
    batch.insert(&collection("d.c"), &rawdoc! {"_id": 2}).unwrap();
    batch.insert(&collection("config.transactions"), &rawdoc! {"_id": 3}).unwrap();
    let session = SessionMeta { lsid: rawdoc! {"id": 5}, txn_number: 9, stmt_ids: vec![0, 1] };
    batch.commit(CommitMeta { session: Some(session) }).unwrap();
    store.noop(&rawdoc! {"msg": "periodic noop"}).unwrap();

    let entries: Vec<Document> = store
        .oplog()
        .after(start)
        .unwrap()
        .map(|entry| {
            let mut doc = Document::try_from(&*entry.unwrap().doc).unwrap();
            for name in ["ts", "wall", "t", "v"] {
                assert!(doc.remove(name).is_some());
            }
            doc
        })
        .collect();
    let ui = collection("d.c").uuid.to_bson();
    assert_eq!(
        entries,
        [
            doc! {"lsid": {"id": 5}, "txnNumber": 9_i64, "op": "c", "ns": "admin.$cmd", "o": {"applyOps": [
                {"op": "i", "ns": "d.c", "ui": ui.clone(), "o": {"_id": 1}, "stmtId": 0},
                {"op": "i", "ns": "d.c", "ui": ui, "o": {"_id": 2}, "stmtId": 1},
            ]}},
            doc! {"op": "n", "ns": "", "o": {"msg": "periodic noop"}},
        ]
    );
    // What has no entry is in the log all the same.
    drop(store);
    let store = Store::open(options(dir.path(), EngineKind::Sled)).unwrap();
    let one = |name: &str, id: i32| State::from([(name.to_owned(), Records::from([(id, doc! {"_id": id})]))]);
    let mut want = one("local.x", 1);
    want.extend(one("config.transactions", 3));
    want.insert("d.c".to_owned(), Records::from([(1, doc! {"_id": 1}), (2, doc! {"_id": 2})]));
    assert_state(&store, &want);
}

#[test]
fn young_entries_stay_beyond_the_size() {
    for (hours, kept) in [(0, false), (1, true)] {
        let dir = tempfile::tempdir().unwrap();
        let mut options = options(dir.path(), EngineKind::Sled);
        options.oplog_bytes_max = 20 * 1024;
        options.oplog_min_retention = Duration::from_secs(3600 * hours);
        let store = Store::open(options).unwrap();
        store.create_collection(&ns("d.c"), None, &raw(&doc! {})).unwrap();
        let written = filled(&store, 100);
        store.force_checkpoint().unwrap();
        assert_eq!(store.oplog().after(written[3]).is_ok(), kept);
    }
}

#[test]
fn a_snapshot_and_the_changes_after_it_are_the_whole_for_any_range() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(options(dir.path(), EngineKind::Memory)).unwrap();
    for name in ["d.c", "d.other"] {
        store.create_collection(&ns(name), None, &raw(&doc! {})).unwrap();
    }
    filled(&store, 20);
    let catalog = store.catalog();
    let collection = catalog.get(&ns("d.c")).unwrap();
    let range = KeyRange { start: key(5), end: Some(key(15)) };
    let snapshot = store.snapshot();
    let mut copy = held(&snapshot, collection, &range);
    let mut changes = store.oplog().changes(snapshot.timestamp(), collection, &range).unwrap();
    assert!(changes.next().is_none());
    for round in 0..40 {
        let id = (round * 7) % 25;
        put(&store, "d.other", id, Some(&doc! {"_id": id, "n": round})).unwrap();
        put(&store, "d.c", id, (round % 3 != 0).then(|| doc! {"_id": id, "n": round}).as_ref()).unwrap();
        if round % 5 == 0 {
            // Several writes of one commit, inside and outside.
            let snapshot = store.snapshot();
            let mut batch = store.batch(snapshot);
            for id in [100 + round, 200 + round] {
                batch.insert(collection, &raw(&doc! {"_id": id})).unwrap();
            }
            batch.commit(CommitMeta::default()).unwrap();
        }
        for change in changes.by_ref() {
            let change = change.unwrap();
            assert!(range.start <= change.record_key.to_vec() && change.record_key.to_vec() < key(15));
            follow(&store, collection, change, &mut copy);
        }
        assert!(changes.position() >= store.last_op_time().ts);
    }
    assert_eq!(copy, held(&store.snapshot(), collection, &range));
}

/// Records of a capped collection are known by number: a range of numbers is copied, and kept up to date, like one of ids.
#[test]
fn changes_of_a_capped_collection_are_by_number() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(options(dir.path(), EngineKind::Memory)).unwrap();
    let capped = doc! {"capped": true, "size": 4096, "max": 12};
    store.create_collection(&ns("d.capped"), None, &raw(&capped)).unwrap();
    let catalog = store.catalog();
    let collection = catalog.get(&ns("d.capped")).unwrap();
    let append = |id: i32| {
        let mut batch = store.batch(store.snapshot());
        batch.insert(collection, &raw(&doc! {"_id": id, "n": 0})).unwrap();
        batch.commit(CommitMeta::default()).unwrap();
    };
    (0..6).for_each(append);
    let all = |range: &KeyRange| held(&store.snapshot(), collection, range);
    let keys: Vec<Vec<u8>> = all(&KeyRange::all()).into_keys().map(|key| key.to_vec()).collect();
    // From the third record to one that is not there yet.
    let mut end = keys[2].clone();
    *end.last_mut().unwrap() += 8;
    let range = KeyRange { start: keys[2].clone(), end: Some(end) };
    let mut copy = all(&range);
    let mut changes = store.oplog().changes(store.snapshot().timestamp(), collection, &range).unwrap();
    for round in 0..16 {
        append(6 + round);
        let key = keys[3].clone();
        if let Some(old) = store.snapshot().get(collection, &key).unwrap() {
            let mut batch = store.batch(store.snapshot());
            let mut new = Document::try_from(&*old).unwrap();
            new.insert("n", round);
            batch.update(collection, &key, &old, &raw(&new)).unwrap();
            batch.commit(CommitMeta::default()).unwrap();
        }
        for change in changes.by_ref() {
            let change = change.unwrap();
            assert!(range.contains(&change.record_key));
            follow(&store, collection, change, &mut copy);
        }
        assert_eq!(copy, all(&range), "round {round}");
    }
    assert!(copy.len() < 8, "the front was removed meanwhile");
}

/// The number of entries is known without reading the segments that were complete before; what is beside them is believed only if it fits.
#[test]
fn entries_are_counted_without_reading_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let open = || Store::open(options(dir.path(), EngineKind::Sled)).unwrap();
    let count = |store: &Store| {
        let catalog = store.catalog();
        store.stats(catalog.get(&ns("local.oplog.rs")).unwrap()).records
    };
    let store = open();
    store.create_collection(&ns("d.c"), None, &raw(&doc! {})).unwrap();
    filled(&store, 60);
    assert_eq!(count(&store), 61);
    store.force_checkpoint().unwrap();
    drop(store);
    let kept = |kind: &str| {
        let files = std::fs::read_dir(dir.path().join("oplog")).unwrap().map(|file| file.unwrap().path());
        let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|is| is == kind)).collect();
        files.sort();
        files
    };
    let (segments, counts) = (kept("log"), kept("entries"));
    assert!(segments.len() > 3 && counts.len() + 1 == segments.len());
    // A segment that says more than it has would show that it is not read.
    let mut claim = std::fs::read(&counts[0]).unwrap();
    let said = u64::from_le_bytes(claim[16..24].try_into().unwrap());
    claim[16..24].copy_from_slice(&(said + 1000).to_le_bytes());
    let crc = crc32c::crc32c(&claim[..24]).to_le_bytes();
    claim[24..].copy_from_slice(&crc);
    std::fs::write(&counts[0], &claim).unwrap();
    assert_eq!(count(&open()), 1061);
    // Torn, missing, or of another length: the segment itself is asked.
    std::fs::write(&counts[0], &claim[..20]).unwrap();
    std::fs::remove_file(&counts[1]).unwrap();
    let mut other = std::fs::read(&counts[2]).unwrap();
    other[8] ^= 1;
    let crc = crc32c::crc32c(&other[..24]).to_le_bytes();
    other[24..].copy_from_slice(&crc);
    std::fs::write(&counts[2], &other).unwrap();
    assert_eq!(count(&open()), 61);
}
